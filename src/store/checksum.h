// XXH3-128, streaming: fast enough (tens of GB/s from the processor's cache) to verify every read. Finds accidents, not attacks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct XXH3_state_s;

namespace engram {

struct Checksum128 {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    bool operator==(const Checksum128 &) const = default;

    std::string hex() const;                                              // 32 lower-case digits, as xxhsum prints them
    static std::optional<Checksum128> from_hex(std::string_view digits);  // exactly 32 lower-case digits
};

class ChecksumStream {
  public:
    ChecksumStream();
    void add(std::span<const std::byte> bytes);
    Checksum128 value() const;  // of everything added so far

  private:
    struct Free {
        void operator()(XXH3_state_s *state) const;
    };
    std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace engram
