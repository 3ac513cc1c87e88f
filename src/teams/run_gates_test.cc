#include "teams/run_gates.h"

#include <gtest/gtest.h>

#include <thread>

namespace engram {
namespace {

const RunGates::Agent kA{"t", "a"}, kB{"t", "b"}, kC{"t", "c"};

// As soon as it is refused for a circle: until then it tries without waiting.
Error refused(RunGates &gates, const RunGates::Agent &wanted, const RunGates::Agent &asker) {
    std::stop_source at_once;
    at_once.request_stop();
    while (true) {
        const auto tried = gates.take(wanted, asker, at_once.get_token());
        if (tried) return Error{.code = ErrorCode::internal, .message = wanted.second + " was free"};
        if (tried.error().code != ErrorCode::cancelled) return tried.error();
    }
}

TEST(RunGates, OneRunAtATime) {
    RunGates gates;
    auto first = gates.take(kA, {}, {});
    ASSERT_TRUE(first);
    EXPECT_TRUE(gates.take({"other tenant", "a"}, {}, {})) << "another agent of the same name";
    bool second_has_it = false;
    std::jthread second([&] { second_has_it = gates.take(kA, {}, {}).has_value(); });
    {
        const RunGates::Hold gone = std::move(*first);
    }
    second.join();
    EXPECT_TRUE(second_has_it);
    EXPECT_TRUE(gates.take(kA, {}, {}));
}

TEST(RunGates, WhoIsStoppedWaitsNoLonger) {
    RunGates gates;
    const auto held = gates.take(kA, {}, {});
    const auto asks = gates.take(kB, {}, {});
    std::stop_source stop;
    std::jthread later([&] { stop.request_stop(); });
    const auto waited = gates.take(kA, kB, stop.get_token());
    ASSERT_FALSE(waited);
    EXPECT_EQ(waited.error().code, ErrorCode::cancelled);
    EXPECT_EQ(waited.error().message, "a was busy until the end");
    EXPECT_TRUE(gates.take(kC, kA, {}));
    std::stop_source at_once;
    at_once.request_stop();
    EXPECT_EQ(gates.take(kB, kA, at_once.get_token()).error().code, ErrorCode::cancelled) << "b doesn't wait for a any more";
}

// Three runs that nobody else began. a wants b, and b wants c. When c then wants a, nobody could ever go on.
TEST(RunGates, ACircleIsRefusedAndTheOthersGoOn) {
    RunGates gates;
    auto a = gates.take(kA, {}, {});
    auto b = gates.take(kB, {}, {});
    auto c = gates.take(kC, {}, {});
    bool a_has_b = false, b_has_c = false;
    std::jthread one([&] {
        a_has_b = gates.take(kB, kA, {}).has_value();
        const RunGates::Hold all_of_it = std::move(*a);
    });
    std::jthread two([&] {
        b_has_c = gates.take(kC, kB, {}).has_value();
        const RunGates::Hold all_of_it = std::move(*b);
    });
    const Error three = refused(gates, kA, kC);
    EXPECT_EQ(three.code, ErrorCode::locked);
    EXPECT_TRUE(three.message.contains("ask it later")) << three.message;
    {
        const RunGates::Hold gone = std::move(*c);
    }
    two.join();
    one.join();
    EXPECT_TRUE(a_has_b);
    EXPECT_TRUE(b_has_c);
}

// a gives work to b and c, which then want each other.
TEST(RunGates, SiblingsThatAskEachOtherAreACircle) {
    RunGates gates;
    const auto a = gates.take(kA, {}, {});
    auto b = gates.take(kB, kA, {});
    auto c = gates.take(kC, kA, {});
    bool b_has_c = false;
    std::jthread b_asks([&] { b_has_c = gates.take(kC, kB, {}).has_value(); });
    const Error error = refused(gates, kB, kC);
    EXPECT_EQ(error.code, ErrorCode::locked);
    EXPECT_EQ(error.message, "b is at work for somebody who waits for an agent that is at work here; ask it later");
    {
        const RunGates::Hold gone = std::move(*c);  // c goes on without b's help
    }
    b_asks.join();
    EXPECT_TRUE(b_has_c);
    EXPECT_EQ(refused(gates, kA, kB).code, ErrorCode::locked) << "a waits for the answer of b";
    EXPECT_EQ(refused(gates, kB, kB).code, ErrorCode::locked) << "nobody waits for itself";
}

// Two calls of one answer that give work to the same colleague follow each other.
TEST(RunGates, AColleagueMayBeAskedTwiceAtOnce) {
    RunGates gates;
    const auto b = gates.take(kB, {}, {});
    auto first = gates.take(kA, kB, {});
    bool second_has_it = false;
    std::jthread second([&] { second_has_it = gates.take(kA, kB, {}).has_value(); });
    {
        const RunGates::Hold gone = std::move(*first);
    }
    second.join();
    EXPECT_TRUE(second_has_it);
}

// What was waited for, and has come, closes no circle.
TEST(RunGates, WhoHasAnsweredMayAsk) {
    RunGates gates;
    const auto a = gates.take(kA, {}, {});
    {
        const auto b = gates.take(kB, kA, {});
        ASSERT_TRUE(b);
    }
    const auto b = gates.take(kB, {}, {});
    std::stop_source at_once;
    at_once.request_stop();
    EXPECT_EQ(gates.take(kA, kB, at_once.get_token()).error().code, ErrorCode::cancelled) << "busy, not refused";
}

}  // namespace
}  // namespace engram
