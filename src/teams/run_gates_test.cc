#include "teams/run_gates.h"

#include <gtest/gtest.h>

#include <thread>

namespace engram {
namespace {

const RunGates::Agent kA{"t", "a"}, kB{"t", "b"}, kC{"t", "c"};

// Chains are told apart by addresses.
struct Chains {
    int one = 0, two = 0, three = 0;
};

TEST(RunGates, OneRunAtATime) {
    RunGates gates;
    const Chains chains;
    auto first = gates.take(kA, &chains.one, {});
    ASSERT_TRUE(first);
    EXPECT_TRUE(gates.take({"other tenant", "a"}, &chains.two, {})) << "another agent of the same name";
    bool second_has_it = false;
    std::jthread second([&] {
        const auto hold = gates.take(kA, &chains.two, {});
        second_has_it = hold.has_value();
    });
    {
        const RunGates::Hold gone = std::move(*first);
    }
    second.join();
    EXPECT_TRUE(second_has_it);
    EXPECT_TRUE(gates.take(kA, &chains.three, {}));
}

TEST(RunGates, WhoIsStoppedWaitsNoLonger) {
    RunGates gates;
    const Chains chains;
    const auto held = gates.take(kA, &chains.one, {});
    std::stop_source stop;
    std::jthread later([&] { stop.request_stop(); });
    const auto waited = gates.take(kA, &chains.two, stop.get_token());
    ASSERT_FALSE(waited);
    EXPECT_EQ(waited.error().code, ErrorCode::cancelled);
    EXPECT_EQ(waited.error().message, "a was busy until the end");
}

// One holds a and wants b; two holds b and wants c; three holds c. When three then wants a, nobody could ever go on.
TEST(RunGates, ACircleIsRefusedAndTheOthersGoOn) {
    RunGates gates;
    const Chains chains;
    auto a = gates.take(kA, &chains.one, {});
    auto b = gates.take(kB, &chains.two, {});
    auto c = gates.take(kC, &chains.three, {});
    bool one_has_b = false, two_has_c = false;
    std::jthread one([&] {
        const auto waited = gates.take(kB, &chains.one, {});
        one_has_b = waited.has_value();
        const RunGates::Hold all_of_it = std::move(*a);
    });
    std::jthread two([&] {
        const auto waited = gates.take(kC, &chains.two, {});
        two_has_c = waited.has_value();
        const RunGates::Hold all_of_it = std::move(*b);
    });
    // Whoever of the three comes last closes the circle; three tries until the others wait.
    std::optional<Error> three;
    do {
        std::stop_source at_once;
        at_once.request_stop();
        const auto tried = gates.take(kA, &chains.three, at_once.get_token());
        ASSERT_FALSE(tried);
        three = tried.error();
    } while (three->code == ErrorCode::cancelled);
    EXPECT_EQ(three->code, ErrorCode::locked);
    EXPECT_TRUE(three->message.contains("ask it later")) << three->message;
    {
        const RunGates::Hold gone = std::move(*c);
    }
    two.join();
    one.join();
    EXPECT_TRUE(one_has_b);
    EXPECT_TRUE(two_has_c);
}

// Two calls of one answer that give work to the same colleague follow each other.
TEST(RunGates, AChainMayWaitForItself) {
    RunGates gates;
    const Chains chains;
    auto first = gates.take(kA, &chains.one, {});
    bool second_has_it = false;
    std::jthread second([&] { second_has_it = gates.take(kA, &chains.one, {}).has_value(); });
    {
        const RunGates::Hold gone = std::move(*first);
    }
    second.join();
    EXPECT_TRUE(second_has_it);
}

}  // namespace
}  // namespace engram
