// What a run may still spend. Shared by all who take part in it: the agent that was asked, and those that it gives work to.
// Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include "engram/teams.h"

namespace engram {

class RunBudget {
  public:
    // `outer`: whoever asked may end it before its time.
    RunBudget(std::chrono::milliseconds time, std::uint64_t tokens, std::stop_token outer);
    RunBudget(const RunBudget &) = delete;
    RunBudget &operator=(const RunBudget &) = delete;

    std::stop_token stop() const { return stop_.get_token(); }  // triggered when the time is up, or by `outer`
    bool time_is_up() const { return time_is_up_; }

    void spend(std::uint64_t tokens) { spent_ += tokens; }
    bool tokens_are_spent() const { return tokens_ > 0 && spent_ >= tokens_; }

  private:
    const std::uint64_t tokens_;  // 0: no limit
    std::atomic<std::uint64_t> spent_ = 0;
    std::atomic<bool> time_is_up_ = false;
    std::stop_source stop_;
    std::stop_callback<std::function<void()>> on_outer_;
    std::mutex mutex_;
    std::condition_variable_any ended_;
    std::jthread timer_;  // the last member: it ends first
};

}  // namespace engram
