// What happens to tasks, told to the addresses that clients gave (webhooks): in order for each address, tried again for some time
// when it doesn't answer with a 2xx, never holding up a task.
//
// Bounded: kMaxWaiting notifications wait at most; what comes then is dropped, and so is one that failed kMaxAttempts times, with
// those behind it left in place. What waits when the process ends is not sent any more: clients can always ask for the task.
//
// Thread-safe; a few threads of its own send.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "http/fetch.h"
#include "protocol/a2a/values.h"

namespace engram::server {

class A2aPush {
  public:
    static constexpr std::size_t kMaxWaiting = 4096;
    static constexpr int kMaxAttempts = 6;

    struct Options {
        bool allow_private = false;                    // hooks on this machine and in private networks
        std::chrono::milliseconds first_retry{1'000};  // doubled with each further one
        std::function<void(std::string_view)> warn;    // a sentence for the operator; may be null
    };
    explicit A2aPush(Options options);
    ~A2aPush();  // drops what waits

    // invalid_argument: an address that isn't allowed, as far as can be seen without looking up its name.
    Result<void> check(const protocol::a2a::PushConfig &hook) const;
    void send(const protocol::a2a::PushConfig &hook, std::string_view tenant, std::string body);
    // Nothing is sent there any more.
    void forget(std::string_view tenant, std::string_view task, std::string_view hook);
    bool idle() const;  // nothing waits, and nothing is being sent

  private:
    using Clock = std::chrono::steady_clock;
    using Key = std::string;  // tenant, task and hook
    struct Queue {
        std::deque<http::FetchRequest> waiting;
        Clock::time_point due;
        int attempts = 0;
        bool busy = false;
    };

    void work(const std::stop_token &stop);
    std::map<Key, Queue>::iterator next_due();
    void settle(const Key &key, bool delivered);
    static Key key_of(std::string_view tenant, std::string_view task, std::string_view hook);

    const Options options_;
    mutable std::mutex mutex_;  // for what follows
    std::condition_variable_any changed_;
    std::map<Key, Queue> queues_;  // only such that have something waiting, or being sent
    std::size_t waiting_ = 0;
    std::vector<std::jthread> threads_;  // last: they use everything above
};

}  // namespace engram::server
