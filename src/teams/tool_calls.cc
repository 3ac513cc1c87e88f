#include "teams/tool_calls.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <format>
#include <mutex>
#include <thread>

#include "engine/utf8.h"

namespace engram {
namespace {

constexpr std::size_t kAtOnce = 8;
constexpr std::size_t kUntoldEvents = 256;
// A tokenizer merges bytes, so that a text has no more tokens than bytes; beyond so many bytes for each token that may stay, the
// middle goes before anything is counted.
constexpr std::size_t kBytesPerToken = 64;

MadeCall timed(const PlannedCall &planned, const RunSink &sink) {
    const auto began = std::chrono::steady_clock::now();
    MadeCall made{.outcome = planned.make(sink)};
    made.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
    return made;
}

RunEvent ends(const std::string &agent, const PlannedCall &planned, const MadeCall &made) {
    return RunToolEnds{
        .agent = agent, .call = planned.call, .output = made.outcome.text, .failed = made.outcome.failed, .ms = made.ms};
}

// Events of several threads on their way to one. A full channel makes whoever tells wait.
class EventChannel {
  public:
    void tell(RunEvent event) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return events_.size() < kUntoldEvents; });
        events_.push_back(std::move(event));
        changed_.notify_all();
    }
    void one_is_done() {
        const std::scoped_lock lock(mutex_);
        ++done_;
        changed_.notify_all();
    }
    // Hands on what comes until so many are done.
    void drain(std::size_t calls, const RunSink &sink) {
        std::unique_lock lock(mutex_);
        while (true) {
            changed_.wait(lock, [&] { return !events_.empty() || done_ == calls; });
            if (events_.empty()) return;
            const RunEvent event = std::move(events_.front());
            events_.pop_front();
            changed_.notify_all();
            lock.unlock();
            if (sink) sink(event);
            lock.lock();
        }
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<RunEvent> events_;  // guarded by mutex_
    std::size_t done_ = 0;         // guarded by mutex_
};

std::vector<MadeCall> make_together(std::span<const PlannedCall> calls, const std::string &agent, const RunSink &sink) {
    std::vector<MadeCall> made(calls.size());
    EventChannel channel;
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < calls.size(); ++i) {
        threads.emplace_back([&, i] {
            channel.tell(RunToolBegins{.agent = agent, .call = calls[i].call});
            made[i] = timed(calls[i], [&](const RunEvent &event) { channel.tell(event); });
            channel.tell(ends(agent, calls[i], made[i]));
            channel.one_is_done();
        });
    }
    channel.drain(calls.size(), sink);
    return made;
}

}  // namespace

std::vector<MadeCall> make_calls(std::span<const PlannedCall> calls, const std::string &agent, const RunSink &sink) {
    if (calls.size() == 1) {
        if (sink) sink(RunToolBegins{.agent = agent, .call = calls.front().call});
        std::vector<MadeCall> made{timed(calls.front(), sink)};
        if (sink) sink(ends(agent, calls.front(), made.front()));
        return made;
    }
    std::vector<MadeCall> made;
    while (!calls.empty()) {
        const std::size_t n = std::min(calls.size(), kAtOnce);
        std::ranges::move(make_together(calls.first(n), agent, sink), std::back_inserter(made));
        calls = calls.subspan(n);
    }
    return made;
}

std::string shortened(const AgentManager &agents, std::string text, std::uint32_t tokens) {
    text = repair_utf8(text);
    if (text.size() <= tokens) return text;
    const std::size_t first_bytes = 2UZ * tokens * kBytesPerToken / 3, last_bytes = 1UZ * tokens * kBytesPerToken / 3;
    const bool cut = text.size() > first_bytes + last_bytes;
    const std::string front = cut ? text.substr(0, first_bytes) : text;
    const std::string back = cut ? text.substr(text.size() - last_bytes) : text;
    const std::vector<std::int32_t> first = agents.tokenise(front);
    if (!cut && first.size() <= tokens) return text;
    const std::vector<std::int32_t> last = cut ? agents.tokenise(back) : first;
    const std::size_t n_first = std::min<std::size_t>(first.size(), 2UZ * tokens / 3);
    const std::size_t n_last = std::min<std::size_t>(last.size(), tokens - (2UZ * tokens / 3));
    const auto head = agents.detokenise(std::span(first).first(n_first));
    const auto tail = agents.detokenise(std::span(last).last(n_last));
    if (!head || !tail) return text.substr(0, tokens);  // of tokens that the tokenizer itself made: it can't be
    const std::size_t kept = std::min(text.size(), head->size() + tail->size());
    return repair_utf8(std::format("{}\n[{} bytes of {} are left out here]\n{}", *head, text.size() - kept, text.size(), *tail));
}

}  // namespace engram
