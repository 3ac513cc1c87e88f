#include "scheduler/step_costs.h"

#include <algorithm>

namespace engram {
namespace {

// Steps that the estimate remembers, about: contexts grow and runs come and go, so older ones say less.
constexpr double kMemory = 16;
// The same in tokens of prefills. A step with few of them says little about what one costs: most of what it took longer than one
// without is noise, and what each step costs however many there are. Counted like others, such steps would make tokens seem dear,
// hence chunks smaller still.
constexpr double kTokenMemory = 256;
// A step that was held up (a page fault, another program) says little about the next one.
constexpr double kMostGrowth = 4;

void learn(std::optional<double> &estimate, double value, double weight) {
    if (!estimate) {
        if (value > 0) estimate = value;
        return;
    }
    *estimate += (std::min(value, *estimate * kMostGrowth) - *estimate) * weight;
}

}  // namespace

void StepCosts::measured(std::size_t decoding, std::size_t prefill, double ms) {
    if (ms <= 0) return;
    if (prefill == 0) {
        if (decoding > 0) learn(decode_ms_, ms, 1 / kMemory);
        return;
    }
    const double decode = decoding > 0 ? decode_ms_.value_or(0) : 0;
    const auto tokens = static_cast<double>(prefill);
    // One that was quicker than decoding alone counts, too: without it only the slower half of the noise would.
    learn(token_ms_, std::max(0.0, ms - decode) / tokens, std::min(1 / kMemory, tokens / kTokenMemory));
}

std::size_t StepCosts::prefill_room(double share, std::size_t most) const {
    if (!decode_ms_ || !token_ms_ || *token_ms_ <= 0) return most;
    const double room = *decode_ms_ * share / *token_ms_;
    if (room >= static_cast<double>(most)) return most;
    return std::max<std::size_t>(1, static_cast<std::size_t>(room));
}

}  // namespace engram
