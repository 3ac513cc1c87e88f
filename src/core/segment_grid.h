// Where a sequence of tokens is cut into segments, the pieces that are stored: at multiples of the block size and, where there is
// one, at the seam.
//
// The seam is where that ends which other agents may have in front of their own words: the system prompt and the tools. A segment
// ends there even within a block, so that agents that begin alike share all of the beginning, and not only its whole blocks: the
// block around the seam is two segments, [boundary, seam) and [seam, next boundary), and all others are as they would be.
//
// A value; the same for an agent's whole life, as ids of segments are chained (ids.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/ids.h"

namespace engram {

struct SegmentGrid {
    std::uint32_t block_tokens = 256;
    std::uint32_t seam = 0;  // never a multiple of block_tokens but 0: there is none

    // With a seam after `common` tokens, where the piece in front of it is worth a file of its own.
    static SegmentGrid with_beginning(std::uint32_t block_tokens, std::size_t common);

    bool is_boundary(std::size_t position) const { return position % block_tokens == 0 || (seam != 0 && position == seam); }
    // Number of segments that end at or in front of `position`: the index of the one that `position` lies in.
    std::size_t index_at(std::size_t position) const { return position / block_tokens + (seam != 0 && position >= seam ? 1 : 0); }
    std::size_t begin(std::size_t index) const;
    std::size_t end(std::size_t index) const { return begin(index + 1); }
    std::size_t boundary_before(std::size_t position) const { return begin(index_at(position)); }  // or at it
    std::size_t boundary_after(std::size_t position) const { return end(index_at(position)); }

    bool operator==(const SegmentGrid &) const = default;
};

// The ids of all whole segments of `tokens`, in order, and of the tail when they don't end at a boundary.
std::vector<BlockId> chain_of(const BlockId &root, std::span<const Token> tokens, const SegmentGrid &grid);

}  // namespace engram
