#include "engine/top_logits.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>

namespace engram {

namespace {

constexpr std::size_t kChunk = 64;
constexpr std::size_t kLanes = 16;  // looked at side by side, which compilers turn into vector instructions
constexpr std::size_t kLeastChunksForEach = 8;

float largest_of(std::span<const float> logits) {
    std::array<float, kLanes> largest;
    largest.fill(-std::numeric_limits<float>::infinity());
    std::size_t i = 0;
    for (; i + kLanes <= logits.size(); i += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            largest[lane] = logits[i + lane] > largest[lane] ? logits[i + lane] : largest[lane];  // false for NaN
        }
    }
    for (; i < logits.size(); ++i) {
        if (logits[i] > largest[0]) largest[0] = logits[i];
    }
    return std::ranges::max(largest);
}

}  // namespace

bool append_top_logits(std::span<const float> logits, std::size_t n, float limit, std::vector<Token> &tokens) {
    const std::size_t chunks = (logits.size() + kChunk - 1) / kChunk;
    if (n == 0 || n > chunks / kLeastChunksForEach) return false;
    const auto chunk = [&](std::size_t number) {
        return logits.subspan(number * kChunk, std::min(kChunk, logits.size() - number * kChunk));
    };
    std::vector<float> largest(chunks);
    for (std::size_t i = 0; i < chunks; ++i) largest[i] = largest_of(chunk(i));
    std::vector<float> top(n);
    std::ranges::partial_sort_copy(largest, top, std::greater());
    const float bound = top.back() > -limit ? std::min(top.back(), limit) : -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < chunks; ++i) {
        if (largest[i] < bound) continue;
        const std::span<const float> values = chunk(i);
        // Not "reaches the bound": where all are as small as can be, NaN is among them.
        for (std::size_t j = 0; j < values.size(); ++j) {
            if (!(values[j] < bound)) tokens.push_back(static_cast<Token>(i * kChunk + j));
        }
    }
    return true;
}

}  // namespace engram
