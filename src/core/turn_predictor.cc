#include "core/turn_predictor.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>
#include <utility>

namespace engram {
namespace {

constexpr double kNever = 1.0;             // times that something unseen is taken to have happened
constexpr double kForgotten = 0.05;        // what weighs less is dropped
constexpr double kLeastIntervals = 3.4;    // four, with decay: fewer are regular by accident too often
constexpr double kRegular = 0.25;          // deviation, as a share of the interval
constexpr double kLeastInterval = 60'000;  // in ms; quicker ones are one conversation

std::size_t gap_step(std::int64_t gap_ms) {
    std::size_t step = 0;
    for (std::int64_t end_ms = 1000; step + 1 < kGapSteps && gap_ms >= end_ms; end_ms *= 2) ++step;
    return step;
}

std::int64_t gap_begin_ms(std::size_t step) { return step == 0 ? 0 : 1000LL << (step - 1); }
std::int64_t gap_end_ms(std::size_t step) { return 1000LL << step; }  // of the last one: an end of use, not of meaning

double sum(std::span<const double> counts) { return std::accumulate(counts.begin(), counts.end(), 0.0); }

double times(const TurnHabit::Follower &follower) { return sum(follower.gaps); }

// When its next turn is due, from its rhythm; nullopt when it has none.
struct Due {
    std::int64_t from_ms = 0, until_ms = 0;
};
std::optional<Due> due(const TurnHabit &habit) {
    if (habit.intervals < kLeastIntervals || habit.interval_ms < kLeastInterval) return std::nullopt;
    if (habit.deviation_ms > kRegular * habit.interval_ms) return std::nullopt;
    const auto at = habit.last_began_ms + std::llround(habit.interval_ms);
    const auto spread = std::llround(2 * habit.deviation_ms);
    return Due{.from_ms = at - spread - kTurnLeadMs, .until_ms = at + spread + kTurnLeadMs};
}

void note(ExpectedTurn turn, std::map<std::string, ExpectedTurn> &expected) {
    const auto [place, added] = expected.try_emplace(turn.agent, turn);
    if (added) return;
    place->second.until_ms = std::max(place->second.until_ms, turn.until_ms);
    place->second.probability = std::max(place->second.probability, turn.probability);
}

}  // namespace

TurnHabit &TurnPredictor::habit_of(std::string_view agent) {
    auto place = habits_.find(agent);
    if (place == habits_.end()) {
        if (habits_.size() >= kMostHabits) {
            const auto oldest =
                std::ranges::min_element(habits_, {}, [](const auto &entry) { return entry.second.last_began_ms; });
            changed_.erase(oldest->first);
            habits_.erase(oldest);
        }
        place = habits_.emplace(agent, TurnHabit{.agent = std::string(agent)}).first;
    }
    changed_.emplace(agent);
    return place->second;
}

void TurnPredictor::learn(std::string_view agent, std::int64_t began_ms, std::int64_t ended_ms) {
    learn_succession(agent, began_ms);
    learn_rhythm(habit_of(agent), began_ms);
    ended_.push_back({.agent = std::string(agent), .at_ms = std::max(began_ms, ended_ms)});
    if (ended_.size() > kMostEnded) ended_.pop_front();
}

void TurnPredictor::learn_rhythm(TurnHabit &habit, std::int64_t began_ms) {
    const auto interval = static_cast<double>(began_ms - habit.last_began_ms);
    const bool first = habit.last_began_ms == 0;
    habit.last_began_ms = began_ms;
    if (first || interval <= 0) return;
    habit.intervals = habit.intervals * kTurnDecay + 1;
    const double off = habit.interval_ms == 0 ? 0 : std::abs(interval - habit.interval_ms);
    habit.deviation_ms += (off - habit.deviation_ms) / habit.intervals;
    habit.interval_ms += (interval - habit.interval_ms) / habit.intervals;
}

void TurnPredictor::learn_succession(std::string_view agent, std::int64_t began_ms) {
    const auto before = std::find_if(ended_.rbegin(), ended_.rend(), [&](const Ended &ended) { return ended.at_ms <= began_ms; });
    if (before == ended_.rend() || !habits_.contains(before->agent)) return;
    TurnHabit &habit = habit_of(before->agent);
    if (!std::exchange(before->followed, true)) {
        habit.followed = habit.followed * kTurnDecay + 1;
        for (TurnHabit::Follower &follower : habit.followers) {
            for (double &count : follower.gaps) count *= kTurnDecay;
        }
        std::erase_if(habit.followers, [](const auto &follower) { return times(follower) < kForgotten; });
    }
    auto follower = std::ranges::find(habit.followers, agent, &TurnHabit::Follower::agent);
    if (follower == habit.followers.end()) {
        if (habit.followers.size() >= kMostFollowers) habit.followers.erase(std::ranges::min_element(habit.followers, {}, times));
        follower = habit.followers.insert(habit.followers.end(), {.agent = std::string(agent)});
    }
    follower->gaps[gap_step(began_ms - before->at_ms)] += 1;
}

void TurnPredictor::expect_followers(const Ended &ended, std::int64_t now_ms,
                                     std::map<std::string, ExpectedTurn> &expected) const {
    const auto habit = habits_.find(ended.agent);
    const std::int64_t elapsed = now_ms - ended.at_ms;
    if (habit == habits_.end() || elapsed < 0) return;
    const std::size_t first = gap_step(elapsed), last = gap_step(elapsed + kTurnLeadMs);
    for (const TurnHabit::Follower &follower : habit->second.followers) {
        const std::span<const double> gaps = follower.gaps;
        const double soon = sum(gaps.subspan(first, last + 1 - first));
        if (soon < kForgotten) continue;
        const double left = std::max(soon, habit->second.followed - sum(gaps.first(first)));
        note({.agent = follower.agent, .probability = soon / (left + kNever), .until_ms = ended.at_ms + gap_end_ms(last)},
             expected);
    }
}

std::vector<ExpectedTurn> TurnPredictor::expected(std::int64_t now_ms) const {
    std::map<std::string, ExpectedTurn> found;
    for (const Ended &ended : ended_) {
        if (!ended.followed) expect_followers(ended, now_ms, found);
    }
    for (const auto &[agent, habit] : habits_) {
        const std::optional<Due> when = due(habit);
        if (!when || now_ms < when->from_ms || now_ms >= when->until_ms) continue;
        note({.agent = agent, .probability = habit.intervals / (habit.intervals + kNever), .until_ms = when->until_ms}, found);
    }
    std::vector<ExpectedTurn> turns;
    turns.reserve(found.size());
    for (auto &[agent, turn] : found) turns.push_back(std::move(turn));
    std::ranges::stable_sort(turns, std::ranges::greater(), &ExpectedTurn::probability);
    return turns;
}

std::optional<std::int64_t> TurnPredictor::next_look_ms(std::int64_t now_ms) const {
    std::optional<std::int64_t> next;
    const auto at = [&](std::int64_t ms) {
        if (ms > now_ms && (!next || ms < *next)) next = ms;
    };
    for (const Ended &ended : ended_) {
        const auto habit = habits_.find(ended.agent);
        if (ended.followed || habit == habits_.end()) continue;
        for (const TurnHabit::Follower &follower : habit->second.followers) {
            for (std::size_t step = 0; step < kGapSteps; ++step) {
                if (follower.gaps[step] >= kForgotten) at(ended.at_ms + gap_begin_ms(step) - kTurnLeadMs);
            }
        }
    }
    for (const auto &[agent, habit] : habits_) {
        if (const std::optional<Due> when = due(habit)) at(when->from_ms);
    }
    return next;
}

void TurnPredictor::forget(std::string_view agent) {
    if (const auto place = habits_.find(agent); place != habits_.end()) habits_.erase(place);
    if (const auto place = changed_.find(agent); place != changed_.end()) changed_.erase(place);
    std::erase_if(ended_, [&](const Ended &ended) { return ended.agent == agent; });
    for (auto &[name, habit] : habits_) {
        if (std::erase_if(habit.followers, [&](const auto &follower) { return follower.agent == agent; }) > 0)
            changed_.insert(name);
    }
}

void TurnPredictor::rename(std::string_view agent, std::string_view new_name) {
    forget(new_name);
    if (auto node = habits_.extract(std::string(agent))) {
        node.key() = node.mapped().agent = new_name;
        habits_.insert(std::move(node));
        changed_.erase(std::string(agent));
        changed_.emplace(new_name);
    }
    for (Ended &ended : ended_) {
        if (ended.agent == agent) ended.agent = new_name;
    }
    for (auto &[name, habit] : habits_) {
        for (TurnHabit::Follower &follower : habit.followers) {
            if (follower.agent != agent) continue;
            follower.agent = new_name;
            changed_.insert(name);
        }
    }
}

std::vector<TurnHabit> TurnPredictor::take_changed() {
    std::vector<TurnHabit> habits;
    habits.reserve(changed_.size());
    for (const std::string &agent : std::exchange(changed_, {})) habits.push_back(habits_.at(agent));
    return habits;
}

void TurnPredictor::restore(TurnHabit habit) {
    TurnHabit &place = habit_of(habit.agent);
    changed_.erase(habit.agent);
    place = std::move(habit);
}

}  // namespace engram
