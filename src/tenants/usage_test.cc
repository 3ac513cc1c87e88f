#include "tenants/usage.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "core/testing/test_seed.h"

namespace engram {
namespace {

const std::vector<UsageRow> kRows{
    {.day = "2026-01-31",
     .tenant = "default",
     .agent = "analyst",
     .usage =
         {.requests = 3, .computed_tokens = 812, .reused_tokens = 20'000, .generated_tokens = 96, .stored_byte_seconds = 5'400}},
    {.day = "2026-02-01", .tenant = "team", .agent = "", .usage = {.requests = 1}}};

TEST(Usage, AddsUpAndStopsAtTheLargestNumber) {
    Usage usage{.requests = 1, .computed_tokens = UINT64_MAX - 1};
    usage += Usage{.requests = 2, .computed_tokens = 5, .reused_tokens = 7, .generated_tokens = 8, .stored_byte_seconds = 9};
    EXPECT_EQ(
        usage,
        (Usage{
            .requests = 3, .computed_tokens = UINT64_MAX, .reused_tokens = 7, .generated_tokens = 8, .stored_byte_seconds = 9}));
}

TEST(Usage, ColumnsAreNamedInAnyOrder) {
    EXPECT_EQ(UsageColumns::parse("day"), (UsageColumns{.day = true, .tenant = false, .agent = false}));
    EXPECT_EQ(UsageColumns::parse("tenant,day"), (UsageColumns{.day = true, .tenant = true, .agent = false}));
    EXPECT_EQ(UsageColumns::parse("agent"), (UsageColumns{.day = false, .tenant = true, .agent = true}));
    for (const char *text : {"", "days", "day,", "day tenant"}) EXPECT_FALSE(UsageColumns::parse(text)) << text;
}

TEST(Usage, AsCsv) {
    EXPECT_EQ(usage_csv(kRows, {}),
              "day,tenant,agent,requests,computed_tokens,reused_tokens,generated_tokens,stored_byte_hours\n"
              "2026-01-31,default,analyst,3,812,20000,96,1.5\n"
              "2026-02-01,team,,1,0,0,0,0\n");
    EXPECT_EQ(usage_csv({}, UsageColumns::parse("day").value()),
              "day,requests,computed_tokens,reused_tokens,generated_tokens,stored_byte_hours\n");
}

TEST(Usage, AsJson) {
    EXPECT_EQ(usage_json(kRows, {}).dump(),
              R"([{"day":"2026-01-31","tenant":"default","agent":"analyst","requests":3,"computed_tokens":812,)"
              R"("reused_tokens":20000,"generated_tokens":96,"stored_byte_hours":1.5},)"
              R"({"day":"2026-02-01","tenant":"team","agent":"","requests":1,"computed_tokens":0,"reused_tokens":0,)"
              R"("generated_tokens":0,"stored_byte_hours":0.0}])");
    EXPECT_EQ(usage_json({}, {}).dump(), "[]");
    EXPECT_FALSE(usage_json(kRows, UsageColumns::parse("tenant").value())[0].contains("day"));
}

TEST(Usage, DaysAreThoseOfUtc) {
    EXPECT_EQ(day_of(0), "1970-01-01");
    EXPECT_EQ(day_of(-1), "1969-12-31");
    EXPECT_EQ(day_of(1'769'903'999'999), "2026-01-31");
    EXPECT_EQ(day_of(1'769'904'000'000), "2026-02-01");
}

TEST(Usage, OnlyDaysOfTheCalendarAreDays) {
    for (const char *text : {"2026-01-31", "2024-02-29", "0001-01-01", "9999-12-31"}) EXPECT_TRUE(validate_day(text)) << text;
    for (const char *text : {"", "2026", "2026-1-31", "2026-02-29", "2026-13-01", "2026-00-10", "2026-01-00", "2026-01-32",
                             "2026/01/31", "2026-01-31 ", "+026-01-31", "2026--1-31", "yesterday"}) {
        EXPECT_FALSE(validate_day(text)) << text;
    }
}

// Days compare like their texts: queries rely on it.
TEST(Usage, AnyMomentHasAValidDay) {
    std::mt19937_64 random(test_seed());
    for (int i = 0; i < 10'000; ++i) {
        const auto ms = static_cast<std::int64_t>(random() % 250'000'000'000'000);
        const std::string day = day_of(ms);
        EXPECT_TRUE(validate_day(day)) << ms;
        EXPECT_LT(day, day_of(ms + 86'400'000)) << ms;
    }
}

}  // namespace
}  // namespace engram
