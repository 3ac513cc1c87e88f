// One request and its answer, between the thread that answers and the connection that sends.
//
// The answering side makes bytes of what it is given, puts them into `pending_` and wakes the connection; the connection takes
// them when the socket has room. A piece of a stream goes to the socket at once where the connection has nothing else to send:
// waking another thread costs more than sending. Neither holds the lock while it waits for anything.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "http/body_budget.h"
#include "http/server.h"

namespace engram::http {

// How many handlers have a worker. Taken before a handler is queued, given back when its answer ends or it returns.
class WorkerSlot {
  public:
    // Nothing when `limit` are taken.
    static std::optional<WorkerSlot> take(std::atomic<std::size_t> &taken, std::size_t limit);
    ~WorkerSlot() { release(); }
    WorkerSlot(WorkerSlot &&other) noexcept : taken_(std::exchange(other.taken_, nullptr)) {}
    WorkerSlot &operator=(WorkerSlot &&other) noexcept;
    void release();

  private:
    explicit WorkerSlot(std::atomic<std::size_t> &taken) : taken_(&taken) {}

    std::atomic<std::size_t> *taken_;
};

class Exchange {
  public:
    struct Setup {
        HttpRequest request;     // without `stop`
        BodyShare body_share;    // what the request's body takes of the budget
        HttpFields own_headers;  // that the server adds to whatever answer is given
        bool http_1_0 = false;
        bool keep_alive = true;
        HttpRefuse refuse;
        // Both are called with the lock held, from any thread, until `leave`.
        std::function<void()> wake;                             // there are bytes to send
        std::function<std::size_t(std::string_view)> send_now;  // Wire::send_now; called while the connection writes nothing
    };
    struct Output {
        std::string bytes;
        bool last = false;   // the answer ends with them
        bool cut = false;    // it ended without being whole: close the connection
        bool close = false;  // the answer says that the connection will be closed
    };
    struct Outcome {
        int status = 0;  // 0: nothing was answered
        std::uint64_t body_bytes = 0;
        bool cut = false;  // a stream that its handler didn't end
        std::string tenant;
    };

    explicit Exchange(Setup setup);

    const HttpRequest &request() const { return request_; }
    std::chrono::steady_clock::time_point began() const { return began_; }

    // --- the side that answers -------------------------------------------------------------------------------------------

    bool send(const HttpAnswer &answer);
    bool start(int status, const HttpFields &headers);
    bool write(std::string_view text);
    bool offer(std::string_view text);
    bool end();
    // Nobody will answer any more: what is missing is refused as internal, or the stream is cut.
    void abandon(std::string_view why);
    // A refusal in the caller's words. Does nothing once an answer has begun.
    void refuse(const HttpRefusal &refusal, HttpFields headers = {});
    bool gone() const;
    void set_tenant(std::string tenant);
    void hold(WorkerSlot slot);
    void release_slot();

    // --- the connection's side -------------------------------------------------------------------------------------------

    Output take();
    // The connection has ended: nobody is woken any more, and writers stop waiting.
    void leave();
    // Triggers the request's stop token.
    void request_stop() { stop_.request_stop(); }
    Outcome outcome() const;

  private:
    enum class State : std::uint8_t { unanswered, streaming, ended };

    std::string head(int status, const HttpFields &headers, std::optional<std::size_t> body_bytes) const;
    void append_body(std::string_view text);
    void finish(bool cut);
    void wake();
    void pass_on();
    bool bodiless(int status) const;

    // constant after construction
    HttpRequest request_;
    BodyShare body_share_;
    HttpFields own_headers_;
    bool http_1_0_;
    HttpRefuse refuse_;
    std::chrono::steady_clock::time_point began_;
    std::stop_source stop_;

    // guarded by mutex_
    mutable std::mutex mutex_;
    std::condition_variable room_;
    State state_ = State::unanswered;
    bool keep_alive_;
    bool chunked_ = false;
    bool gone_ = false;
    bool woken_ = false;
    bool idle_ = false;  // the connection has sent what it took, and found nothing more
    std::string pending_;
    std::function<void()> wake_;
    std::function<std::size_t(std::string_view)> send_now_;
    std::optional<WorkerSlot> slot_;
    Outcome outcome_;
};

}  // namespace engram::http
