#include "teams/run_budget.h"

namespace engram {

RunBudget::RunBudget(std::chrono::milliseconds time, std::uint64_t tokens, std::stop_token outer)
    : tokens_(tokens), on_outer_(std::move(outer), [this] { stop_.request_stop(); }) {
    const auto until = std::chrono::steady_clock::now() + time;
    timer_ = std::jthread([this, until](const std::stop_token &over) {
        std::unique_lock lock(mutex_);
        const auto ended = [&] { return stop_.stop_requested(); };
        if (ended_.wait_until(lock, over, until, ended) || over.stop_requested()) return;
        time_is_up_ = true;
        stop_.request_stop();
    });
}

}  // namespace engram
