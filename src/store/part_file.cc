#include "store/part_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <format>
#include <utility>

#include "store/part_header_json.h"

namespace engram {

namespace {

// Every file's JSON starts with this, so that the checksum can be found without parsing.
constexpr std::string_view kPrefix = R"({"__metadata__":{"header_checksum":"xxh3-128:)";
constexpr std::size_t kDigits = 32;
constexpr std::size_t kDigitsOffset = kPartLengthBytes + kPrefix.size();
constexpr std::size_t kAlignment = 8;

constexpr std::string_view kSuffix = ".safetensors";
constexpr std::string_view kTemporarySuffix = ".tmp";

std::unexpected<Error> corrupt(std::string message) { return fail(ErrorCode::corrupt, std::move(message)); }

std::span<const std::byte> as_bytes(std::span<const char> text) { return std::as_bytes(text); }

Checksum128 header_checksum(std::span<const std::byte> header) {
    static constexpr std::array<char, kDigits> kZeros = [] {
        std::array<char, kDigits> zeros{};
        zeros.fill('0');
        return zeros;
    }();
    ChecksumStream stream;
    stream.add(header.first(kDigitsOffset));
    stream.add(as_bytes(kZeros));
    stream.add(header.subspan(kDigitsOffset + kDigits));
    return stream.value();
}

bool has_prefix(std::span<const std::byte> header) {
    return header.size() > kDigitsOffset + kDigits &&
           std::memcmp(header.data() + kPartLengthBytes, kPrefix.data(), kPrefix.size()) == 0;
}

// The padding is part of the format: anything else there is not a file that we wrote.
Result<void> check_header_checksum(std::span<const std::byte> header) {
    if (!has_prefix(header)) return corrupt("the header isn't that of an Engram part");
    const std::string_view digits(reinterpret_cast<const char *>(header.data()) + kDigitsOffset, kDigits);
    const Checksum128 actual = header_checksum(header);
    if (digits != actual.hex())
        return corrupt(std::format("the header's checksum is {}, but {} is recorded", actual.hex(), digits));
    return {};
}

std::string tokens_text(std::span<const Token> tokens) {
    std::string text = "[";
    for (const Token token : tokens) {
        std::array<char, 16> digits{};
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), token).ptr;
        text.append(digits.data(), end);
        text += ',';
    }
    text.back() = ']';
    return text;
}

void append_tensor(std::string &json, const PartTensor &tensor) {
    const std::size_t end = tensor.offset + tensor.bytes();
    std::string shape;
    std::string_view dtype;
    switch (tensor.type) {
        case KvType::f32: dtype = "F32"; break;
        case KvType::f16: dtype = "F16"; break;
        case KvType::bf16: dtype = "BF16"; break;
        default: dtype = "U8"; break;
    }
    if (dtype == "U8") {
        shape = std::format("{},{}", tensor.rows, tensor.row_bytes);
    } else {
        shape = std::format("{},{},{}", tensor.rows, tensor.heads, tensor.head_dim);
    }
    json += std::format(R"(,"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", tensor.name, dtype, shape, tensor.offset,
                        end);
}

bool valid_tensor_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const auto allowed = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-'; };
    return !name.empty() && name.size() <= 64 && letter(name.front()) && std::ranges::all_of(name, allowed);
}

std::optional<PartKey> split_name(std::string_view name, std::string_view suffix) {
    constexpr std::size_t kHexDigits = 64;
    if (!name.ends_with(suffix) || name.size() < kHexDigits + 1 + suffix.size() || name[kHexDigits] != '.') return std::nullopt;
    const std::string_view hex = name.substr(0, kHexDigits);
    // Upper-case digits would make two names of one id.
    if (hex.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
    const Result<Digest> digest = Digest::from_hex(hex);
    const auto kind = part_kind_from_name(name.substr(kHexDigits + 1, name.size() - kHexDigits - 1 - suffix.size()));
    if (!digest.has_value() || !kind.has_value()) return std::nullopt;
    return PartKey{.id = {*digest}, .kind = *kind};
}

}  // namespace

