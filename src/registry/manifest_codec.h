// Manifests as bytes: the registry's blob and the export file's section. Little-endian, no padding:
//
//     u32 version (1) | 32 bytes fingerprint | u32 block_tokens | u64 n_kv | u32 number of parts
//     for each part: u8 kind | 32 bytes id | i32 first_position | u32 rows
//
// Pure functions. The bytes carry no checksum of their own: whoever stores them adds one.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engram/error.h"
#include "registry/registry.h"

namespace engram {

// invalid_argument when the manifest couldn't be read back: block size out of range, a negative position, an unknown kind of
// part, more tokens than positions.
Result<std::vector<std::byte>> encode_manifest(const Manifest &manifest);

// corrupt: not such bytes; incompatible: a newer version. Memory used is proportional to bytes.size().
Result<Manifest> decode_manifest(std::span<const std::byte> bytes);

}  // namespace engram
