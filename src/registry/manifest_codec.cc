#include "registry/manifest_codec.h"

#include <array>
#include <bit>
#include <cstring>
#include <format>
#include <limits>
#include <utility>

namespace engram {
namespace {

static_assert(std::endian::native == std::endian::little, "manifests hold little-endian integers");

constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 4 + 32 + 4 + 8 + 4;
constexpr std::size_t kPartBytes = 1 + 32 + 4 + 4;
constexpr std::uint64_t kMaxTokens = std::numeric_limits<Position>::max();

template <typename T>
void append(std::vector<std::byte> &out, const T &value) {
    const auto raw = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
    out.insert(out.end(), raw.begin(), raw.end());
}

// The caller has checked that the bytes are there.
template <typename T>
T take(std::span<const std::byte> &bytes) {
    std::array<std::byte, sizeof(T)> raw;
    std::memcpy(raw.data(), bytes.data(), raw.size());
    bytes = bytes.subspan(raw.size());
    return std::bit_cast<T>(raw);
}

// What is wrong with the manifest's values; empty when nothing is.
std::string fault_of(const Manifest &manifest) {
    if (const auto valid = validate_block_tokens(manifest.block_tokens); !valid) return valid.error().message;
    if (manifest.n_kv > kMaxTokens) return std::format("{} tokens are more than there are positions", manifest.n_kv);
    for (const ManifestPart &part : manifest.parts) {
        if (std::to_underlying(part.kind) >= kPartKinds)
            return std::format("unknown kind of part {}", std::to_underlying(part.kind));
        if (part.first_position < 0) return std::format("negative position {}", part.first_position);
        if (part.rows > kMaxTokens) return std::format("{} rows are more than there are positions", part.rows);
    }
    return {};
}

}  // namespace

Result<std::vector<std::byte>> encode_manifest(const Manifest &manifest) {
    if (const std::string fault = fault_of(manifest); !fault.empty()) {
        return fail(ErrorCode::invalid_argument, "this manifest can't be stored: " + fault);
    }
    if (manifest.parts.size() > std::numeric_limits<std::uint32_t>::max()) {
        return fail(ErrorCode::invalid_argument, "this manifest can't be stored: too many parts");
    }
    std::vector<std::byte> out;
    out.reserve(kHeaderBytes + manifest.parts.size() * kPartBytes);
    append(out, kVersion);
    append(out, manifest.fingerprint.bytes);
    append(out, manifest.block_tokens);
    append(out, manifest.n_kv);
    append(out, static_cast<std::uint32_t>(manifest.parts.size()));
    for (const ManifestPart &part : manifest.parts) {
        append(out, std::to_underlying(part.kind));
        append(out, part.id.bytes);
        append(out, part.first_position);
        append(out, part.rows);
    }
    return out;
}

Result<Manifest> decode_manifest(std::span<const std::byte> bytes) {
    if (bytes.size() < kHeaderBytes) {
        return fail(ErrorCode::corrupt, std::format("a manifest has at least {} bytes, this one {}", kHeaderBytes, bytes.size()));
    }
    const auto version = take<std::uint32_t>(bytes);
    if (version > kVersion) {
        return fail(ErrorCode::incompatible,
                    std::format("the manifest has version {}, this program reads up to {}", version, kVersion));
    }
    if (version == 0) return fail(ErrorCode::corrupt, "a manifest has no version 0");
    Manifest manifest;
    manifest.fingerprint.bytes = take<decltype(manifest.fingerprint.bytes)>(bytes);
    manifest.block_tokens = take<std::uint32_t>(bytes);
    manifest.n_kv = take<std::uint64_t>(bytes);
    const auto n_parts = take<std::uint32_t>(bytes);
    // Before memory is reserved: the count must be what the bytes hold.
    if (bytes.size() % kPartBytes != 0 || bytes.size() / kPartBytes != n_parts) {
        return fail(ErrorCode::corrupt, std::format("the manifest counts {} parts, its bytes don't", n_parts));
    }
    manifest.parts.reserve(n_parts);
    for (std::uint32_t i = 0; i < n_parts; ++i) {
        const auto kind = take<std::uint8_t>(bytes);
        if (kind >= kPartKinds)
            return fail(ErrorCode::corrupt, std::format("the manifest names a part of unknown kind {}", kind));
        ManifestPart part{.kind = static_cast<PartKind>(kind)};
        part.id.bytes = take<decltype(part.id.bytes)>(bytes);
        part.first_position = take<Position>(bytes);
        part.rows = take<std::uint32_t>(bytes);
        manifest.parts.push_back(part);
    }
    if (const std::string fault = fault_of(manifest); !fault.empty())
        return fail(ErrorCode::corrupt, "the manifest is damaged: " + fault);
    return manifest;
}

}  // namespace engram
