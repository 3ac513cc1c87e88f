// Where a sequence of tokens is cut into segments, the pieces that are stored: at multiples of the block size, and at cuts within
// blocks.
//
// There are two kinds of cuts. The seam is where that ends which other agents may have in front of their own words, the system
// prompt and the tools: agents that begin alike share all of the beginning, and not only its whole blocks. And a turn's end, so
// that the next turn writes what is its own, and not the block around both again. A block with cuts is several segments, and all
// others are as they would be.
//
// A value. An agent's cuts stay where they are, as ids of segments are chained (ids.h): two grids lead to the same ids up to the
// first cut that only one of them has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/ids.h"

namespace engram {

struct SegmentGrid {
    std::uint32_t block_tokens = 256;
    std::vector<std::uint32_t> cuts = {};  // ascending; none is a multiple of block_tokens

    // With a seam after `common` tokens, where the piece in front of it is worth a file of its own.
    static SegmentGrid with_beginning(std::uint32_t block_tokens, std::size_t common);

    // A cut behind all others, where the piece in front of it is worth a file of its own.
    void cut_at_end(std::size_t position);
    // A cut anywhere, unless there is a boundary.
    void cut_at(std::size_t position);

    bool is_boundary(std::size_t position) const { return begin(index_at(position)) == position; }
    // Number of segments that end at or in front of `position`: the index of the one that `position` lies in.
    std::size_t index_at(std::size_t position) const;
    std::size_t begin(std::size_t index) const;
    std::size_t end(std::size_t index) const { return begin(index + 1); }
    std::size_t boundary_before(std::size_t position) const { return begin(index_at(position)); }  // or at it
    std::size_t boundary_after(std::size_t position) const { return end(index_at(position)); }
    // The last boundary at or in front of `position` up to which sequences with the same tokens have the same segments in both
    // grids.
    std::size_t common_boundary(const SegmentGrid &other, std::size_t position) const;

    bool operator==(const SegmentGrid &) const = default;
};

// The ids of all whole segments of `tokens`, in order, and of the tail when they don't end at a boundary.
std::vector<BlockId> chain_of(const BlockId &root, std::span<const Token> tokens, const SegmentGrid &grid);

}  // namespace engram
