#include "tenants/storage_meter.h"

#include <gtest/gtest.h>

#include "tenants/testing/tenants_fixture.h"

namespace engram {
namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::uint64_t kGiB = 1ULL << 30;

class StorageMeterTest : public TenantsFileTest {
  protected:
    std::unique_ptr<Tenants> open() {
        auto tenants = Tenants::open(folder_, clock_);
        EXPECT_TRUE(tenants) << why(tenants);
        return tenants ? std::move(*tenants) : nullptr;
    }
    void pass(double seconds) {
        const auto microseconds = static_cast<std::int64_t>(seconds * kSecond);
        clock_.steady += microseconds;
        clock_.wall += microseconds / 1000;
    }
    static std::uint64_t byte_seconds(Tenants &tenants, const std::string &tenant, const std::string &agent,
                                      const std::string &day = {}) {
        std::uint64_t sum = 0;
        const auto rows = tenants.usage({.from_day = day, .to_day = day, .tenant = tenant});
        EXPECT_TRUE(rows) << why(rows);
        for (const UsageRow &row : rows.value_or(std::vector<UsageRow>())) {
            if (row.agent == agent) sum += row.usage.stored_byte_seconds;
        }
        return sum;
    }
};

TEST_F(StorageMeterTest, IsTheIntegralOverTime) {
    const auto tenants = open();
    StorageMeter meter(*tenants, clock_);
    meter.look({{"red", "a", 100}, {"blue", "", 7}});
    EXPECT_EQ(byte_seconds(*tenants, "red", "a"), 0U) << "no time has passed";
    pass(60);
    meter.look({{"red", "a", 300}, {"red", "b", 1}});
    pass(30);
    meter.look({});
    pass(1000);
    meter.look({{"red", "a", 5}});
    EXPECT_EQ(byte_seconds(*tenants, "red", "a"), 60U * 100 + 30U * 300);
    EXPECT_EQ(byte_seconds(*tenants, "red", "b"), 30U);
    EXPECT_EQ(byte_seconds(*tenants, "blue", ""), 60U * 7);
}

TEST_F(StorageMeterTest, PartsOfSecondsAreNotLost) {
    const auto tenants = open();
    StorageMeter meter(*tenants, clock_);
    for (int i = 0; i < 1000; ++i) {
        meter.look({{"red", "a", 10}});
        pass(0.7);
    }
    meter.look({});
    EXPECT_EQ(byte_seconds(*tenants, "red", "a"), 7000U);
}

TEST_F(StorageMeterTest, ARestartCountsNothingTwiceAndNotTheTimeBetween) {
    for (int run = 0; run < 3; ++run) {
        const auto tenants = open();
        StorageMeter meter(*tenants, clock_);
        meter.look({{"red", "a", kGiB}});
        pass(3600);
        meter.look({{"red", "a", kGiB}});
        clock_.steady = 1000 * run;  // another process, another steady clock
        clock_.wall += 7'200'000;
    }
    const auto tenants = open();
    EXPECT_EQ(byte_seconds(*tenants, "red", "a"), 3 * 3600 * kGiB);
    const auto rows = tenants->usage({.columns = {.day = false, .tenant = true, .agent = false}});
    ASSERT_TRUE(rows) << why(rows);
    EXPECT_DOUBLE_EQ(rows->at(0).usage.stored_byte_hours(), 3.0 * kGiB);
    EXPECT_NE(usage_csv(*rows, {.day = false, .tenant = true, .agent = false}).find("red,0,0,0,0,3221225472\n"),
              std::string::npos)
        << usage_csv(*rows, {.day = false, .tenant = true, .agent = false});
}

TEST_F(StorageMeterTest, DaysAreKeptApart) {
    const auto tenants = open();
    StorageMeter meter(*tenants, clock_);  // it is noon
    for (int minute = 0; minute <= 24 * 60; ++minute) {
        meter.look({{"red", "a", 2}});
        pass(60);
    }
    EXPECT_EQ(byte_seconds(*tenants, "red", "a", "2026-01-31") + byte_seconds(*tenants, "red", "a", "2026-02-01"),
              2U * 24 * 3600);
    EXPECT_NEAR(static_cast<double>(byte_seconds(*tenants, "red", "a", "2026-01-31")), 2.0 * 12 * 3600, 2 * 60);
}

TEST_F(StorageMeterTest, TheLargestBytesStayWhereTheyAre) {
    const auto tenants = open();
    StorageMeter meter(*tenants, clock_);
    meter.look({{"red", "a", UINT64_MAX}, {"", "", 100}});
    pass(86'400);
    meter.look({});
    EXPECT_GE(byte_seconds(*tenants, "red", "a"), (1ULL << 62) - 1);
    EXPECT_EQ(tenants->usage({})->size(), 1U) << "what belongs to nobody is nobody's";
}

}  // namespace
}  // namespace engram
