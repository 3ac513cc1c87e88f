#include "core/eviction_score.h"

#include <algorithm>
#include <cmath>

namespace engram {

double eviction_score(const EvictionFacts &facts) {
    constexpr double kMsPerHour = 3'600'000.0;
    const double saved_ms = facts.recompute_ms_per_token * static_cast<double>(facts.tokens);
    const double age_hours = static_cast<double>(std::max<std::int64_t>(facts.age_ms, 0)) / kMsPerHour;
    return saved_ms / static_cast<double>(std::max<std::uint64_t>(facts.bytes, 1)) *
           std::exp2(-age_hours / kEvictionHalfLifeHours);
}

}  // namespace engram
