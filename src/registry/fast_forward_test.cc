#include <gtest/gtest.h>

#include <random>

#include "registry/registry.h"
#include "registry/registry_fixture.h"

namespace engram {
namespace {

using RegistryFastForwardTest = RegistryTest;

TEST_F(RegistryFastForwardTest, AnAgentGoesOnFromItsForkOnlyWhenNothingElseHappened) {
    const auto registry = open();
    std::mt19937_64 random(2);
    ASSERT_TRUE(registry->create(agent("a")));
    ASSERT_TRUE(registry->create(agent("other")));
    Conversation expected;
    const auto say_to = [&](const char *id, std::int64_t now) {
        const Turn turn = random_turn(random, expected);
        TurnCommit commit = turn.commit(key(id));
        commit.now_ms = now;
        ASSERT_TRUE(registry->commit_turn(commit));
        turn.apply(expected);
    };
    for (int i = 0; i < 4; ++i) say_to("a", 50);
    ASSERT_TRUE(registry->set_pinned(key("a"), true));
    ASSERT_TRUE(registry->fork(key("a"), "b", 51));
    for (int i = 0; i < 3; ++i) say_to("b", 60);
    EXPECT_EQ(code_of(registry->fast_forward(key("other"), "b", 70)), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(registry->fast_forward(key("a"), "absent", 70)), ErrorCode::not_found);
    const auto forwarded = registry->fast_forward(key("a"), "b", 70);
    ASSERT_TRUE(forwarded) << why(forwarded);
    EXPECT_EQ(registry->get(key("a")), *forwarded);
    EXPECT_EQ(conversation_of(*registry, key("a")), expected);
    EXPECT_TRUE(forwarded->pinned);
    EXPECT_EQ(forwarded->forked_from, "");
    EXPECT_EQ(code_of(registry->get(key("b"))), ErrorCode::not_found);

    ASSERT_TRUE(registry->fork(key("a"), "late", 80));
    Conversation before = expected;
    say_to("late", 85);
    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .keep_tokens = before.tokens.size(), .now_ms = 90}));
    ++before.n_turns;
    EXPECT_EQ(code_of(registry->fast_forward(key("a"), "late", 95)), ErrorCode::already_exists);
    EXPECT_EQ(conversation_of(*registry, key("a")), before);

    // Within the millisecond in which it was forked: said before, and said after.
    const auto add_to = [&](const char *id, std::string text) {
        TurnCommit commit{.key = key(id), .keep_tokens = 0, .now_ms = 100};
        commit.new_messages = {{.role = "user", .content = std::move(text), .created_ms = 100}};
        const auto committed = registry->commit_turn(commit);
        ASSERT_TRUE(committed) << why(committed);
    };
    ASSERT_TRUE(registry->create(agent("c")));
    add_to("c", "before");
    ASSERT_TRUE(registry->fork(key("c"), "d", 100));
    add_to("d", "in the fork");
    ASSERT_TRUE(registry->fast_forward(key("c"), "d", 100));
    ASSERT_TRUE(registry->fork(key("c"), "e", 100));
    add_to("e", "in the fork");
    add_to("c", "after");
    EXPECT_EQ(code_of(registry->fast_forward(key("c"), "e", 100)), ErrorCode::already_exists);
}

// Whichever way the clock is put between what happens.
TEST_F(RegistryFastForwardTest, AClockThatIsPutBackHidesNoChange) {
    const auto registry = open();
    const auto say_to = [&](const char *id, std::int64_t now) {
        TurnCommit commit{.key = key(id), .keep_tokens = 0, .now_ms = now};
        commit.new_messages = {{.role = "user", .content = "Hello", .created_ms = now}};
        const auto committed = registry->commit_turn(commit);
        ASSERT_TRUE(committed) << why(committed);
    };
    int made = 0;
    for (const std::int64_t forked : {100, 300}) {
        for (const std::int64_t changed : {50, 100, 200, 300, 400}) {
            for (const bool described : {false, true}) {
                const std::string id = "a" + std::to_string(++made), fork = id + "-fork";
                ASSERT_TRUE(registry->create(agent(id)));
                say_to(id.c_str(), 200);
                ASSERT_TRUE(registry->fork(key(id), fork, forked));
                say_to(fork.c_str(), forked);
                ASSERT_TRUE(registry->fork(key(id), fork + "2", forked));
                ASSERT_TRUE(registry->fast_forward(key(id), fork + "2", changed)) << "nothing has happened to the agent";
                EXPECT_EQ(code_of(registry->fast_forward(key(id), fork, changed)), ErrorCode::already_exists) << "it went on";
                ASSERT_TRUE(registry->fork(key(id), fork + "3", forked));
                if (described) {
                    ASSERT_TRUE(registry->describe(key(id), {.description = "another"}, changed));
                } else {
                    say_to(id.c_str(), changed);
                }
                EXPECT_EQ(code_of(registry->fast_forward(key(id), fork + "3", changed)), ErrorCode::already_exists)
                    << forked << " " << changed << " " << described;
            }
        }
    }
}

TEST_F(RegistryFastForwardTest, AForkOfAnOlderVersionMayHaveBeenOvertaken) {
    ASSERT_TRUE(open()->create(agent("a")));
    ASSERT_TRUE(open()->fork(key("a"), "b", 100));
    AgentRow row = *open()->get(key("b"));
    ASSERT_NE(row.forked_at, kForkedBefore);
    ASSERT_TRUE(open()->remove(key("b")));
    row.forked_at = kForkedBefore;
    ASSERT_TRUE(open()->create(row));
    EXPECT_EQ(code_of(open()->fast_forward(key("a"), "b", 200)), ErrorCode::already_exists);
}

}  // namespace
}  // namespace engram
