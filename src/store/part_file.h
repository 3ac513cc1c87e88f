// The bytes of one stored part: a safetensors file (docs/FORMAT.md). Pure: bytes in, values out; no files, no clock.
//
// A file is a header (8-byte length, JSON padded with spaces to a multiple of 8) and a payload (the tensors, in the layout's
// order, without holes). Two XXH3-128 checksums protect it: one over the header with its own digits replaced by zeros, one over
// the payload. So every flipped bit is detected, wherever it lies. The header's checksum stands at a fixed place, so that it is
// verified before the JSON is parsed. Nothing here allocates more than a few times the header's size, which is at most
// kMaxPartHeaderBytes.
//
// Every failure to parse or match is `corrupt`, with a sentence that says what was wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/kv_part.h"
#include "store/block_store.h"
#include "store/checksum.h"

namespace engram {

inline constexpr std::size_t kMaxPartHeaderBytes = 1 << 20;
inline constexpr std::size_t kPartLengthBytes = 8;  // the length field before the JSON

struct PartHeader {
    SegmentIdentity segment;
    PartLayout layout;                 // types as stored; offsets from the payload's start; image_bytes is the payload's size
    std::vector<KvType> source_types;  // of each tensor before lossy storage; equal to the stored type when it is exact
    Position first_position = 0;       // of row 0
    Checksum128 payload_checksum;
    std::size_t header_bytes = 0;  // where the payload starts; set by encode and parse

    std::uint64_t file_bytes() const { return header_bytes + layout.image_bytes; }
};

// The header's bytes (length field included), sealed with its checksum. Sets header.header_bytes. Its size doesn't depend on the
// payload's checksum. invalid_argument when the header couldn't be parsed back: odd tensor names, no tokens, rows that differ.
Result<std::string> encode_part_header(PartHeader &header);

// Where the payload starts, from the first 8 bytes of a file of `file_bytes` bytes.
Result<std::size_t> part_header_bytes(std::span<const std::byte> start, std::uint64_t file_bytes);

// Parses a header from a file's first part_header_bytes() (or more) bytes, its checksum and every bound verified, the file's size
// included.
Result<PartHeader> parse_part_header(std::span<const std::byte> start, std::uint64_t file_bytes);

// Does the file hold this part of this segment?
Result<void> match_part(const PartHeader &header, const SegmentIdentity &segment, PartKind kind);
// Are its rows those positions?
Result<void> match_rows(const PartHeader &header, Position first_position, std::uint32_t rows);
// Is its id the one that its parent and tokens give?
Result<void> match_chain(const PartHeader &header);

// A whole file in memory: header, chain and payload.
Result<PartHeader> verify_part_bytes(std::span<const std::byte> file);

// Puts the right checksum into an encoded header whose other bytes were changed (encode does this itself; tests and the fuzzer
// need it to get behind the checksum). False when the place of the checksum can't be found.
bool seal_part_header(std::span<char> header);

// File names: "<64 hex>.<kind>.safetensors", and while it is written "<64 hex>.<kind>.tmp".
std::string part_file_name(const PartKey &key);
std::string part_temporary_name(const PartKey &key);
std::optional<PartKey> part_key_of_file(std::string_view name);
bool is_part_temporary(std::string_view name);

// Rows of heads * head_dim elements that fit their type, inside the image, equally many in all tensors: what can be stored.
Result<void> validate_layout(const PartLayout &layout);

}  // namespace engram
