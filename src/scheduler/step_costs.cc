#include "scheduler/step_costs.h"

#include <algorithm>

namespace engram {
namespace {

// Steps that the estimate remembers, about: contexts grow and runs come and go, so older ones say less.
constexpr double kMemory = 16;
// A step that was held up (a page fault, another program) says little about the next one.
constexpr double kMostGrowth = 4;

void learn(std::optional<double> &estimate, double value) {
    if (!estimate) {
        estimate = value;
        return;
    }
    *estimate += (std::min(value, *estimate * kMostGrowth) - *estimate) / kMemory;
}

}  // namespace

void StepCosts::measured(std::size_t decoding, std::size_t prefill, double ms) {
    if (ms <= 0) return;
    if (prefill == 0) {
        if (decoding > 0) learn(decode_ms_, ms);
        return;
    }
    const double decode = decoding > 0 ? decode_ms_.value_or(0) : 0;
    if (ms > decode) learn(token_ms_, (ms - decode) / static_cast<double>(prefill));
}

std::size_t StepCosts::prefill_room(double share, std::size_t most) const {
    if (!decode_ms_ || !token_ms_ || *token_ms_ <= 0) return most;
    const double room = *decode_ms_ * share / *token_ms_;
    if (room >= static_cast<double>(most)) return most;
    return std::max<std::size_t>(1, static_cast<std::size_t>(room));
}

}  // namespace engram
