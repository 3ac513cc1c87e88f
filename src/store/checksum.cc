#include "store/checksum.h"

#ifdef ENGRAM_XXH_DISPATCH
#include <xxh_x86dispatch.h>  // picks the widest vectors that this processor has; the plain library uses SSE2
#else
#include <xxhash.h>
#endif

#include <charconv>
#include <format>
#include <new>

namespace engram {

std::string Checksum128::hex() const { return std::format("{:016x}{:016x}", high, low); }

std::optional<Checksum128> Checksum128::from_hex(std::string_view digits) {
    if (digits.size() != 32 || digits.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
    Checksum128 sum;
    std::from_chars(digits.data(), digits.data() + 16, sum.high, 16);
    std::from_chars(digits.data() + 16, digits.data() + 32, sum.low, 16);
    return sum;
}

ChecksumStream::ChecksumStream() : state_(XXH3_createState()) {
    if (state_ == nullptr) throw std::bad_alloc();
    XXH3_128bits_reset(state_.get());
}

void ChecksumStream::add(std::span<const std::byte> bytes) { XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()); }

Checksum128 ChecksumStream::value() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return {.high = hash.high64, .low = hash.low64};
}

void ChecksumStream::Free::operator()(XXH3_state_s *state) const { XXH3_freeState(state); }

}  // namespace engram
