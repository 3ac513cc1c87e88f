#include "teams/run_gates.h"

#include <algorithm>
#include <format>
#include <set>
#include <vector>

namespace engram {

bool RunGates::closes_a_circle(const Agent &wanted, const void *chain) const {
    std::vector<Agent> ahead{wanted};
    std::set<Agent> seen{wanted};
    while (!ahead.empty()) {
        const auto holder = held_by_.find(ahead.back());
        ahead.pop_back();
        if (holder == held_by_.end()) continue;
        const auto [first, last] = waits_for_.equal_range(holder->second);
        // A holder that waits for nothing goes on by itself; so does one in the same chain, whose calls end one by one.
        for (auto waiting = first; waiting != last; ++waiting) {
            const auto owner = held_by_.find(waiting->second);
            if (owner != held_by_.end() && owner->second == chain && holder->second != chain) return true;
            if (seen.insert(waiting->second).second) ahead.push_back(waiting->second);
        }
    }
    return false;
}

Result<RunGates::Hold> RunGates::take(const Agent &agent, const void *chain, std::stop_token stop) {
    std::unique_lock lock(mutex_);
    if (held_by_.contains(agent)) {
        if (closes_a_circle(agent, chain)) {
            return fail(ErrorCode::locked,
                        std::format("{} is at work for somebody who waits for an agent that is at work here; ask it later",
                                    agent.second));
        }
        const auto waiting = waits_for_.emplace(chain, agent);
        const bool free = freed_.wait(lock, stop, [&] { return !held_by_.contains(agent); });
        waits_for_.erase(waiting);
        if (!free) return fail(ErrorCode::cancelled, std::format("{} was busy until the end", agent.second));
    }
    held_by_.emplace(agent, chain);
    return Hold(*this, agent);
}

void RunGates::release(const Agent &agent) {
    const std::scoped_lock lock(mutex_);
    held_by_.erase(agent);
    freed_.notify_all();
}

}  // namespace engram
