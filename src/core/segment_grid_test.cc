#include "core/segment_grid.h"

#include <gtest/gtest.h>

#include <numeric>

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
    const SegmentGrid grid{.block_tokens = 32, .seam = 50};
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
    const SegmentGrid grid{.block_tokens = 32, .seam = 5};
    EXPECT_EQ(grid.begin(0), 0U);
    EXPECT_EQ(grid.begin(1), 5U);
    EXPECT_EQ(grid.begin(2), 32U);
    EXPECT_EQ(grid.index_at(4), 0U);
    EXPECT_EQ(grid.index_at(5), 1U);
}

TEST(SegmentGrid, ABeginningGivesASeamWhereItIsWorthAFile) {
    EXPECT_EQ(SegmentGrid::with_beginning(256, 1000).seam, 1000U);
    EXPECT_EQ(SegmentGrid::with_beginning(256, 100).seam, 100U);
    EXPECT_EQ(SegmentGrid::with_beginning(256, 768).seam, 0U);
    EXPECT_EQ(SegmentGrid::with_beginning(256, 768 + 31).seam, 0U);
    EXPECT_EQ(SegmentGrid::with_beginning(256, 768 + 32).seam, 800U);
    EXPECT_EQ(SegmentGrid::with_beginning(256, 0).seam, 0U);
}

TEST(SegmentGrid, SequencesWithTheSameSeamShareTheirIdsUpToIt) {
    const BlockId root = chain_root("tenant", {}, 32);
    const SegmentGrid grid{.block_tokens = 32, .seam = 50};
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

}  // namespace
}  // namespace engram
