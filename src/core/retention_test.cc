#include "core/retention.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

TEST(Retention, NamesLeadBack) {
    for (const Retention retention :
         {Retention::standard, Retention::five_minutes, Retention::one_hour, Retention::one_day, Retention::forever}) {
        EXPECT_EQ(retention_from_name(retention_name(retention)), retention) << retention_name(retention);
    }
    EXPECT_EQ(retention_from_name("7d"), std::nullopt);
    EXPECT_EQ(retention_from_name(""), std::nullopt);
}

TEST(Retention, CountsFromTheLastUse) {
    EXPECT_EQ(kept_until_ms(Retention::five_minutes, 1'000), 301'000);
    EXPECT_EQ(kept_until_ms(Retention::one_hour, 1'000), 3'601'000);
    EXPECT_EQ(kept_until_ms(Retention::one_day, 1'000), 86'401'000);
    EXPECT_EQ(kept_until_ms(Retention::standard, 1'000), 0);
    EXPECT_EQ(kept_until_ms(Retention::forever, 1'000), 0);
}

}  // namespace
}  // namespace engram
