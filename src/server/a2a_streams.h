// Streams of events to clients that wait, all written by one thread: a client that waits for a task holds no worker, and one that
// reads slowly holds up neither the task nor the others.
//
// What a client hasn't taken yet waits here, up to kMaxWaitingBytes; then the client is cut off and may subscribe again. A stream
// in which nothing happens gets a ping every few seconds, which also finds out that the client has gone.
//
// Thread-safe. `ended` is called once for each stream, from the thread that writes, with no lock held.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

#include "http/server.h"

namespace engram::server {

class A2aStreams {
  public:
    using Id = std::uint64_t;
    static constexpr std::size_t kMaxWaitingBytes = 4UZ << 20U;

    explicit A2aStreams(std::chrono::milliseconds ping_every = std::chrono::seconds(5));
    ~A2aStreams();  // cuts what is still open

    // The head is sent at once; from now on the responder is the thread's.
    Id open(http::HttpResponder responder, std::function<void()> ended);
    void write(Id id, std::string frames);  // in the order of the calls; nothing for a stream that has ended
    void end(Id id);                        // once all is written
    void end_all();

  private:
    using Clock = std::chrono::steady_clock;
    struct Stream {
        http::HttpResponder responder;
        std::function<void()> ended;
        std::deque<std::string> waiting;
        std::size_t waiting_bytes = 0;
        bool closing = false;
        Clock::time_point written;
    };

    void work(const std::stop_token &stop);
    // Writes what the stream takes. True: it is over.
    bool serve(Stream &stream, Clock::time_point now);
    void touch(Id id);

    const std::chrono::milliseconds ping_every_;
    std::mutex mutex_;  // for what follows
    std::condition_variable_any changed_;
    std::map<Id, Stream> streams_;
    std::set<Id> dirty_;  // there is something to do for them
    Id last_id_ = 0;
    std::jthread thread_;  // last: it uses everything above
};

}  // namespace engram::server
