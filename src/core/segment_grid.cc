#include "core/segment_grid.h"

#include <algorithm>

namespace engram {

namespace {

// A shorter piece is computed sooner than a file of its own pays: an eighth of a block.
constexpr std::uint32_t kLeastPart = 8;

}  // namespace

SegmentGrid SegmentGrid::with_beginning(std::uint32_t block_tokens, std::size_t common) {
    const bool worth_it = common % block_tokens >= block_tokens / kLeastPart;
    return {.block_tokens = block_tokens, .seam = worth_it ? static_cast<std::uint32_t>(common) : 0};
}

std::size_t SegmentGrid::begin(std::size_t index) const {
    if (seam == 0) return index * block_tokens;
    const std::size_t around = seam / block_tokens;  // the segment that ends at the seam
    if (index <= around) return index * block_tokens;
    return index == around + 1 ? seam : (index - 1) * block_tokens;
}

std::vector<BlockId> chain_of(const BlockId &root, std::span<const Token> tokens, const SegmentGrid &grid) {
    std::vector<BlockId> ids;
    ids.reserve(grid.index_at(tokens.size()) + 1);
    BlockId parent = root;
    for (std::size_t first = 0; first < tokens.size(); first = grid.boundary_after(first)) {
        const std::size_t end = std::min(tokens.size(), grid.boundary_after(first));
        parent = chain_next(parent, tokens.subspan(first, end - first));
        ids.push_back(parent);
    }
    return ids;
}

}  // namespace engram
