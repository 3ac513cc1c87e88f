#include <algorithm>
#include <array>

#include "engram/card.h"

namespace engram {
namespace {

constexpr std::array<std::string_view, 3> kCompactions{"stop", "keep_last", "summarise"};

}  // namespace

std::string_view compaction_name(Compaction compaction) { return kCompactions[static_cast<std::size_t>(compaction)]; }

std::optional<Compaction> compaction_from_name(std::string_view name) {
    const auto found = std::ranges::find(kCompactions, name);
    if (found == kCompactions.end()) return std::nullopt;
    return static_cast<Compaction>(found - kCompactions.begin());
}

}  // namespace engram
