#include "agents/read_rate.h"

namespace engram {
namespace {

constexpr double kMemory = 8;                      // reads that the estimate remembers, about
constexpr double kForgottenByANo = 0.9;            // what remains of the estimate
constexpr std::uint64_t kLeastBytes = 64U << 10U;  // a smaller read tells of its beginning only

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1U << 20U); }

}  // namespace

void ReadRate::measured(std::uint64_t bytes, double ms) {
    if (bytes < kLeastBytes) return;
    const double rate = ms / mib(bytes);
    ms_per_mib_ = ms_per_mib_ ? *ms_per_mib_ + (rate - *ms_per_mib_) / kMemory : rate;
}

bool ReadRate::worth_reading(std::uint64_t bytes, std::uint64_t tokens, std::optional<double> ms_per_token) {
    if (!ms_per_mib_ || !ms_per_token) return true;
    if (*ms_per_mib_ * mib(bytes) <= *ms_per_token * static_cast<double>(tokens)) return true;
    *ms_per_mib_ *= kForgottenByANo;
    return false;
}

}  // namespace engram
