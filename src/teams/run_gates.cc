#include "teams/run_gates.h"

#include <format>
#include <vector>

namespace engram {

// Whether it is the other one, or waits for that one, itself or through those that it waits for.
bool RunGates::waits_for(const Agent &agent, const Agent &other) const {
    std::vector<Agent> ahead{agent};
    std::set<Agent> seen{agent};
    while (!ahead.empty()) {
        const Agent one = std::move(ahead.back());
        ahead.pop_back();
        if (one == other) return true;
        const auto [first, last] = waits_for_.equal_range(one);
        for (auto waiting = first; waiting != last; ++waiting) {
            if (seen.insert(waiting->second).second) ahead.push_back(waiting->second);
        }
    }
    return false;
}

Result<RunGates::Hold> RunGates::take(const Agent &agent, const std::optional<Agent> &asker, std::stop_token stop) {
    std::unique_lock lock(mutex_);
    if (asker) {
        if (waits_for(agent, *asker)) {
            return fail(ErrorCode::locked,
                        std::format("{} is at work for somebody who waits for an agent that is at work here; ask it later",
                                    agent.second));
        }
        waits_for_.emplace(*asker, agent);
    }
    if (!freed_.wait(lock, stop, [&] { return !held_.contains(agent); })) {
        forget(agent, asker);
        return fail(ErrorCode::cancelled, std::format("{} was busy until the end", agent.second));
    }
    held_.insert(agent);
    return Hold(*this, agent, asker);
}

// That `asker` waits for the agent, once.
void RunGates::forget(const Agent &agent, const std::optional<Agent> &asker) {
    if (!asker) return;
    const auto [first, last] = waits_for_.equal_range(*asker);
    for (auto waiting = first; waiting != last; ++waiting) {
        if (waiting->second != agent) continue;
        waits_for_.erase(waiting);
        return;
    }
}

void RunGates::release(const Agent &agent, const std::optional<Agent> &asker) {
    const std::scoped_lock lock(mutex_);
    held_.erase(agent);
    forget(agent, asker);
    freed_.notify_all();
}

}  // namespace engram
