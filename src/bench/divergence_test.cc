#include "bench/divergence.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace engram::bench {
namespace {

// Logits of these probabilities, moved by a constant, which changes nothing.
template <std::size_t n>
std::array<float, n> logits(const std::array<double, n> &probabilities, double moved = 0) {
    std::array<float, n> list{};
    for (std::size_t i = 0; i < n; ++i) list[i] = static_cast<float>(std::log(probabilities[i]) + moved);
    return list;
}

TEST(KlDivergenceTest, IsTheSumByHand) {
    const auto exact = logits<3>({0.5, 0.25, 0.25}, 3);
    const auto other = logits<3>({0.25, 0.25, 0.5}, -40);
    EXPECT_NEAR(kl_divergence(exact, other), 0.5 * std::log(2.0) + 0.25 * std::log(0.5), 1e-6);
}

TEST(KlDivergenceTest, IsOfTheExactDistribution) {
    const auto exact = logits<2>({0.9, 0.1});
    const auto other = logits<2>({0.5, 0.5});
    EXPECT_NEAR(kl_divergence(exact, other), 0.9 * std::log(1.8) + 0.1 * std::log(0.2), 1e-6);
    EXPECT_NEAR(kl_divergence(other, exact), 0.5 * std::log(5.0 / 9) + 0.5 * std::log(5.0), 1e-6);
}

TEST(KlDivergenceTest, IsNothingBetweenEqualOnes) {
    const auto same = logits<3>({0.7, 0.2, 0.1});
    EXPECT_EQ(kl_divergence(same, same), 0);
    EXPECT_NEAR(kl_divergence(same, logits<3>({0.7, 0.2, 0.1}, 5)), 0, 1e-6);
}

TEST(KlDivergenceTest, WhatIsExcludedCounts) {
    const float never = -std::numeric_limits<float>::infinity();
    const std::array<float, 3> exact{0, 0, never};
    EXPECT_EQ(kl_divergence(exact, exact), 0);
    EXPECT_NEAR(kl_divergence(exact, std::array<float, 3>{0, 0, 0}), std::log(1.5), 1e-6);
    EXPECT_TRUE(std::isinf(kl_divergence(std::array<float, 3>{0, 0, 0}, exact)));
}

TEST(DivergencesTest, ToldOfManyPlaces) {
    Divergences all;
    const auto sure = logits<2>({0.99, 0.01});
    const auto unsure = logits<2>({0.6, 0.4});
    const auto turned = logits<2>({0.4, 0.6});
    for (int i = 0; i < 98; ++i) all.add(sure, sure);
    Divergences more;
    more.add(unsure, turned);
    more.add(unsure, unsure);
    all.add(more);
    EXPECT_EQ(all.places(), 100U);
    EXPECT_EQ(all.unsure(), 2U);
    EXPECT_DOUBLE_EQ(all.same_top(), 0.99);
    const double one = 0.2 * std::log(1.5);
    EXPECT_NEAR(all.mean(), one / 100, 1e-7);
    EXPECT_EQ(all.within(0.99), 0);
    EXPECT_NEAR(all.within(0.995), one, 1e-6);
    EXPECT_NEAR(all.within(1), one, 1e-6);
}

TEST(DivergencesTest, GoFromOneProcessToAnother) {
    Divergences all;
    all.add(logits<2>({0.6, 0.4}), logits<2>({0.4, 0.6}));
    all.add(std::array<float, 2>{0, 0}, std::array<float, 2>{0, -std::numeric_limits<float>::infinity()});
    const Divergences read = Divergences::of(OrderedJson::parse(all.json().dump()));
    EXPECT_EQ(read.places(), 2U);
    EXPECT_EQ(read.unsure(), all.unsure());
    EXPECT_EQ(read.same_top(), all.same_top());
    EXPECT_EQ(read.within(0.5), all.within(0.5));
    EXPECT_TRUE(std::isinf(read.within(1)));
}

TEST(DivergencesTest, OfOnePlaceAllAreThatOne) {
    Divergences one;
    one.add(logits<2>({0.5, 0.5}), logits<2>({0.25, 0.75}));
    EXPECT_EQ(one.within(0), one.within(1));
    EXPECT_DOUBLE_EQ(one.mean(), one.within(0.5));
}

}  // namespace
}  // namespace engram::bench
