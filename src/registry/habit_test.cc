// Habits: kept, bounded, gone with their agents, and left out when they are damaged.
#include <gtest/gtest.h>

#include <format>
#include <random>

#include "core/testing/test_seed.h"
#include "registry/habit_codec.h"
#include "registry/registry_fixture.h"
#include "registry/schema.h"

namespace engram {
namespace {

TurnHabit habit_of(const std::string &agent, std::int64_t began_ms, const std::vector<std::string> &followers = {"b"}) {
    TurnHabit habit{.agent = agent, .last_began_ms = began_ms, .followed = 3.5, .intervals = 2, .interval_ms = 60'000.25};
    for (const std::string &follower : followers) {
        habit.followers.push_back({.agent = follower});
        habit.followers.back().gaps[static_cast<std::size_t>(began_ms) % kGapSteps] = 1.75;
    }
    return habit;
}

HabitRow row_of(const std::string &agent, std::int64_t began_ms) {
    return {.tenant = "default", .habit = habit_of(agent, began_ms)};
}

TEST_F(RegistryTest, KeepsHabits) {
    {
        const auto registry = open();
        for (const char *id : {"a", "b"}) ASSERT_TRUE(registry->create(agent(id)));
        AgentRow elsewhere = agent("a");
        elsewhere.key.tenant = "other";
        ASSERT_TRUE(registry->create(elsewhere));
        const std::vector<HabitRow> first{row_of("a", 5), row_of("b", 2), row_of("nobody", 9)};
        ASSERT_TRUE(registry->remember_habits(first));
        const std::vector<HabitRow> again{row_of("b", 7), {.tenant = "other", .habit = habit_of("a", 6)}};
        ASSERT_TRUE(registry->remember_habits(again));
    }
    const std::vector<HabitRow> expected{row_of("a", 5), {.tenant = "other", .habit = habit_of("a", 6)}, row_of("b", 7)};
    EXPECT_EQ(open()->habits().value(), expected);
}

TEST_F(RegistryTest, HabitsGoWithTheirAgentAndFollowItsName) {
    const auto registry = open();
    for (const char *id : {"a", "b"}) ASSERT_TRUE(registry->create(agent(id)));
    const std::vector<HabitRow> rows{row_of("a", 1), row_of("b", 2)};
    ASSERT_TRUE(registry->remember_habits(rows));
    ASSERT_TRUE(registry->remove(key("a")));
    ASSERT_TRUE(registry->rename(key("b"), "c"));
    EXPECT_EQ(registry->habits().value(), std::vector{row_of("c", 2)});
}

TEST_F(RegistryTest, ADamagedHabitIsLeftOut) {
    {
        const auto registry = open();
        for (const char *id : {"a", "b", "c"}) ASSERT_TRUE(registry->create(agent(id)));
        const std::vector<HabitRow> rows{row_of("a", 1), row_of("b", 2), row_of("c", 3)};
        ASSERT_TRUE(registry->remember_habits(rows));
    }
    tamper("UPDATE turn_habits SET habit = x'00' WHERE began_ms = 2");
    tamper("UPDATE turn_habits SET began_ms = 4 WHERE began_ms = 3");
    EXPECT_EQ(open()->habits().value(), std::vector{row_of("a", 1)});
    const std::vector<HabitRow> again{row_of("b", 5)};
    ASSERT_TRUE(open()->remember_habits(again));
    EXPECT_EQ(open()->habits().value(), (std::vector{row_of("a", 1), row_of("b", 5)}));
}

TEST_F(RegistryTest, OnlyTheNewestHabitsAreKept) {
    ASSERT_TRUE(open());
    std::vector<HabitRow> rows;
    for (std::size_t i = 0; i < Registry::kMostHabitRows + 3; ++i) {
        const std::string id = std::format("a{}", i);
        rows.push_back({.tenant = "default", .habit = {.agent = id, .last_began_ms = static_cast<std::int64_t>(i)}});
    }
    tamper(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4098)"
        " INSERT INTO agents (key, tenant, id, created_ms, updated_ms, last_used_ms, pinned, n_tokens, n_messages, n_turns,"
        " checksum, model, vocabulary, forked_from, description, system_prompt, tools, kind, session, expires_ms)"
        " SELECT i + 1, 'default', 'a' || i, 0, 0, 0, 0, 0, 0, 0, 0, '', '', '', '', '', '', 'agent', '', 0"
        " FROM n");
    const auto registry = open();
    ASSERT_TRUE(registry->remember_habits(rows));
    const std::vector<HabitRow> kept = registry->habits().value();
    ASSERT_EQ(kept.size(), Registry::kMostHabitRows);
    EXPECT_EQ(kept.front().habit.agent, "a3");
}

TEST_F(RegistryTest, ARegistryFromBeforeHabitsGetsTheirTable) {
    ASSERT_TRUE(open()->create(agent("a")));
    tamper(
        "UPDATE agents SET id = id; ALTER TABLE agents DROP COLUMN forked_at; ALTER TABLE agents DROP COLUMN card; DROP INDEX "
        "agents_by_use; DROP TABLE turn_habits;"
        " PRAGMA user_version = 2");
    const auto registry = open();
    EXPECT_TRUE(registry->habits().value().empty());
    const std::vector<HabitRow> rows{row_of("a", 1)};
    ASSERT_TRUE(registry->remember_habits(rows));
    EXPECT_EQ(registry->habits().value(), rows);
}

TEST(HabitCodec, AnyBytesGiveAHabitOrNothing) {
    std::mt19937_64 random(test_seed());
    for (int i = 0; i < 20'000; ++i) {
        auto bytes = encode_habit(habit_of("", static_cast<std::int64_t>(random() % 1000), {"b", "a-long-name", ""}));
        for (auto n = random() % 4; n > 0; --n) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 50));
        const auto habit = decode_habit(bytes);
        EXPECT_EQ(habit ? encode_habit(*habit) : bytes, bytes);
    }
    const auto whole = encode_habit(habit_of("", 3));
    EXPECT_EQ(decode_habit(whole), habit_of("", 3));
    for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(decode_habit(std::span(whole).first(n))) << n;
}

}  // namespace
}  // namespace engram
