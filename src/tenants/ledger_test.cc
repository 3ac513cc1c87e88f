#include "tenants/ledger.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <map>
#include <random>

#include "core/testing/test_seed.h"
#include "tenants/testing/tenants_fixture.h"

namespace engram {
namespace {

constexpr std::int64_t kDayMs = 86'400'000;

class LedgerTest : public TenantsFileTest {
  protected:
    std::unique_ptr<Ledger> open() {
        auto ledger = Ledger::open(file_, clock_);
        EXPECT_TRUE(ledger) << why(ledger);
        return ledger ? std::move(*ledger) : nullptr;
    }
};

TEST_F(LedgerTest, NumbersAddUpByDayTenantAndAgent) {
    auto ledger = open();
    ledger->add("a", "x", {.requests = 1, .computed_tokens = 10});
    ledger->add("a", "x", {.requests = 1, .generated_tokens = 5});
    ledger->add("a", "", {.requests = 1});
    ledger->add("b", "x", {.reused_tokens = 7});
    ASSERT_TRUE(ledger->flush());
    clock_.wall += kDayMs;
    ledger->add("a", "x", {.requests = 1, .stored_byte_seconds = 3600});
    ASSERT_TRUE(ledger->flush());
    ledger->add("a", "x", {.requests = 1});
    ASSERT_TRUE(ledger->flush());
    const std::vector<UsageRow> expected{
        {.day = "2026-01-31", .tenant = "a", .agent = "", .usage = {.requests = 1}},
        {.day = "2026-01-31",
         .tenant = "a",
         .agent = "x",
         .usage = {.requests = 2, .computed_tokens = 10, .generated_tokens = 5}},
        {.day = "2026-01-31", .tenant = "b", .agent = "x", .usage = {.reused_tokens = 7}},
        {.day = "2026-02-01", .tenant = "a", .agent = "x", .usage = {.requests = 2, .stored_byte_seconds = 3600}}};
    EXPECT_EQ(ledger->query({}), expected);
    EXPECT_EQ(open()->query({}), expected) << "another connection";
}

TEST_F(LedgerTest, QueriesByRangeTenantAndColumns) {
    auto ledger = open();
    for (int day = 0; day < 3; ++day) {
        ledger->add("a", "x", {.requests = 1});
        ledger->add("a", "y", {.requests = 10});
        ledger->add("b", "x", {.requests = 100});
        clock_.wall += kDayMs;
    }
    ASSERT_TRUE(ledger->flush());
    const auto requests = [&ledger](const UsageQuery &query) {
        std::string text;
        const auto rows = ledger->query(query);
        EXPECT_TRUE(rows) << why(rows);
        for (const UsageRow &row : rows.value_or(std::vector<UsageRow>())) {
            text += row.day + "/" + row.tenant + "/" + row.agent + "=" + std::to_string(row.usage.requests) + " ";
        }
        return text;
    };
    const auto by = [](const char *text) { return UsageColumns::parse(text).value(); };
    EXPECT_EQ(requests({.columns = by("day")}), "2026-01-31//=111 2026-02-01//=111 2026-02-02//=111 ");
    EXPECT_EQ(requests({.columns = by("tenant")}), "/a/=33 /b/=300 ");
    EXPECT_EQ(requests({.columns = by("agent")}), "/a/x=3 /a/y=30 /b/x=300 ");
    EXPECT_EQ(requests({.from_day = "2026-02-01", .columns = by("tenant")}), "/a/=22 /b/=200 ");
    EXPECT_EQ(requests({.from_day = "2026-02-01", .to_day = "2026-02-01", .tenant = "a", .columns = by("day")}),
              "2026-02-01//=11 ");
    EXPECT_EQ(requests({.to_day = "2025-12-31"}), "");
    EXPECT_EQ(requests({.tenant = "nobody"}), "");
    EXPECT_EQ(code_of(ledger->query({.from_day = "last week"})), ErrorCode::invalid_argument);
}

TEST_F(LedgerTest, WhatCannotBeWrittenWaits) {
    auto ledger = open();
    ledger->add("a", "x", {.requests = 1});
    tamper("PRAGMA user_version = 1; CREATE TRIGGER full BEFORE INSERT ON usage BEGIN SELECT RAISE(ABORT, 'no'); END");
    EXPECT_FALSE(ledger->flush());
    ledger->add("a", "x", {.requests = 2});
    EXPECT_FALSE(ledger->flush());
    tamper("PRAGMA user_version = 1; DROP TRIGGER full");
    ASSERT_TRUE(ledger->flush());
    ASSERT_TRUE(ledger->flush());
    EXPECT_EQ(ledger->query({})->at(0).usage.requests, 3U);
}

TEST_F(LedgerTest, TheLargestNumbersStayWhereTheyAre) {
    for (int i = 0; i < 4; ++i) {
        auto ledger = open();
        ledger->add("a", "x", {.requests = UINT64_MAX, .stored_byte_seconds = UINT64_MAX});
        ASSERT_TRUE(ledger->flush());
        EXPECT_GE(ledger->query({})->at(0).usage.requests, (1ULL << 62) - 1);
    }
}

TEST_F(LedgerTest, TooManyAgentsAreCountedWithoutTheirNames) {
    auto ledger = open();
    for (int i = 0; i < 100'050; ++i) ledger->add("a", std::to_string(i), {.requests = 1});
    ledger->add("a", "7", {.requests = 1});  // one that has a row
    ASSERT_TRUE(ledger->flush());
    EXPECT_EQ(query("SELECT count(*) FROM usage"), 100'001);
    EXPECT_EQ(query("SELECT requests FROM usage WHERE agent = ''"), 50);
    EXPECT_EQ(query("SELECT requests FROM usage WHERE agent = '7'"), 2);
    EXPECT_EQ(ledger->query({.columns = UsageColumns::parse("tenant").value()})->at(0).usage.requests, 100'051U);
}

TEST_F(LedgerTest, TwoOpenOnesAddUp) {
    auto one = open();
    auto two = open();
    for (int i = 0; i < 5; ++i) {
        one->add("a", "x", {.requests = 1});
        two->add("a", "x", {.requests = 10});
        ASSERT_TRUE(one->flush());
        ASSERT_TRUE(two->flush());
    }
    EXPECT_EQ(one->query({})->at(0).usage.requests, 55U);
}

// Random additions, flushes and restarts, beside a map that says what must be there.
TEST_F(LedgerTest, SaysWhatAMapSays) {
    std::mt19937_64 random(test_seed());
    auto ledger = open();
    std::map<std::pair<std::string, std::string>, std::uint64_t> expected;
    for (int step = 0; step < 2'000; ++step) {
        const std::string tenant(1, static_cast<char>('a' + random() % 3));
        const std::string agent = random() % 4 == 0 ? "" : std::to_string(random() % 5);
        const std::uint64_t tokens = random() % 1'000;
        ledger->add(tenant, agent, {.computed_tokens = tokens});
        expected[{tenant, agent}] += tokens;
        if (random() % 20 == 0) {
            ASSERT_TRUE(ledger->flush());
        }
        if (random() % 200 == 0) {
            ASSERT_TRUE(ledger->flush());
            ledger = open();
        }
    }
    ASSERT_TRUE(ledger->flush());
    const auto rows = ledger->query({});
    ASSERT_TRUE(rows) << why(rows);
    ASSERT_EQ(rows->size(), expected.size());
    for (const UsageRow &row : *rows) EXPECT_EQ(row.usage.computed_tokens, expected.at({row.tenant, row.agent}));
}

// kill -9 in the middle of it: what a flush() that returned had written is there, and each flush is there as a whole or not at
// all.
TEST_F(LedgerTest, AKilledProcessLosesWhatItHadNotWritten) {
    open();
    for (int round = 0; round < 5; ++round) {
        int pipe_ends[2];
        ASSERT_EQ(::pipe(pipe_ends), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            auto ledger = open();
            for (;;) {
                ledger->add("left", "", {.requests = 1});
                ledger->add("right", "", {.requests = 1});
                if (!ledger->flush() || ::write(pipe_ends[1], "x", 1) != 1) ::_exit(1);
            }
        }
        char seen = 0;
        for (int i = 0; i < 3; ++i) ASSERT_EQ(::read(pipe_ends[0], &seen, 1), 1);
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSIGNALED(status));
        ::close(pipe_ends[0]);
        ::close(pipe_ends[1]);
        EXPECT_GE(query("SELECT requests FROM usage WHERE tenant = 'left'"), 3 * (round + 1));
        EXPECT_EQ(query("SELECT requests - (SELECT requests FROM usage WHERE tenant = 'right') FROM usage WHERE tenant = 'left'"),
                  0);
    }
}

TEST_F(LedgerTest, DamageIsASentence) {
    {
        auto ledger = open();
        ledger->add("a", "x", {.requests = 1});
        ASSERT_TRUE(ledger->flush());
    }
    struct stat status{};
    ASSERT_EQ(::stat(file_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    tamper("UPDATE usage SET requests = -1");
    const auto rows = open()->query({});
    EXPECT_EQ(code_of(rows), ErrorCode::corrupt);
    EXPECT_NE(why(rows).find("2026-01-31, tenant a, agent x"), std::string::npos) << why(rows);
    std::ofstream(file_) << "no database at all, whatever it was before";
    const auto opened = Ledger::open(file_, clock_);
    EXPECT_EQ(code_of(opened), ErrorCode::corrupt);
    EXPECT_NE(why(opened).find(file_.string()), std::string::npos) << why(opened);
}

}  // namespace
}  // namespace engram
