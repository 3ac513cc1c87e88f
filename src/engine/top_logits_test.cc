#include "engine/top_logits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <set>
#include <vector>

namespace engram {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLimit = 1e8F;

float bounded(float logit) { return std::isnan(logit) ? -kLimit : std::clamp(logit, -kLimit, kLimit); }

// Every token that ties with, or is larger than, the n-th largest one: looked for one by one.
std::set<Token> largest(const std::vector<float> &logits, std::size_t n) {
    std::vector<float> order;
    for (const float logit : logits) order.push_back(bounded(logit));
    std::ranges::sort(order, std::greater());
    std::set<Token> tokens;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        if (bounded(logits[i]) >= order[n - 1]) tokens.insert(static_cast<Token>(i));
    }
    return tokens;
}

TEST(TopLogits, AreAmongThoseFound) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    // Of odd lengths too; a share of the values, from half to a thousandth, is one and the same.
    for (const std::size_t size : {1024U, 4095U, 32'768U, 50'257U}) {
        for (const float odd : {0.5F, 3.0F, kInfinity, 2 * kLimit, -kInfinity, -2 * kLimit, kNan}) {
            for (const std::size_t every : {2U, 7U, 1000U}) {
                std::vector<float> logits(size);
                for (std::size_t i = 0; i < size; ++i) logits[i] = random() % every == 0 ? odd : normal(random);
                for (const std::size_t n : {1U, 2U, 40U}) {
                    std::vector<Token> found;
                    if (!append_top_logits(logits, n, kLimit, found)) {
                        EXPECT_GT(n * 8 * 64, size);
                        EXPECT_TRUE(found.empty());
                        continue;
                    }
                    EXPECT_TRUE(std::ranges::is_sorted(found));
                    EXPECT_TRUE(std::ranges::includes(found, largest(logits, n)))
                        << size << " " << odd << " " << every << " " << n;
                }
            }
        }
    }
}

TEST(TopLogits, AreFew) {
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    std::vector<float> logits(262'144);
    for (float &logit : logits) logit = normal(random);
    std::vector<Token> found;
    ASSERT_TRUE(append_top_logits(logits, 1, kLimit, found));
    EXPECT_EQ(found, std::vector<Token>{static_cast<Token>(std::ranges::max_element(logits) - logits.begin())});
    found.clear();
    ASSERT_TRUE(append_top_logits(logits, 40, kLimit, found));
    EXPECT_LT(found.size(), 80U);
}

TEST(TopLogits, WhereNothingIsANumberAllAreFound) {
    const std::vector<float> logits(8192, kNan);
    std::vector<Token> found;
    ASSERT_TRUE(append_top_logits(logits, 3, kLimit, found));
    EXPECT_EQ(found.size(), logits.size());
}

TEST(TopLogits, AShortVocabularyIsLookedAtWhole) {
    std::vector<Token> found;
    EXPECT_FALSE(append_top_logits(std::vector<float>(400), 1, kLimit, found));
    EXPECT_FALSE(append_top_logits(std::vector<float>(), 1, kLimit, found));
    EXPECT_FALSE(append_top_logits(std::vector<float>(100'000), 0, kLimit, found));
    EXPECT_FALSE(append_top_logits(std::vector<float>(100'000), 1000, kLimit, found));
    EXPECT_TRUE(found.empty());
}

}  // namespace
}  // namespace engram
