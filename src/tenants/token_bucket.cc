#include "tenants/token_bucket.h"

#include <algorithm>

namespace engram {
namespace {

constexpr std::int64_t kToken = 60'000'000;                  // a token in units of the level
constexpr std::int64_t kMostOwed = 50'000'000'000 * kToken;  // far from where the arithmetic would overflow

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

std::int64_t TokenBucket::wait_us(std::uint64_t limit, std::int64_t now_us) {
    const auto rate = static_cast<std::int64_t>(limit);
    const std::int64_t full = rate * kToken;
    const std::int64_t missing = full - level_;
    const std::int64_t elapsed = now_us - filled_us_;
    if (!used_ || missing <= 0 || elapsed >= divide_up(missing, rate)) {
        level_ = full;
    } else {
        level_ += elapsed * rate;  // less than what is missing
    }
    used_ = true;
    filled_us_ = now_us;
    return level_ >= kToken ? 0 : divide_up(kToken - level_, rate);
}

void TokenBucket::spend(std::uint64_t tokens) {
    const auto taken = static_cast<std::int64_t>(std::min<std::uint64_t>(tokens, kMostOwed / kToken));
    level_ = std::max(level_ - taken * kToken, -kMostOwed);
}

}  // namespace engram