Result<void> validate_layout(const PartLayout &layout) {
    if (layout.rows == 0 || layout.tensors.empty())
        return fail(ErrorCode::invalid_argument, "a part has at least one row and one tensor");
    for (const PartTensor &tensor : layout.tensors) {
        std::size_t elements = 0;
        std::size_t bytes = 0;
        std::size_t end = 0;
        // Rows beyond 2^56 elements would make the multiplication by a type's size wrap.
        const bool whole = !__builtin_mul_overflow(tensor.heads, tensor.head_dim, &elements) && elements > 0 &&
                           elements >> 56 == 0 && (!kv_type_is_quantised(tensor.type) || elements % 32 == 0) &&
                           tensor.row_bytes == kv_type_bytes(tensor.type, elements) && tensor.rows == layout.rows &&
                           !__builtin_mul_overflow(tensor.rows, tensor.row_bytes, &bytes) &&
                           !__builtin_add_overflow(tensor.offset, bytes, &end) && end <= layout.image_bytes;
        if (!whole || !valid_tensor_name(tensor.name)) {
            return fail(ErrorCode::invalid_argument,
                        std::format("tensor \"{}\" has a name, type, shape or place that can't be stored", tensor.name));
        }
    }
    return {};
}

Result<std::string> encode_part_header(PartHeader &header) {
    ENGRAM_TRY(validate_layout(header.layout));
    if (header.segment.tokens.empty()) return fail(ErrorCode::invalid_argument, "a segment has at least one token");
    if (header.source_types.size() != header.layout.tensors.size()) {
        return fail(ErrorCode::invalid_argument, "every tensor needs its source type");
    }
    std::string text(kPartLengthBytes, '\0');
    text += kPrefix;
    text.append(kDigits, '0');
    text += std::format(
        R"(","payload_checksum":"xxh3-128:{}","format":"engram-part","format_version":"1","kind":"{}","id":"{}","parent":"{}",)"
        R"("fingerprint":"{}","segment_first_position":"{}","part_first_position":"{}","part_rows":"{}","tokens":"{}")",
        header.payload_checksum.hex(), part_kind_name(header.layout.kind), header.segment.id.hex(), header.segment.parent.hex(),
        header.segment.fingerprint.hex(), header.segment.first_position, header.first_position, header.layout.rows,
        tokens_text(header.segment.tokens));
    for (std::size_t i = 0; i < header.layout.tensors.size(); ++i) {
        const PartTensor &tensor = header.layout.tensors[i];
        if (part_dtype_is_bytes(tensor.type)) {
            text += std::format(R"(,"type.{}":"{} [{},{},{}]")", tensor.name, kv_type_name(tensor.type), tensor.rows,
                                tensor.heads, tensor.head_dim);
        }
        if (header.source_types[i] != tensor.type) {
            text += std::format(R"(,"source.{}":"{}")", tensor.name, kv_type_name(header.source_types[i]));
        }
    }
    text += '}';
    for (const PartTensor &tensor : header.layout.tensors) append_tensor(text, tensor);
    text += '}';
    text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
    if (text.size() > kMaxPartHeaderBytes) return fail(ErrorCode::invalid_argument, "the part's header would exceed 1 MiB");
    const std::uint64_t length = text.size() - kPartLengthBytes;
    std::memcpy(text.data(), &length, sizeof length);
    seal_part_header(text);
    header.header_bytes = text.size();
    return text;
}

bool seal_part_header(std::span<char> header) {
    const auto bytes = as_bytes(header);
    if (!has_prefix(bytes)) return false;
    const std::string digits = header_checksum(bytes).hex();
    std::memcpy(header.data() + kDigitsOffset, digits.data(), kDigits);
    return true;
}

