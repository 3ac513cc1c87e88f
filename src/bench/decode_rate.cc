#include "bench/decode_rate.h"

#include <algorithm>
#include <limits>

namespace engram::bench {

namespace {

// A piece of text may be of several tokens.
double tokens_of(const Answer &answer, std::size_t pieces) {
    return static_cast<double>(pieces * answer.answer_tokens) / static_cast<double>(answer.token_ms.size());
}

}  // namespace

std::optional<double> while_all_answer(std::span<const Spoken> spoken) {
    double from = 0, to = std::numeric_limits<double>::max();
    for (const Spoken &one : spoken) {
        if (one.answer.token_ms.empty()) return std::nullopt;
        from = std::max(from, one.began_ms + one.answer.token_ms.front());
        to = std::min(to, one.began_ms + one.answer.token_ms.back());
    }
    double tokens = 0;
    for (const Spoken &one : spoken) {
        const auto within = [&](double ms) { return one.began_ms + ms > from && one.began_ms + ms <= to; };
        const std::ptrdiff_t pieces = std::ranges::count_if(one.answer.token_ms, within);
        if (pieces < kEnoughPieces) return std::nullopt;
        tokens += tokens_of(one.answer, static_cast<std::size_t>(pieces));
    }
    return tokens > 0 ? std::optional(tokens * 1000 / (to - from)) : std::nullopt;
}

std::optional<double> while_each_answers(std::span<const Spoken> spoken) {
    double tokens = 0, ms = 0;
    for (const Spoken &one : spoken) {
        if (one.answer.token_ms.empty()) return std::nullopt;
        tokens += tokens_of(one.answer, one.answer.token_ms.size() - 1);
        ms += one.answer.token_ms.back() - one.answer.token_ms.front();
    }
    return ms > 0 ? std::optional(tokens * 1000 / ms) : std::nullopt;
}

}  // namespace engram::bench
