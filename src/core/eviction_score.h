// What a stored part is worth, so that the least valuable goes first when a tier is full.
//
//   score = recompute_ms_per_token * tokens / bytes * 0.5 ^ (age / half life)
//
// that is: milliseconds of prefill that keeping one byte saves, halved for every kEvictionHalfLifeHours since its agent was last
// used. A part that several agents share has the sum of their scores. Pure; no clock.
#pragma once

#include <cstdint>

namespace engram {

inline constexpr double kEvictionHalfLifeHours = 12.0;

struct EvictionFacts {
    double recompute_ms_per_token = 1.0;
    std::uint64_t tokens = 0;
    std::uint64_t bytes = 1;  // of the file; 0 counts as 1
    std::int64_t age_ms = 0;  // since the last use; negative (the wall clock went back) counts as 0
};

double eviction_score(const EvictionFacts &facts);

}  // namespace engram
