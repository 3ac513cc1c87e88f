#include "core/turn_predictor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "core/testing/test_seed.h"

namespace engram {
namespace {

constexpr std::int64_t kSecond = 1000;
constexpr std::int64_t kHour = 3600 * kSecond;
constexpr std::int64_t kStart = 1'700'000'000'000;

// Time and turns one after the other.
class Story {
  public:
    // `gap_ms` after the last turn's end, for a second.
    void turn(std::string_view agent, std::int64_t gap_ms) {
        const std::int64_t began = now += gap_ms;
        now += kSecond;
        predictor.learn(agent, began, now);
    }

    double probability(std::string_view agent, std::int64_t later_ms = 0) const {
        const auto turns = predictor.expected(now + later_ms);
        const auto found = std::ranges::find(turns, agent, &ExpectedTurn::agent);
        return found == turns.end() ? 0 : found->probability;
    }

    TurnPredictor predictor;
    std::int64_t now = kStart;
};

TEST(TurnPredictor, LearnsWhoFollowsWhom) {
    Story story;
    for (int i = 0; i < 4; ++i) {
        story.turn("a", 200);
        story.turn("b", 200);
        story.turn("c", 200);
    }
    story.turn("a", 200);
    ASSERT_FALSE(story.predictor.expected(story.now).empty());
    EXPECT_EQ(story.predictor.expected(story.now).front().agent, "b");
    EXPECT_GT(story.probability("b"), 0.7);
    EXPECT_EQ(story.probability("c"), 0);
    story.turn("b", 200);
    EXPECT_GT(story.probability("c"), 0.7);
    EXPECT_EQ(story.probability("b"), 0);
}

TEST(TurnPredictor, OnceIsNoHabitYet) {
    Story story;
    EXPECT_TRUE(story.predictor.expected(story.now).empty());
    EXPECT_FALSE(story.predictor.next_look_ms(story.now));
    story.turn("a", 0);
    story.turn("b", 200);
    story.turn("a", 200);
    EXPECT_DOUBLE_EQ(story.probability("b"), 0.5);
}

TEST(TurnPredictor, ATurnWithSeveralFollowersHasSharedProbabilities) {
    Story story;
    for (int i = 0; i < 40; ++i) {
        story.turn("a", 200);
        story.turn(i % 2 == 0 ? "b" : "c", 200);
    }
    story.turn("a", 200);
    EXPECT_NEAR(story.probability("b"), 0.45, 0.06);
    EXPECT_NEAR(story.probability("c"), 0.45, 0.06);
}

// A coordinator whose turn starts three others at once: each of them is certain.
TEST(TurnPredictor, SeveralCanFollowTheSameTurn) {
    Story story;
    for (int i = 0; i < 6; ++i) {
        story.turn("lead", 200);
        const std::int64_t began = story.now + 100;
        for (const char *agent : {"x", "y", "z"}) story.predictor.learn(agent, began, began + 5 * kSecond);
        story.now = began + 5 * kSecond;
    }
    story.turn("lead", 200);
    for (const char *agent : {"x", "y", "z"}) EXPECT_GT(story.probability(agent), 0.8) << agent;
}

TEST(TurnPredictor, AHabitThatChangesIsUnlearned) {
    Story story;
    for (int i = 0; i < 50; ++i) {
        story.turn("a", 200);
        story.turn("b", 200);
    }
    int turns = 0;
    for (story.turn("a", 200); story.probability("c") <= story.probability("b"); story.turn("a", 200)) {
        story.turn("c", 200);
        ASSERT_LT(++turns, 12);
    }
}

// A person answers after ten minutes: nothing is expected at once, and nothing any more after an hour.
TEST(TurnPredictor, ExpectsAFollowerWhenItsTimeHasCome) {
    Story story;
    for (int i = 0; i < 8; ++i) {
        story.turn("a", 2 * kHour);
        story.turn("b", 600 * kSecond);
    }
    story.turn("a", 2 * kHour);
    EXPECT_EQ(story.probability("b"), 0);
    EXPECT_EQ(story.probability("b", 400 * kSecond), 0);
    const auto look = story.predictor.next_look_ms(story.now);
    ASSERT_TRUE(look);
    EXPECT_EQ(*look, story.now + 512 * kSecond - kTurnLeadMs) << "the step of the histogram that begins at 512 s";
    EXPECT_GT(story.probability("b", *look - story.now), 0.8);
    EXPECT_GT(story.probability("b", 600 * kSecond), 0.8);
    EXPECT_GT(story.predictor.expected(*look).front().until_ms, story.now + 600 * kSecond);
    EXPECT_EQ(story.probability("b", kHour), 0);
}

TEST(TurnPredictor, LearnsARhythm) {
    Story story;
    std::mt19937_64 random(test_seed());
    for (int i = 0; i < 6; ++i) {
        const auto late = static_cast<std::int64_t>(random() % 20) * kSecond;
        story.predictor.learn("hourly", kStart + i * kHour + late, kStart + i * kHour + late + kSecond);
    }
    story.now = kStart + 5 * kHour + 40 * kSecond;
    EXPECT_EQ(story.probability("hourly", kHour / 2), 0);
    EXPECT_GT(story.probability("hourly", kHour - 40 * kSecond), 0.75);
    std::optional<std::int64_t> look = story.predictor.next_look_ms(story.now);
    while (look && *look < kStart + 6 * kHour - 150 * kSecond) look = story.predictor.next_look_ms(*look);
    ASSERT_TRUE(look) << "somebody must look again before it is due";
    EXPECT_LT(*look, kStart + 6 * kHour + 20 * kSecond);
    EXPECT_EQ(story.probability("hourly", 2 * kHour), 0) << "it has stayed away";
}

TEST(TurnPredictor, IrregularTurnsHaveNoRhythm) {
    Story story;
    for (const std::int64_t minutes : {5, 90, 7, 200, 31, 3, 140, 66}) story.turn("a", minutes * 60 * kSecond);
    story.predictor.learn("b", story.now, story.now + kSecond);  // so that nobody waits for a's follower
    story.predictor.learn("b", story.now + kSecond, story.now + 2 * kSecond);
    for (int minute = 3; minute < 300; ++minute) EXPECT_EQ(story.probability("a", minute * 60 * kSecond), 0) << minute;
}

TEST(TurnPredictor, AClockThatGoesBackTeachesNothing) {
    Story story;
    for (int i = 0; i < 6; ++i) {
        story.turn("a", 200);
        story.turn("b", 200);
    }
    story.turn("a", 200);
    const double before = story.probability("b");
    story.predictor.learn("b", kStart - kHour, kStart - kHour + kSecond);
    EXPECT_TRUE(story.predictor.expected(kStart - 2 * kHour).empty());
    EXPECT_LE(story.probability("b"), before);
}

TEST(TurnPredictor, ForgetsAndRenames) {
    Story story;
    for (int i = 0; i < 6; ++i) {
        story.turn("a", 200);
        story.turn("b", 200);
    }
    story.turn("a", 200);
    story.predictor.rename("b", "beta");
    EXPECT_GT(story.probability("beta"), 0.7);
    EXPECT_EQ(story.probability("b"), 0);
    story.predictor.forget("beta");
    EXPECT_TRUE(story.predictor.expected(story.now).empty());
    EXPECT_EQ(story.predictor.size(), 1U);
    story.predictor.forget("a");
    EXPECT_TRUE(story.predictor.take_changed().empty());
}

TEST(TurnPredictor, WhatWasTakenAndRestoredPredictsTheSame) {
    Story story;
    for (int i = 0; i < 6; ++i) {
        story.turn("a", 300);
        story.turn("b", 40 * kSecond);
    }
    Story later;
    later.now = story.now;
    for (TurnHabit &habit : story.predictor.take_changed()) later.predictor.restore(std::move(habit));
    EXPECT_TRUE(story.predictor.take_changed().empty());
    EXPECT_TRUE(later.predictor.take_changed().empty()) << "nothing is new in what was restored";
    story.turn("a", 300);
    later.turn("a", 300);
    for (const std::int64_t later_ms : {0 * kSecond, 5 * kSecond, 20 * kSecond, 40 * kSecond, 100 * kSecond}) {
        EXPECT_NEAR(later.probability("b", later_ms), story.probability("b", later_ms), 0.15) << later_ms;
    }
    EXPECT_GT(later.probability("b", 20 * kSecond), 0.6);
}

// Random chains of turns: bounded, ordered, the same each time; and when it says "likely", it is right as often as it says.
TEST(TurnPredictorProperty, IsBoundedDeterministicAndHonest) {
    std::mt19937_64 random(test_seed());
    const auto below = [&](std::uint64_t n) { return static_cast<std::size_t>(random() % n); };
    std::map<int, std::pair<int, int>> outcomes;  // by tenths of probability: said, and came true
    for (int round = 0; round < 40; ++round) {
        const std::size_t n_agents = 2 + below(round % 8 == 7 ? 400 : 12);
        const double order = static_cast<double>(below(101)) / 100;  // how often the usual one follows
        std::vector<std::size_t> usual(n_agents);
        for (std::size_t &next : usual) next = below(n_agents);
        TurnPredictor predictor, twin;
        std::int64_t now = kStart;
        std::size_t current = 0;
        for (int turn = 0; turn < 400; ++turn) {
            const std::size_t next = static_cast<double>(below(1000)) < order * 1000 ? usual[current] : below(n_agents);
            const auto expected = predictor.expected(now);
            EXPECT_TRUE(std::ranges::is_sorted(expected, std::ranges::greater(), &ExpectedTurn::probability));
            for (const ExpectedTurn &guess : expected) {
                EXPECT_GT(guess.probability, 0);
                EXPECT_LE(guess.probability, 1);
                EXPECT_GT(guess.until_ms, now);
                auto &[said, true_ones] = outcomes[static_cast<int>(guess.probability * 10)];
                ++said;
                true_ones += guess.agent == std::to_string(next) ? 1 : 0;
            }
            EXPECT_GT(predictor.next_look_ms(now).value_or(now + 1), now);
            EXPECT_EQ(twin.expected(now), expected);
            now += static_cast<std::int64_t>(below(900));
            for (TurnPredictor *one : {&predictor, &twin}) one->learn(std::to_string(next), now, now + 50);
            now += 50;
            current = next;
        }
        EXPECT_LE(predictor.size(), std::min(n_agents, kMostHabits));
        for (const TurnHabit &habit : predictor.take_changed()) EXPECT_LE(habit.followers.size(), kMostFollowers);
    }
    for (const auto &[tenth, counts] : outcomes) {
        if (counts.first < 300) continue;
        EXPECT_GT(static_cast<double>(counts.second) / counts.first, tenth / 10.0 - 0.12)
            << counts.first << " guesses of " << tenth << " tenths";
    }
}

}  // namespace
}  // namespace engram
