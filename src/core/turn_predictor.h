// Whose turn is likely to come soon, learned from when turns came. Counts with exponential decay, nothing else
// (docs/adr/0010-preloading-by-counts.md).
//
// Two habits of each agent are learned:
//
//   followers   after its turn: whose turn began next, and after how long (a histogram whose steps double)
//   rhythm      the time between its own turns, where that is regular
//
// A turn *follows* the one that had ended last when it began; several that run side by side can follow the same one. The
// probability that B comes soon after A's turn, of which `elapsed` have passed, is
//
//   times that B followed A after about as long, or within kTurnLeadMs from there
//   ----------------------------------------------------------------------------------
//   times that A was followed  -  times that B had come before `elapsed`  +  1
//
// The one stands for what has never been seen: what happened once has a probability of a half at most. Each time that A is
// followed, what was counted before weighs kTurnDecay of what it did, so that a habit that changes is unlearned in about ten
// turns.
//
// One tenant's: nothing here knows another's agents. Bounded: kMostHabits agents, of which those go that were used longest ago,
// with kMostFollowers each, of which the rarest go. Pure and deterministic; the clock (Unix time in milliseconds) is given. One
// that went back costs predictions, nothing else. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace engram {

inline constexpr std::size_t kGapSteps = 18;  // below 1 s, 2 s, 4 s … 2^16 s, and all above
inline constexpr std::int64_t kTurnLeadMs = 30'000;
inline constexpr double kTurnDecay = 0.9;
inline constexpr std::size_t kMostHabits = 256;
inline constexpr std::size_t kMostFollowers = 8;

// What is known of one agent.
struct TurnHabit {
    struct Follower {
        std::string agent;
        std::array<double, kGapSteps> gaps{};  // times that it followed, by how long after the end of the turn before it began
        bool operator==(const Follower &) const = default;
    };
    std::string agent;
    std::int64_t last_began_ms = 0;
    double followed = 0;  // times that some turn followed
    std::vector<Follower> followers;
    double intervals = 0;  // between its own turns' beginnings
    double interval_ms = 0, deviation_ms = 0;
    bool operator==(const TurnHabit &) const = default;
};

struct ExpectedTurn {
    std::string agent;
    double probability = 0;     // above 0, at most 1
    std::int64_t until_ms = 0;  // when it hasn't come until then, it isn't expected any more
    bool operator==(const ExpectedTurn &) const = default;
};

class TurnPredictor {
  public:
    // A turn that has ended. Turns are told in the order of their ends.
    void learn(std::string_view agent, std::int64_t began_ms, std::int64_t ended_ms);

    // Turns that may begin now or within kTurnLeadMs, the most likely first.
    std::vector<ExpectedTurn> expected(std::int64_t now_ms) const;
    // The next time at which somebody may come to be expected though no turn ended meanwhile; nullopt: never.
    std::optional<std::int64_t> next_look_ms(std::int64_t now_ms) const;

    void forget(std::string_view agent);
    void rename(std::string_view agent, std::string_view new_name);

    // For whoever keeps habits elsewhere: those that have changed since the last call, and putting them back.
    std::vector<TurnHabit> take_changed();
    void restore(TurnHabit habit);
    std::size_t size() const { return habits_.size(); }

  private:
    struct Ended {
        std::string agent;
        std::int64_t at_ms = 0;
        bool followed = false;
    };

    TurnHabit &habit_of(std::string_view agent);
    void learn_rhythm(TurnHabit &habit, std::int64_t began_ms);
    void learn_succession(std::string_view agent, std::int64_t began_ms);
    void expect_followers(const Ended &ended, std::int64_t now_ms, std::map<std::string, ExpectedTurn> &expected) const;

    static constexpr std::size_t kMostEnded = 8;  // turns that may run side by side and still be told apart

    std::map<std::string, TurnHabit, std::less<>> habits_;
    std::set<std::string, std::less<>> changed_;
    std::deque<Ended> ended_;  // the last ones
};

}  // namespace engram
