// A full disk, a read-only or failing device: the change is refused with `io`, what was committed stays, and the registry goes
// on.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <string>

#include "registry/fault_vfs.h"
#include "registry/registry_fixture.h"

namespace engram {
namespace {

class RegistryFaultTest : public RegistryTest, public testing::WithParamInterface<int> {
  protected:
    FaultVfs vfs_;  // in place before the first open
};

// Lets `change` fail at each of its writes and syncs in turn, until it succeeds without meeting one.
template <typename Change>
void fail_at_each_step(FaultVfs &vfs, int code, const Registry &registry, const AgentKey &key, const Change &change) {
    int steps = 0;
    for (;; ++steps) {
        const auto before = conversation_of(registry, key);
        const auto rows_before = registry.list("").value();
        ASSERT_TRUE(before) << why(before);
        vfs.fail_after(steps, code);
        const auto changed = change();
        vfs.heal();
        if (!vfs.has_failed()) {
            EXPECT_TRUE(changed) << why(changed);
            break;
        }
        ASSERT_EQ(code_of(changed), ErrorCode::io) << "step " << steps << ": " << why(changed);
        EXPECT_EQ(conversation_of(registry, key).value(), *before) << "step " << steps;
        EXPECT_EQ(registry.list("").value(), rows_before) << "step " << steps;
    }
    EXPECT_GT(steps, 0) << "no step failed";
}

TEST_P(RegistryFaultTest, AFailedTurnLeavesTheOldState) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    std::mt19937_64 random(11);
    Conversation expected;
    for (int i = 0; i < 5; ++i) {
        const Turn turn = random_turn(random, expected);
        fail_at_each_step(vfs_, GetParam(), *registry, key("a"), [&] { return registry->commit_turn(turn.commit(key("a"))); });
        turn.apply(expected);
        EXPECT_EQ(conversation_of(*registry, key("a")).value(), expected);
    }
    EXPECT_EQ(registry->integrity_check(), std::vector<std::string>{});
    EXPECT_EQ(conversation_of(*open(), key("a")).value(), expected);
}

TEST_P(RegistryFaultTest, OtherChangesFailWhole) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    std::mt19937_64 random(12);
    ASSERT_TRUE(registry->commit_turn(random_turn(random, {}).commit(key("a"))));
    const auto expected = conversation_of(*registry, key("a")).value();
    const int code = GetParam();
    fail_at_each_step(vfs_, code, *registry, key("a"), [&] { return registry->create(agent("b")); });
    fail_at_each_step(vfs_, code, *registry, key("a"), [&] { return registry->fork(key("a"), "c", 1); });
    fail_at_each_step(vfs_, code, *registry, key("a"), [&] { return registry->rename(key("c"), "d"); });
    fail_at_each_step(vfs_, code, *registry, key("a"), [&] { return registry->remove(key("b")); });
    const auto again = open();
    EXPECT_EQ(conversation_of(*again, key("a")).value(), expected);
    EXPECT_EQ(conversation_of(*again, key("d")).value(), expected);
    EXPECT_EQ(again->list("")->size(), 2U);
}

TEST_P(RegistryFaultTest, AFailedStartLeavesNoFile) {
    int steps = 0;
    for (;; ++steps) {
        vfs_.fail_after(steps, GetParam());
        const auto opened = Registry::open(file_);
        vfs_.heal();
        if (!vfs_.has_failed()) break;
        if (opened) continue;  // failed only while the log of the finished file was set up or closed
        EXPECT_EQ(code_of(opened), ErrorCode::io) << "step " << steps << ": " << why(opened);
        if (std::filesystem::exists(file_)) {
            const auto healed = Registry::open(file_);
            EXPECT_TRUE(healed) << why(healed);
            std::filesystem::remove(file_);
        }
    }
    EXPECT_GT(steps, 0);
    EXPECT_TRUE(open()->create(agent("a")));
}

INSTANTIATE_TEST_SUITE_P(Codes, RegistryFaultTest,
                         testing::Values(SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC, SQLITE_READONLY));

}  // namespace
}  // namespace engram
