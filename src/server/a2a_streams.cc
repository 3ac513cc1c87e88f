#include "server/a2a_streams.h"

#include <utility>
#include <vector>

namespace engram::server {
namespace {

constexpr std::string_view kPing = ": ping\n\n";
constexpr std::chrono::milliseconds kTryAgain{20};  // where a client was behind

}  // namespace

A2aStreams::A2aStreams(std::chrono::milliseconds ping_every)
    : ping_every_(ping_every), thread_([this](const std::stop_token &stop) { work(stop); }) {}

A2aStreams::~A2aStreams() {
    thread_.request_stop();
    thread_.join();
}

A2aStreams::Id A2aStreams::open(http::HttpResponder responder, std::function<void()> ended) {
    responder.start(
        200, {{"content-type", "text/event-stream; charset=utf-8"}, {"cache-control", "no-cache"}, {"x-accel-buffering", "no"}});
    const std::scoped_lock lock(mutex_);
    const Id id = ++last_id_;
    streams_.emplace(
        id, Stream{.responder = std::move(responder), .ended = std::move(ended), .waiting = {}, .written = Clock::now()});
    return id;
}

void A2aStreams::touch(Id id) {
    dirty_.insert(id);
    changed_.notify_one();
}

void A2aStreams::write(Id id, std::string frames) {
    const std::scoped_lock lock(mutex_);
    const auto found = streams_.find(id);
    if (found == streams_.end() || frames.empty()) return;
    Stream &stream = found->second;
    stream.waiting_bytes += frames.size();
    stream.waiting.push_back(std::move(frames));
    touch(id);
}

void A2aStreams::end(Id id) {
    const std::scoped_lock lock(mutex_);
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    found->second.closing = true;
    touch(id);
}

void A2aStreams::end_all() {
    const std::scoped_lock lock(mutex_);
    for (auto &[id, stream] : streams_) {
        stream.closing = true;
        touch(id);
    }
}

bool A2aStreams::serve(Stream &stream, Clock::time_point now) {
    if (stream.responder.gone() || stream.waiting_bytes > kMaxWaitingBytes) return true;
    while (!stream.waiting.empty() && stream.responder.offer(stream.waiting.front())) {
        stream.waiting_bytes -= stream.waiting.front().size();
        stream.waiting.pop_front();
        stream.written = now;
    }
    if (!stream.waiting.empty()) return false;
    if (stream.closing) {
        stream.responder.end();
        return true;
    }
    if (now - stream.written >= ping_every_) {
        stream.responder.offer(kPing);
        stream.written = now;
    }
    return false;
}

void A2aStreams::work(const std::stop_token &stop) {
    std::unique_lock lock(mutex_);
    Clock::time_point all_at = Clock::now() + ping_every_;
    while (!stop.stop_requested()) {
        const Clock::time_point now = Clock::now();
        std::set<Id> todo = std::exchange(dirty_, {});
        if (now >= all_at) {  // time for pings, and to look who has gone
            for (const auto &[id, stream] : streams_) todo.insert(id);
            all_at = now + ping_every_ / 2;
        }
        std::vector<Stream> over;
        bool behind = false;
        for (const Id id : todo) {
            const auto found = streams_.find(id);
            if (found == streams_.end()) continue;
            if (serve(found->second, now)) {
                over.push_back(std::move(found->second));
                streams_.erase(found);
            } else if (!found->second.waiting.empty()) {
                dirty_.insert(id);
                behind = true;
            }
        }
        if (!over.empty()) {
            lock.unlock();
            for (Stream &stream : over) stream.ended();
            over.clear();
            lock.lock();
            continue;
        }
        if (behind) {
            changed_.wait_for(lock, stop, kTryAgain, [] { return false; });
        } else {
            changed_.wait_until(lock, stop, all_at, [this] { return !dirty_.empty(); });
        }
    }
}

}  // namespace engram::server