Result<std::size_t> part_header_bytes(std::span<const std::byte> start, std::uint64_t file_bytes) {
    if (start.size() < kPartLengthBytes)
        return corrupt(std::format("the file has {} bytes: too short for a header", start.size()));
    std::uint64_t length = 0;
    std::memcpy(&length, start.data(), sizeof length);
    if (length > kMaxPartHeaderBytes - kPartLengthBytes || length % kAlignment != 0) {
        return corrupt(std::format("the header's length field says {} bytes", length));
    }
    if (length + kPartLengthBytes > file_bytes) {
        return corrupt(std::format("the file has {} bytes, but its header alone has {}", file_bytes, length + kPartLengthBytes));
    }
    return static_cast<std::size_t>(length) + kPartLengthBytes;
}

Result<PartHeader> parse_part_header(std::span<const std::byte> start, std::uint64_t file_bytes) {
    ENGRAM_ASSIGN(const std::size_t header_bytes, part_header_bytes(start, file_bytes));
    if (start.size() < header_bytes) return corrupt("the file ends inside its header");
    const auto bytes = start.first(header_bytes);
    ENGRAM_TRY(check_header_checksum(bytes));
    const std::string_view json(reinterpret_cast<const char *>(bytes.data()) + kPartLengthBytes, header_bytes - kPartLengthBytes);
    ENGRAM_ASSIGN(PartHeader header, read_header_json(json));
    header.header_bytes = header_bytes;
    if (const Result<void> valid = validate_layout(header.layout); !valid.has_value()) return corrupt(valid.error().message);
    if (header.file_bytes() != file_bytes) {
        return corrupt(std::format("the file has {} bytes, but its header describes {}", file_bytes, header.file_bytes()));
    }
    return header;
}

Result<void> match_part(const PartHeader &header, const SegmentIdentity &segment, PartKind kind) {
    if (header.layout.kind != kind) {
        return corrupt(std::format("it holds {} rows, not {} rows", part_kind_name(header.layout.kind), part_kind_name(kind)));
    }
    if (header.segment.id != segment.id) return corrupt(std::format("it holds block {}", header.segment.id.hex()));
    if (header.segment.parent != segment.parent) return corrupt("its parent is another block");
    if (header.segment.fingerprint != segment.fingerprint) return corrupt("its fingerprint is that of another model");
    if (header.segment.first_position != segment.first_position) {
        return corrupt(std::format("it starts at position {}, not {}", header.segment.first_position, segment.first_position));
    }
    if (header.segment.tokens != segment.tokens) return corrupt("its tokens differ");
    return {};
}

Result<void> match_rows(const PartHeader &header, Position first_position, std::uint32_t rows) {
    if (header.first_position != first_position || header.layout.rows != rows) {
        return corrupt(std::format("it holds {} rows from position {}, not {} from {}", header.layout.rows, header.first_position,
                                   rows, first_position));
    }
    return {};
}

Result<void> match_chain(const PartHeader &header) {
    if (chain_next(header.segment.parent, header.segment.tokens) != header.segment.id) {
        return corrupt("its id isn't the one that its parent and tokens give");
    }
    return {};
}

Result<PartHeader> verify_part_bytes(std::span<const std::byte> file) {
    ENGRAM_ASSIGN(PartHeader header, parse_part_header(file, file.size()));
    ENGRAM_TRY(match_chain(header));
    ChecksumStream stream;
    stream.add(file.subspan(header.header_bytes));
    if (stream.value() != header.payload_checksum) {
        return corrupt(
            std::format("the payload's checksum is {}, but {} is recorded", stream.value().hex(), header.payload_checksum.hex()));
    }
    return header;
}

std::string part_file_name(const PartKey &key) { return std::format("{}.{}{}", key.id.hex(), part_kind_name(key.kind), kSuffix); }

std::string part_temporary_name(const PartKey &key) {
    return std::format("{}.{}{}", key.id.hex(), part_kind_name(key.kind), kTemporarySuffix);
}

std::optional<PartKey> part_key_of_file(std::string_view name) { return split_name(name, kSuffix); }

bool is_part_temporary(std::string_view name) { return split_name(name, kTemporarySuffix).has_value(); }

}  // namespace engram
