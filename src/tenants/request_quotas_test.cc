#include "tenants/request_quotas.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tenants/testing/tenants_fixture.h"

namespace engram {
namespace {

class RequestQuotasTest : public testing::Test {
  protected:
    StillClock clock_;
    RequestQuotas quotas_{clock_};
};

TEST_F(RequestQuotasTest, WithoutLimitsEverythingIsGranted) {
    std::vector<RequestAdmission> admissions;
    for (int i = 0; i < 100; ++i) {
        admissions.push_back(quotas_.admit("t", {}));
        EXPECT_TRUE(admissions.back().granted());
        quotas_.spend("t", 1'000'000);
    }
    EXPECT_EQ(quotas_.running("t"), 100U);
    admissions.clear();
    EXPECT_EQ(quotas_.running("t"), 0U);
    EXPECT_EQ(quotas_.running("never seen"), 0U);
}

TEST_F(RequestQuotasTest, APlaceIsGivenBackWhenTheRequestEnds) {
    const Quota quota{.concurrent_requests = 2};
    auto first = quotas_.admit("t", quota);
    auto second = quotas_.admit("t", quota);
    EXPECT_TRUE(first.granted() && second.granted());
    const auto third = quotas_.admit("t", quota);
    EXPECT_FALSE(third.granted());
    EXPECT_EQ(third.reason, "tenant t has 2 requests running, and may have 2 at a time");
    EXPECT_EQ(third.retry_after_s, 1U);
    EXPECT_TRUE(quotas_.admit("other", quota).granted()) << "tenants don't share places";
    RequestPlace moved = std::move(first.place);
    EXPECT_FALSE(quotas_.admit("t", quota).granted()) << "a place that moved is still taken";
    moved.give_back();
    moved.give_back();
    EXPECT_TRUE(quotas_.admit("t", quota).granted());
    EXPECT_EQ(quotas_.running("t"), 1U);
}

TEST_F(RequestQuotasTest, APlaceMayOutliveThoseWhoGaveIt) {
    RequestPlace place;
    {
        RequestQuotas quotas(clock_);
        place = quotas.admit("t", {.concurrent_requests = 1}).place;
    }
    EXPECT_TRUE(place.taken());
}

TEST_F(RequestQuotasTest, ARefusalForTokensSaysWhenToComeBack) {
    const Quota quota{.tokens_per_minute = 600};
    EXPECT_TRUE(quotas_.admit("t", quota).granted());
    quotas_.spend("t", 615);
    const auto refused = quotas_.admit("t", quota);
    EXPECT_FALSE(refused.granted());
    EXPECT_EQ(refused.retry_after_s, 2U) << "1.6 s, rounded up";
    EXPECT_EQ(refused.reason, "tenant t has used up its 600 tokens per minute; try again in 2 s");
    EXPECT_TRUE(quotas_.admit("other", quota).granted());
    clock_.steady += 1'999'999;
    EXPECT_TRUE(quotas_.admit("t", quota).granted());
    quotas_.spend("t", UINT64_MAX);
    EXPECT_GT(quotas_.admit("t", quota).retry_after_s, 24U * 3600);
}

TEST_F(RequestQuotasTest, ALimitOfZeroRefusesForGood) {
    EXPECT_EQ(quotas_.admit("t", {.tokens_per_minute = 0}).retry_after_s, 0U);
    EXPECT_FALSE(quotas_.admit("t", {.tokens_per_minute = 0}).granted());
    EXPECT_FALSE(quotas_.admit("t", {.concurrent_requests = 0}).granted());
    EXPECT_EQ(quotas_.admit("t", {.concurrent_requests = 0}).retry_after_s, 0U);
    EXPECT_TRUE(quotas_.admit("t", {}).granted()) << "a limit that was lifted";
}

TEST_F(RequestQuotasTest, WhatWasUsedWithoutALimitIsNotOwedLater) {
    EXPECT_TRUE(quotas_.admit("t", {}).granted());
    quotas_.spend("t", 1'000'000);
    EXPECT_TRUE(quotas_.admit("t", {.tokens_per_minute = 10}).granted());
}

TEST_F(RequestQuotasTest, ManyThreadsNeverHaveMorePlacesThanThereAre) {
    const Quota quota{.concurrent_requests = 3};
    std::atomic<int> running = 0;
    std::atomic<int> most = 0;
    std::atomic<int> granted = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&] {
                for (int turn = 0; turn < 2'000; ++turn) {
                    const auto admission = quotas_.admit("t", quota);
                    if (!admission.granted()) continue;
                    ++granted;
                    const int now = ++running;
                    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
                    }
                    --running;
                }
            });
        }
    }
    EXPECT_GT(granted, 0);
    EXPECT_LE(most, 3);
    EXPECT_EQ(quotas_.running("t"), 0U);
}

}  // namespace
}  // namespace engram
