// How quickly stored KV comes back from disk, learned from what came, and whether that is quicker than computing it. Pure; one
// thread.
#pragma once

#include <cstdint>
#include <optional>

namespace engram {

class ReadRate {
  public:
    // `bytes` were read in `ms`.
    void measured(std::uint64_t bytes, double ms);

    // Whether reading `bytes` is to be preferred to computing `tokens` at `ms_per_token` each. Yes, as long as either isn't
    // known. Each no makes the next one less likely: a rate that is never tried again could never be seen to have improved.
    bool worth_reading(std::uint64_t bytes, std::uint64_t tokens, std::optional<double> ms_per_token);

    std::optional<double> ms_per_mib() const { return ms_per_mib_; }

  private:
    std::optional<double> ms_per_mib_;
};

}  // namespace engram
