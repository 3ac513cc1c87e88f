#include "core/eviction_score.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

constexpr std::int64_t kHalfLifeMs = static_cast<std::int64_t>(kEvictionHalfLifeHours * 3'600'000.0);

TEST(EvictionScore, IsMillisecondsSavedPerByte) {
    EXPECT_DOUBLE_EQ(eviction_score({.recompute_ms_per_token = 2.0, .tokens = 256, .bytes = 1024, .age_ms = 0}), 0.5);
}

TEST(EvictionScore, IsHalvedByEveryHalfLife) {
    const double fresh = eviction_score({.recompute_ms_per_token = 4.0, .tokens = 256, .bytes = 4096, .age_ms = 0});
    EXPECT_DOUBLE_EQ(eviction_score({.recompute_ms_per_token = 4.0, .tokens = 256, .bytes = 4096, .age_ms = kHalfLifeMs}),
                     fresh / 2);
    EXPECT_DOUBLE_EQ(eviction_score({.recompute_ms_per_token = 4.0, .tokens = 256, .bytes = 4096, .age_ms = 3 * kHalfLifeMs}),
                     fresh / 8);
}

TEST(EvictionScore, AClockThatWentBackMakesNothingMoreValuable) {
    EXPECT_DOUBLE_EQ(eviction_score({.tokens = 1, .bytes = 1, .age_ms = -kHalfLifeMs}), 1.0);
}

TEST(EvictionScore, IsFiniteWithoutBytes) { EXPECT_DOUBLE_EQ(eviction_score({.tokens = 3, .bytes = 0, .age_ms = 0}), 3.0); }

}  // namespace
}  // namespace engram
