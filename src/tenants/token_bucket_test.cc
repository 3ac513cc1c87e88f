#include "tenants/token_bucket.h"

#include <gtest/gtest.h>

#include <random>

#include "core/testing/test_seed.h"
#include "tenants/quota.h"

namespace engram {
namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kMinute = 60 * kSecond;

TEST(TokenBucket, BeginsFullAndFillsEvenly) {
    TokenBucket bucket;
    EXPECT_EQ(bucket.wait_us(60, 1'000), 0);
    bucket.spend(60);
    EXPECT_EQ(bucket.wait_us(60, 1'000), kSecond) << "a token each second";
    EXPECT_EQ(bucket.wait_us(60, 1'000 + kSecond - 1), 1);
    EXPECT_EQ(bucket.wait_us(60, 1'000 + kSecond), 0);
    bucket.spend(1);
    EXPECT_EQ(bucket.wait_us(60, 1'000 + kSecond), kSecond);
}

TEST(TokenBucket, HoldsAMinuteAtMost) {
    TokenBucket bucket;
    EXPECT_EQ(bucket.wait_us(60, 0), 0);
    EXPECT_EQ(bucket.wait_us(60, 100 * kMinute), 0);
    bucket.spend(61);
    EXPECT_EQ(bucket.wait_us(60, 100 * kMinute), 2 * kSecond) << "an hour of silence saves nothing up";
}

TEST(TokenBucket, ADebtIsPaidBeforeTheNextRequest) {
    TokenBucket bucket;
    EXPECT_EQ(bucket.wait_us(1000, 0), 0);
    bucket.spend(3000);  // a long answer: the bucket, and two minutes more
    EXPECT_EQ(bucket.wait_us(1000, 0), 2 * kMinute + kMinute / 1000);
    EXPECT_EQ(bucket.wait_us(1000, 2 * kMinute), kMinute / 1000);
    EXPECT_EQ(bucket.wait_us(1000, 2 * kMinute + kMinute / 1000), 0);
}

TEST(TokenBucket, AnotherLimitCountsFromNowOn) {
    TokenBucket bucket;
    EXPECT_EQ(bucket.wait_us(1000, 0), 0);
    bucket.spend(990);
    EXPECT_EQ(bucket.wait_us(60, 0), 0) << "ten are left";
    bucket.spend(10);
    EXPECT_EQ(bucket.wait_us(60, 0), kSecond);
    EXPECT_EQ(bucket.wait_us(6000, 0), kSecond / 100);
    TokenBucket rich;
    EXPECT_EQ(rich.wait_us(1000, 0), 0);
    EXPECT_EQ(rich.wait_us(60, 0), 0);
    rich.spend(60);
    EXPECT_GT(rich.wait_us(60, 0), 0) << "what the smaller bucket can't hold is gone";
}

TEST(TokenBucket, ExtremesDoNotOverflow) {
    TokenBucket bucket;
    EXPECT_EQ(bucket.wait_us(kMaxTokensPerMinute, INT64_MAX / 2), 0);
    for (int i = 0; i < 10; ++i) bucket.spend(UINT64_MAX);
    EXPECT_GT(bucket.wait_us(1, INT64_MAX / 2), 0);
    EXPECT_GT(bucket.wait_us(kMaxTokensPerMinute, INT64_MAX / 2), 0);
    EXPECT_EQ(bucket.wait_us(kMaxTokensPerMinute, INT64_MAX), 0);
}

// What may be spent in a stretch of time is what the bucket held and was filled with: no more, to the token, however often and in
// whatever steps somebody asks.
TEST(TokenBucket, IsExactHoweverItIsAsked) {
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 200; ++round) {
        const std::uint64_t limit = 1 + random() % 100'000;
        TokenBucket bucket;
        std::int64_t now = 0;
        std::uint64_t spent = 0;
        for (int step = 0; step < 200; ++step) {
            if (bucket.wait_us(limit, now) == 0) {
                bucket.spend(1);
                ++spent;
            }
            const std::int64_t wait = bucket.wait_us(limit, now);
            now += random() % 2 == 0 ? wait : static_cast<std::int64_t>(random() % 50'000);
        }
        const auto filled = static_cast<std::uint64_t>(static_cast<double>(now) * static_cast<double>(limit) / kMinute);
        EXPECT_LE(spent, limit + filled + 1);
    }
    // Asked at every microsecond, or only once, after the same time: the same level.
    TokenBucket often;
    TokenBucket seldom;
    (void)often.wait_us(7, 0);
    (void)seldom.wait_us(7, 0);
    often.spend(7);
    seldom.spend(7);
    for (std::int64_t now = 0; now < 3'000; ++now) (void)often.wait_us(7, now);
    EXPECT_EQ(often.wait_us(7, 3'000), seldom.wait_us(7, 3'000));
}

}  // namespace
}  // namespace engram
