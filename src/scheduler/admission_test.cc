#include "scheduler/admission.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <ranges>
#include <string>

namespace engram {
namespace {

using Queue = AdmissionQueue<std::string>;

// The order in which everybody is admitted, when all are ready.
std::string order(Queue &queue) {
    std::string names;
    while (const Queue::Entry *entry = queue.next([](const std::string &) { return true; })) {
        names += entry->item;
        queue.admitted(*entry);
    }
    return names;
}

void add(Queue &queue, std::string item, std::string tenant, std::string agent, std::uint64_t tokens = 100,
         std::int32_t priority = 0) {
    queue.add({.item = std::move(item),
               .tenant = std::move(tenant),
               .agent = std::move(agent),
               .priority = priority,
               .tokens = tokens});
}

TEST(AdmissionTest, OneTenantOneAgentInOrderOfArrival) {
    Queue queue;
    EXPECT_EQ(order(queue), "");
    for (const char *item : {"1", "2", "3"}) add(queue, item, "t", "a");
    EXPECT_EQ(order(queue), "123");
    EXPECT_TRUE(queue.empty());
}

TEST(AdmissionTest, ATenantWithManyRequestsDoesNotKeepOthersWaiting) {
    Queue queue;
    for (const char *item : {"a", "b", "c", "d"}) add(queue, item, "many", item);
    add(queue, "X", "few", "x");
    add(queue, "Y", "few", "y");
    EXPECT_EQ(order(queue), "aXbYcd");
}

TEST(AdmissionTest, TokensCountNotRequests) {
    Queue queue;
    add(queue, "A", "large", "a", 1000);
    add(queue, "B", "large", "a", 1000);
    for (const char *item : {"1", "2", "3", "4"}) add(queue, item, "small", "s", 300);
    EXPECT_EQ(order(queue), "A1234B");
}

TEST(AdmissionTest, APauseGivesNoCredit) {
    Queue queue;
    for (int i = 0; i < 10; ++i) add(queue, "a", "busy", "a", 1000);
    order(queue);
    for (const char *item : {"1", "2", "3"}) add(queue, item, "late", "l", 1000);
    for (const char *item : {"4", "5", "6"}) add(queue, item, "busy", "a", 1000);
    // The late one is ahead by what the busy one was just charged for, not by all that it had before.
    EXPECT_EQ(order(queue), "124356");
}

TEST(AdmissionTest, WithinATenantPriorityThenTurnsOfAgents) {
    Queue queue;
    for (const char *item : {"1", "2", "3"}) add(queue, item, "t", "chatty");
    add(queue, "x", "t", "quiet");
    add(queue, "!", "t", "chatty", 100, 5);
    EXPECT_EQ(order(queue), "!x123");
    add(queue, "1", "t", "a");
    add(queue, "-", "t", "b", 100, -1);
    add(queue, "?", "u", "c", 100, -9);  // priorities count within a tenant
    const std::string together = order(queue);
    EXPECT_LT(together.find('1'), together.find('-'));
    EXPECT_LT(together.find('?'), together.find('-'));
}

TEST(AdmissionTest, WhoIsNotReadyIsPassedOver) {
    Queue queue;
    add(queue, "1", "t", "a");
    add(queue, "2", "t", "b");
    const auto but_first = [](const std::string &item) { return item != "1"; };
    EXPECT_EQ(queue.next(but_first)->item, "2");
    queue.remove(*queue.next([](const std::string &item) { return item == "1"; }));
    EXPECT_EQ(order(queue), "2");
}

TEST(AdmissionTest, SharesAreEqualInTheLongRun) {
    const char *given = std::getenv("ENGRAM_TEST_SEED");
    std::mt19937_64 random(given == nullptr ? 1 : std::strtoull(given, nullptr, 10));
    AdmissionQueue<std::string> queue;
    std::map<std::string, std::uint64_t> served;
    const auto request = [&](const std::string &tenant) {
        add(queue, tenant, tenant, "a", 1 + random() % (tenant == "big" ? 2000 : 200));
    };
    for (const char *tenant : {"big", "small", "tiny"}) {
        for (int i = 0; i < 3; ++i) request(tenant);
    }
    for (int i = 0; i < 5'000; ++i) {  // each of them always has somebody waiting
        const auto *entry = queue.next([](const std::string &) { return true; });
        ASSERT_NE(entry, nullptr);
        const std::string tenant = entry->tenant;
        served[tenant] += entry->tokens;
        queue.admitted(*entry);
        request(tenant);
    }
    const auto [least, most] = std::ranges::minmax(served | std::views::values);
    EXPECT_LT(static_cast<double>(most - least), 4000.0);
}

}  // namespace
}  // namespace engram
