// What happens to tasks, told to the addresses that clients gave (webhooks): in order for each address, tried again until it
// answers with a 2xx, never holding up a task.
//
// What is to be told lies in the task store (A2aTaskStore, its outbox), and goes from there when it was taken, when the address
// refuses it for good (a status of 4xx other than 408, 425 and 429), or when nobody has taken it for a day. What waits when the
// process ends is sent by the next one. A process that dies between an answer and the removal sends once more.
//
// Bounded: what waits takes kMaxWaitingBytes; beyond that the oldest of the tenant with the most goes. Here are only the numbers
// of what waits; texts are read when they are sent.
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
#include "server/a2a_task_store.h"

namespace engram::server {

class A2aPush {
  public:
    static constexpr std::uint64_t kMaxWaitingBytes = 64UZ << 20U;

    struct Options {
        bool allow_private = false;                    // hooks on this machine and in private networks
        std::chrono::milliseconds first_retry{1'000};  // doubled with each further one, up to a quarter of an hour
        std::uint64_t max_waiting_bytes = kMaxWaitingBytes;
        std::function<void(std::string_view)> warn = {};  // a sentence for the operator; may be null
    };
    A2aPush(A2aTaskStore &store, Options options);  // the store outlives it
    ~A2aPush();                                     // what waits stays in the store

    // invalid_argument: an address that isn't allowed, as far as can be seen without looking up its name.
    Result<void> check(const protocol::a2a::PushConfig &hook) const;
    // Takes up what earlier processes left in the store: to be called once, before anything is sent. io, corrupt.
    Result<void> restore();
    // What the store has got and has given an id, in the order of the ids for each hook.
    void send(const A2aNotification &stored);
    // Nothing is sent there any more. (The store's remove_hook forgets what waits.)
    void forget(std::string_view tenant, std::string_view task, std::string_view hook);
    bool idle() const;  // nothing waits, and nothing is being sent

  private:
    using Clock = std::chrono::steady_clock;
    using Key = std::string;  // tenant, task and hook
    struct Waiting {
        std::int64_t id = 0;
        std::int64_t created_ms = 0;
        std::uint64_t bytes = 0;
    };
    struct Queue {
        std::string tenant;
        std::deque<Waiting> waiting;
        Clock::time_point due;
        int attempts = 0;
        bool busy = false;
    };
    enum class Outcome : std::uint8_t { over, again };

    void work(const std::stop_token &stop);
    Outcome deliver(http::Fetcher &fetcher, const Waiting &first, const std::stop_token &stop);
    void remove(std::int64_t id);
    void warn(std::string_view sentence) const;
    static Key key_of(std::string_view tenant, std::string_view task, std::string_view hook);

    // With mutex_ held.
    void add(const WaitingNotification &notification);
    std::vector<std::int64_t> make_room();  // what is to go from the store
    Queue *oldest_of_the_fullest();
    void count_out(const Queue &queue, const Waiting &waiting);
    std::map<Key, Queue>::iterator next_due();
    void settle(const Key &key, std::int64_t id, Outcome outcome);

    A2aTaskStore &store_;
    const Options options_;
    mutable std::mutex mutex_;  // for what follows
    std::condition_variable_any changed_;
    std::map<Key, Queue> queues_;  // only such that have something waiting, or being sent
    std::uint64_t bytes_ = 0;
    std::map<std::string, std::uint64_t> bytes_of_tenant_;  // together bytes_
    std::vector<std::jthread> threads_;                     // last: they use everything above
};

}  // namespace engram::server
