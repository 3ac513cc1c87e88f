#include "scheduler/step_costs.h"

#include <algorithm>

namespace engram {
namespace {

// Steps that the estimate remembers, about: contexts grow and runs come and go, so older ones say less.
constexpr double kMemory = 16;
// The same in tokens of prefills. A step with few of them says little about what one costs: most of what it took longer than one
// without is noise, and what each step costs however many there are. Counted like others, such steps would make tokens seem dear,
// hence chunks smaller still.
constexpr double kTokenMemory = 512;
// A step that was held up (a page fault, another program) says little about the next one.
constexpr double kMostGrowth = 4;

}  // namespace

void StepCosts::Estimate::learn(double value, double weight) {
    if (!ms && value <= 0) return;
    known = std::min(1.0, known + weight);
    if (!ms) ms = value;
    // At first all that was measured counts alike: a process's first steps are slow.
    *ms += (std::min(value, *ms * kMostGrowth) - *ms) * weight / known;
}

void StepCosts::measured(std::size_t decoding, std::size_t prefill, double ms) {
    if (ms <= 0) return;
    if (prefill == 0) {
        if (decoding > 0) decode_.learn(ms, 1 / kMemory);
        return;
    }
    const double decode = decoding > 0 ? decode_.ms.value_or(0) : 0;
    const auto tokens = static_cast<double>(prefill);
    // One that was quicker than decoding alone counts, too: without it only the slower half of the noise would.
    token_.learn(std::max(0.0, ms - decode) / tokens, std::min(1 / kMemory, tokens / kTokenMemory));
}

std::size_t StepCosts::prefill_room(double share, std::size_t most) const {
    if (!decode_.ms || !token_.ms || *token_.ms <= 0) return most;
    const double room = *decode_.ms * share / *token_.ms;
    if (room >= static_cast<double>(most)) return most;
    return std::max<std::size_t>(1, static_cast<std::size_t>(room));
}

}  // namespace engram
