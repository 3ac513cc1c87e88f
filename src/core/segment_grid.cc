#include "core/segment_grid.h"

#include <algorithm>

namespace engram {

namespace {

// A shorter piece is written or computed again sooner than a file of its own pays: an eighth of a block. So a block has eight
// segments at most where they end with turns.
constexpr std::uint32_t kLeastPart = 8;

}  // namespace

SegmentGrid SegmentGrid::with_beginning(std::uint32_t block_tokens, std::size_t common) {
    SegmentGrid grid{.block_tokens = block_tokens};
    grid.cut_at_end(common);
    return grid;
}

void SegmentGrid::cut_at_end(std::size_t position) {
    if (position - boundary_before(position) >= block_tokens / kLeastPart) cuts.push_back(static_cast<std::uint32_t>(position));
}

void SegmentGrid::cut_at(std::size_t position) {
    if (is_boundary(position)) return;
    const auto cut = static_cast<std::uint32_t>(position);
    cuts.insert(std::ranges::upper_bound(cuts, cut), cut);
}

std::size_t SegmentGrid::index_at(std::size_t position) const {
    const auto passed = std::ranges::upper_bound(cuts, position, {}, [](std::uint32_t cut) { return std::size_t{cut}; });
    return position / block_tokens + static_cast<std::size_t>(passed - cuts.begin());
}

std::size_t SegmentGrid::begin(std::size_t index) const {
    // The number of cuts among the first `index` boundaries: the i-th cut is the boundary cuts[i] / block_tokens + i + 1.
    std::size_t low = 0;
    std::size_t high = cuts.size();
    while (low < high) {
        const std::size_t middle = (low + high) / 2;
        const std::size_t boundary = cuts[middle] / block_tokens + middle + 1;
        if (boundary == index) return cuts[middle];
        if (boundary < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (index - low) * block_tokens;
}

std::size_t SegmentGrid::common_boundary(const SegmentGrid &other, std::size_t position) const {
    const auto [mine, theirs] = std::ranges::mismatch(cuts, other.cuts);
    if (mine != cuts.end()) position = std::min<std::size_t>(position, *mine);
    if (theirs != other.cuts.end()) position = std::min<std::size_t>(position, *theirs);
    return SegmentGrid{.block_tokens = block_tokens, .cuts = {cuts.begin(), mine}}.boundary_before(position);
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
