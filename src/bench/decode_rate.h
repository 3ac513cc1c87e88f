// Tokens per second of answers from their streams, without what comes before an answer's first token.
//
// Both rates are nothing where the streams don't tell. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "bench/side.h"

namespace engram::bench {

struct Spoken {
    double began_ms = 0;  // the request, from a moment that is the same for all
    Answer answer = {};
};

// Pieces that were sent apart may arrive together: a rate of fewer of them would be one of arrivals.
inline constexpr std::ptrdiff_t kEnoughPieces = 8;

// While all of them answer: from the last one's first piece to the first one's last. No answer among these is being read for any
// more. Nothing where that is less than kEnoughPieces of any answer.
std::optional<double> while_all_answer(std::span<const Spoken> spoken);

// The same of answers that came one after another: of each from its first piece to its last.
std::optional<double> while_each_answers(std::span<const Spoken> spoken);

}  // namespace engram::bench
