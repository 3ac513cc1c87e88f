// Which tokens of a large vocabulary can be among the most probable ones, found without looking at all of them one by one: a
// sampler that takes the largest logits of 262,144 needs some dozens of candidates, not four megabytes of them. Thread-safe.
//
// The logits are looked at in chunks. The n-th largest of the chunks' largest is a bound that at least n logits reach, so that
// what doesn't reach it isn't one of the n largest, and chunks below it needn't be looked at again.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/ids.h"

namespace engram {

// Appends, in their order, some tokens among which are the `n` with the largest logits, and all that tie with the last one of
// them. Values beyond ±limit count as ±limit, and NaN as the smallest. False, and nothing was appended, where that would not save
// much: n is 0, or more than an eighth of the chunks.
bool append_top_logits(std::span<const float> logits, std::size_t n, float limit, std::vector<Token> &tokens);

}  // namespace engram
