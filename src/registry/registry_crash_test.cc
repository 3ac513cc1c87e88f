// SIGKILL at random moments: every turn whose commit returned is there whole, and none is there in part.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "core/testing/test_seed.h"
#include "registry/registry_fixture.h"

namespace engram {
namespace {

constexpr int kRounds = 40;

// Turn `n` of the conversation, the same in each process.
Turn turn_number(std::uint64_t seed, std::uint64_t n, const Conversation &before) {
    std::mt19937_64 random(seed + n);
    return random_turn(random, before);
}

// Commits one turn after the other until it is killed, and writes the number of turns after each commit to `report`.
[[noreturn]] void commit_forever(const std::filesystem::path &file, const AgentKey &key, std::uint64_t seed, int report) {
    auto registry = Registry::open(file);
    if (!registry) ::_exit(2);
    AgentRow row{.key = key};
    if (const auto created = (*registry)->create(row); !created && created.error().code != ErrorCode::already_exists) ::_exit(3);
    auto conversation = conversation_of(**registry, key);
    if (!conversation) ::_exit(4);
    for (;;) {
        const Turn turn = turn_number(seed, conversation->n_turns, *conversation);
        if (!(*registry)->commit_turn(turn.commit(key))) ::_exit(5);
        turn.apply(*conversation);
        if (::write(report, &conversation->n_turns, sizeof conversation->n_turns) != sizeof conversation->n_turns) ::_exit(6);
    }
}

TEST_F(RegistryTest, KilledAtAnyMomentEveryCommittedTurnIsThere) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    Conversation expected;
    for (int round = 0; round < kRounds; ++round) {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) commit_forever(file_, key("a"), seed, ends[1]);
        ::close(ends[1]);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
        ASSERT_EQ(::kill(child, SIGKILL), 0);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with " << WEXITSTATUS(status);
        std::uint64_t acknowledged = expected.n_turns;
        while (::read(ends[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged) {
        }
        ::close(ends[0]);

        const auto registry = open();
        ASSERT_NE(registry, nullptr);
        const auto found = conversation_of(*registry, key("a"));
        if (!found && found.error().code == ErrorCode::not_found && acknowledged == 0)
            continue;  // killed before the agent was made
        ASSERT_TRUE(found) << why(found);
        ASSERT_GE(found->n_turns, acknowledged);
        ASSERT_LE(found->n_turns, acknowledged + 1);
        while (expected.n_turns < found->n_turns) turn_number(seed, expected.n_turns, expected).apply(expected);
        ASSERT_EQ(*found, expected) << "round " << round << ", seed " << seed;
        ASSERT_EQ(registry->integrity_check(), std::vector<std::string>{});
    }
    EXPECT_GT(expected.n_turns, 0U);
}

}  // namespace
}  // namespace engram
