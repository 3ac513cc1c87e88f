#include "tenants/quota.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

TEST(Quota, AgentsAreGrantedUpToTheLimit) {
    EXPECT_TRUE(check_agents({}, "t", UINT64_MAX)) << "no limit";
    EXPECT_TRUE(check_agents({.agents = 2}, "t", 1));
    EXPECT_FALSE(check_agents({.agents = 2}, "t", 2));
    EXPECT_FALSE(check_agents({.agents = 2}, "t", 5)) << "it was lowered";
    EXPECT_FALSE(check_agents({.agents = 0}, "t", 0)) << "0 allows nothing";
    EXPECT_TRUE(check_agents({.agents = 5}, "t", 2, 3));
    EXPECT_FALSE(check_agents({.agents = 5}, "t", 3, 3));
    EXPECT_FALSE(check_agents({.agents = 5}, "t", 0, UINT64_MAX));
    EXPECT_TRUE(check_agents({.agents = 2}, "t", 5, 0)) << "none is wanted";
}

TEST(Quota, TheSentenceSaysWhatWhoseAndHowMuch) {
    const auto refused = check_agents({.agents = 2}, "team", 2);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::over_budget);
    EXPECT_EQ(refused.error().message,
              "tenant team has 2 of 2 agents and can't have another; delete one, or ask the operator for a larger quota");
    EXPECT_EQ(check_agents({.agents = 4}, "team", 2, 3).error().message,
              "tenant team has 2 of 4 agents and can't have 3 more; delete some, or ask the operator for a larger quota");
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
