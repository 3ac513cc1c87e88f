#include "tenants/quota.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

TEST(Quota, WhatIsNotLimitedIsAlwaysGranted) {
    EXPECT_TRUE(check_quota({}, "t", {.disk_bytes = kMaxLimit, .agents = 1'000'000}, {.disk_bytes = UINT64_MAX, .agents = 1}));
}

TEST(Quota, LimitsAreReachedAndNotPassed) {
    const Quota quota{.disk_bytes = 100, .memory_bytes = 50, .agents = 2, .tokens_per_minute = {}, .concurrent_requests = {}};
    EXPECT_TRUE(check_quota(quota, "t", {.disk_bytes = 60}, {.disk_bytes = 40}));
    EXPECT_TRUE(check_quota(quota, "t", {.agents = 1}, {.agents = 1}));
    EXPECT_FALSE(check_quota(quota, "t", {.disk_bytes = 60}, {.disk_bytes = 41}));
    EXPECT_FALSE(check_quota(quota, "t", {.memory_bytes = 50}, {.memory_bytes = 1}));
    EXPECT_FALSE(check_quota(quota, "t", {.agents = 2}, {.agents = 1}));
    EXPECT_FALSE(check_quota(quota, "t", {.disk_bytes = 1}, {.disk_bytes = UINT64_MAX})) << "the sum overflows";
    EXPECT_FALSE(check_quota({.agents = 0}, "t", {}, {.agents = 1})) << "0 allows nothing";
}

TEST(Quota, WhatWasThereBeforeALimitWasLoweredMayStay) {
    const Quota quota{.disk_bytes = 100, .agents = 2};
    EXPECT_TRUE(check_quota(quota, "t", {.disk_bytes = 500, .agents = 1}, {.agents = 1})) << "only an agent is added";
    EXPECT_FALSE(check_quota(quota, "t", {.disk_bytes = 500}, {.disk_bytes = 1}));
}

TEST(Quota, TheSentenceSaysWhatWhoseAndHowMuch) {
    const auto refused = check_quota({.agents = 2}, "team", {.agents = 2}, {.agents = 1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::over_budget);
    EXPECT_EQ(refused.error().message,
              "tenant team has 2 of 2 agents and can't have 1 more; delete one, or ask the operator for a larger quota");
}

TEST(Quota, LimitsHaveLimits) {
    for (const QuotaField &field : kQuotaFields) {
        Quota quota;
        quota.*field.limit = field.most;
        EXPECT_TRUE(validate_quota(quota)) << field.name;
        quota.*field.limit = field.most + 1;
        EXPECT_FALSE(validate_quota(quota)) << field.name;
    }
}

}  // namespace
}  // namespace engram
