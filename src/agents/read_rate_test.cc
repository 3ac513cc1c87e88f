#include "agents/read_rate.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

constexpr std::uint64_t kMib = 1U << 20U;

TEST(ReadRateTest, ReadsAsLongAsLittleIsKnown) {
    ReadRate rate;
    EXPECT_TRUE(rate.worth_reading(100 * kMib, 1, 0.001));
    rate.measured(10 * kMib, 1000);
    EXPECT_TRUE(rate.worth_reading(100 * kMib, 1, std::nullopt));
    rate = {};
    rate.measured(1000, 1000);  // too little to tell
    EXPECT_FALSE(rate.ms_per_mib().has_value());
}

TEST(ReadRateTest, TheQuickerWayIsTaken) {
    ReadRate rate;
    for (int i = 0; i < 20; ++i) rate.measured(10 * kMib, 100);  // 10 ms per MiB
    EXPECT_NEAR(*rate.ms_per_mib(), 10, 1e-9);
    EXPECT_TRUE(rate.worth_reading(10 * kMib, 1000, 1.0)) << "100 ms against a second";
    EXPECT_FALSE(rate.worth_reading(10 * kMib, 50, 1.0)) << "100 ms against 50";
}

TEST(ReadRateTest, ASlowDiskIsTriedAgain) {
    ReadRate rate;
    rate.measured(kMib, 1000);
    int noes = 0;
    while (!rate.worth_reading(kMib, 100, 1.0)) ASSERT_LT(++noes, 100);
    EXPECT_GT(noes, 5);
    rate.measured(kMib, 1000);  // still slow
    EXPECT_FALSE(rate.worth_reading(kMib, 100, 1.0));
    for (int i = 0; i < 50; ++i) rate.measured(kMib, 1);
    EXPECT_TRUE(rate.worth_reading(kMib, 100, 1.0));
}

}  // namespace
}  // namespace engram
