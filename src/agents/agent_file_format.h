// The numbers of the agent file's format and its little-endian values, for its reader and its writer. docs/EXPORT_FORMAT.md.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "store/checksum.h"

namespace engram::agent_file {

static_assert(std::endian::native == std::endian::little, "agent files hold little-endian integers");

inline constexpr std::array<char, 8> kMagic{'E', 'N', 'G', 'R', 'A', 'M', 'A', '1'};

// Kinds of sections.
inline constexpr std::uint32_t kHeader = 1;
inline constexpr std::uint32_t kMessages = 2;
inline constexpr std::uint32_t kTokens = 3;
inline constexpr std::uint32_t kManifest = 4;
inline constexpr std::uint32_t kPart = 5;
inline constexpr std::uint32_t kEnd = 0xFFFFFFFF;

struct SectionHead {
    std::uint32_t kind = 0;
    std::uint32_t reserved = 0;
    std::uint64_t length = 0;  // of the payload
};
static_assert(sizeof(SectionHead) == 16);

struct PartHead {
    std::uint32_t kind = 0;
    std::array<std::uint8_t, 32> id{};
    std::array<std::uint8_t, 32> parent{};
    std::int32_t segment_first_position = 0;
    std::uint32_t n_tokens = 0;  // that many int32 follow, then a PartRows
};
static_assert(sizeof(PartHead) == 76);

struct PartRows {
    std::int32_t first_position = 0;
    std::uint32_t rows = 0;  // the part's file follows
};
static_assert(sizeof(PartRows) == 8);

struct EndPayload {
    std::uint64_t sections = 0;       // before this one
    std::array<std::byte, 16> all{};  // checksum over their checksums
};
static_assert(sizeof(EndPayload) == 24);

inline constexpr std::size_t kChecksumBytes = 16;

// The most bytes that a section of this kind may have; 0 for a kind that isn't known.
inline constexpr std::uint64_t max_length(std::uint32_t kind) {
    switch (kind) {
        case kHeader: return 64ULL << 20;
        case kMessages: return 256ULL << 20;
        case kTokens: return 4ULL * std::numeric_limits<std::int32_t>::max();
        case kManifest: return 64ULL << 20;
        case kPart: return 4ULL << 30;
        case kEnd: return sizeof(EndPayload);
        default: return 0;
    }
}

// The 16 bytes of a checksum: most significant byte first, as its hexadecimal form reads.
inline std::array<std::byte, kChecksumBytes> bytes_of(const Checksum128 &checksum) {
    const std::array words{std::byteswap(checksum.high), std::byteswap(checksum.low)};
    return std::bit_cast<std::array<std::byte, kChecksumBytes>>(words);
}

template <typename T>
std::span<const std::byte> view_of(const T &value) {
    return std::as_bytes(std::span(&value, 1));
}

// Copies the front of `bytes` into a value and drops it from them; the caller has checked that it is there.
template <typename T>
T take(std::span<const std::byte> &bytes) {
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes = bytes.subspan(sizeof value);
    return value;
}

}  // namespace engram::agent_file
