// How many bytes of requests' bodies are in memory at the same time, of all connections together: each has its own limit, and
// thousands of them could be under way. A body counts from its arrival until nothing refers to its request any more.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace engram::http {

// What may be used. Thread-safe.
class BodyBudget {
  public:
    explicit BodyBudget(std::size_t bytes) : bytes_(bytes) {}

    // False when so many aren't left: then none is taken.
    bool take(std::size_t bytes);
    void give_back(std::size_t bytes) { taken_ -= bytes; }

  private:
    const std::size_t bytes_;
    std::atomic<std::size_t> taken_ = 0;
};

// One body's part of it, given back when this ends. One thread at a time. It may outlive the server, as a responder may.
class BodyShare {
  public:
    // So large a body always finds room, so that a server that is full of large ones still answers small requests.
    static constexpr std::size_t kSmallBodyBytes = 64UZ << 10U;

    BodyShare() = default;  // of no budget: everything fits
    explicit BodyShare(std::shared_ptr<BodyBudget> budget) : budget_(std::move(budget)) {}
    ~BodyShare() { release(); }
    BodyShare(BodyShare &&other) noexcept : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
    BodyShare &operator=(BodyShare &&other) noexcept;

    // The body has so many bytes by now. False: there is no room for them.
    bool grow_to(std::size_t bytes);
    void release();

  private:
    std::shared_ptr<BodyBudget> budget_;
    std::size_t bytes_ = 0;  // taken of it
};

}  // namespace engram::http
