#include "core/segment_grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <random>
#include <set>

namespace engram {
namespace {

std::vector<Token> counting(std::size_t n) {
    std::vector<Token> tokens(n);
    std::iota(tokens.begin(), tokens.end(), 100);
    return tokens;
}

TEST(SegmentGrid, WithoutASeamSegmentsAreBlocks) {
    const SegmentGrid grid{.block_tokens = 32};
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(grid.begin(i), 32 * i);
    EXPECT_EQ(grid.index_at(31), 0U);
    EXPECT_EQ(grid.index_at(32), 1U);
    EXPECT_TRUE(grid.is_boundary(64));
    EXPECT_FALSE(grid.is_boundary(65));
    const BlockId root = chain_root("tenant", {}, 32);
    for (const std::size_t n : {0U, 1U, 32U, 100U}) EXPECT_EQ(chain_of(root, counting(n), grid), chain_of(root, counting(n), 32));
}

TEST(SegmentGrid, ASeamIsOneBoundaryMore) {
    const SegmentGrid grid{.block_tokens = 32, .cuts = {50}};
    const std::vector<std::size_t> boundaries{0, 32, 50, 64, 96, 128};
    for (std::size_t i = 0; i + 1 < boundaries.size(); ++i) {
        EXPECT_EQ(grid.begin(i), boundaries[i]);
        EXPECT_EQ(grid.end(i), boundaries[i + 1]);
        for (std::size_t at = boundaries[i]; at < boundaries[i + 1]; ++at) {
            EXPECT_EQ(grid.index_at(at), i) << at;
            EXPECT_EQ(grid.boundary_before(at), boundaries[i]) << at;
            EXPECT_EQ(grid.boundary_after(at), boundaries[i + 1]) << at;
            EXPECT_EQ(grid.is_boundary(at), at == boundaries[i]) << at;
        }
    }
}

TEST(SegmentGrid, ASeamWithinTheFirstBlock) {
    const SegmentGrid grid{.block_tokens = 32, .cuts = {5}};
    EXPECT_EQ(grid.begin(0), 0U);
    EXPECT_EQ(grid.begin(1), 5U);
    EXPECT_EQ(grid.begin(2), 32U);
    EXPECT_EQ(grid.index_at(4), 0U);
    EXPECT_EQ(grid.index_at(5), 1U);
}

TEST(SegmentGrid, ABeginningGivesASeamWhereItIsWorthAFile) {
    const auto cuts = [](std::size_t common) { return SegmentGrid::with_beginning(256, common).cuts; };
    EXPECT_EQ(cuts(1000), std::vector{1000U});
    EXPECT_EQ(cuts(100), std::vector{100U});
    EXPECT_EQ(cuts(768 + 32), std::vector{800U});
    for (const std::size_t common : {0, 31, 768, 768 + 31}) EXPECT_TRUE(cuts(common).empty()) << common;
}

TEST(SegmentGrid, SequencesWithTheSameSeamShareTheirIdsUpToIt) {
    const BlockId root = chain_root("tenant", {}, 32);
    const SegmentGrid grid{.block_tokens = 32, .cuts = {50}};
    const std::vector<Token> one = counting(120);
    std::vector<Token> other = one;
    other[50] = 7;
    const auto a = chain_of(root, one, grid), b = chain_of(root, other, grid);
    ASSERT_EQ(a.size(), 5U);
    EXPECT_EQ(a[1], b[1]);
    for (std::size_t i = 2; i < a.size(); ++i) EXPECT_NE(a[i], b[i]);
    // A tail that ends at the seam has the name of the segment that ends there.
    EXPECT_EQ(chain_of(root, std::span(one).first(50), 32).back(), a[1]);
}

TEST(SegmentGrid, CutsAreFoundAsByCounting) {
    std::mt19937 random(7);
    const auto up_to = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n)(random); };
    for (int round = 0; round < 300; ++round) {
        SegmentGrid grid{.block_tokens = 32};
        std::set<std::size_t> boundaries;
        for (std::size_t at = 0; at < 400; at += 32) boundaries.insert(at);
        for (std::size_t n = up_to(12); n > 0; --n) {
            const std::size_t at = up_to(300);
            grid.cut_at(at);
            boundaries.insert(at);
        }
        for (std::size_t at = 0; at < 380; ++at) {
            const auto next = boundaries.upper_bound(at);
            ASSERT_EQ(grid.boundary_before(at), *std::prev(next)) << at;
            ASSERT_EQ(grid.boundary_after(at), *next) << at;
            ASSERT_EQ(grid.is_boundary(at), boundaries.contains(at)) << at;
            const std::size_t index = grid.index_at(at);
            ASSERT_EQ(index, static_cast<std::size_t>(std::distance(boundaries.begin(), next)) - 1) << at;
            ASSERT_EQ(grid.begin(index), *std::prev(next)) << at;
        }
    }
}

TEST(SegmentGrid, ATurnsEndIsACutWhereItIsWorthAFile) {
    SegmentGrid grid{.block_tokens = 256, .cuts = {300}};
    grid.cut_at_end(331);
    EXPECT_EQ(grid.cuts, std::vector{300U});
    grid.cut_at_end(332);
    grid.cut_at_end(512);
    grid.cut_at_end(544);
    EXPECT_EQ(grid.cuts, (std::vector{300U, 332U, 544U}));
}

TEST(SegmentGrid, TwoGridsShareSegmentsUpToTheFirstCutThatDiffers) {
    const BlockId root = chain_root("tenant", {}, 32);
    const std::vector<Token> tokens = counting(160);
    const SegmentGrid plain{.block_tokens = 32};
    const SegmentGrid one{.block_tokens = 32, .cuts = {40, 75}};
    const SegmentGrid other{.block_tokens = 32, .cuts = {40, 80, 100}};
    const auto shared = [&](const SegmentGrid &a, const SegmentGrid &b, std::size_t n) {
        const auto x = chain_of(root, std::span(tokens).first(n), a), y = chain_of(root, std::span(tokens).first(n), b);
        const auto same = static_cast<std::size_t>(std::ranges::mismatch(x, y).in1 - x.begin());
        return a.begin(same);
    };
    for (const SegmentGrid &a : {plain, one, other}) {
        for (const SegmentGrid &b : {plain, one, other}) {
            for (const std::size_t n : {0UZ, 32UZ, 40UZ, 64UZ, 75UZ, 80UZ, 96UZ, 160UZ}) {
                if (!a.is_boundary(n) || !b.is_boundary(n)) continue;
                EXPECT_EQ(a.common_boundary(b, n), shared(a, b, n)) << n;
            }
        }
    }
    EXPECT_EQ(one.common_boundary(other, 39), 32U);
    EXPECT_EQ(one.common_boundary(other, 70), 64U);
    EXPECT_EQ(one.common_boundary(plain, 160), 32U);
}

}  // namespace
}  // namespace engram
