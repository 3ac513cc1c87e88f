#include "store/part_header_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <format>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace engram {

namespace {

using Json = nlohmann::json;

std::unexpected<Error> corrupt(std::string message) { return fail(ErrorCode::corrupt, std::move(message)); }

struct RawTensor {
    std::string name;
    std::string dtype;
    std::vector<std::uint64_t> shape;
    std::vector<std::uint64_t> offsets;
};

// Takes a header's JSON apart as the parser meets it. Only the shape of a safetensors header is accepted, so nesting and memory
// stay small whatever the bytes are, and no key gets lost the way a map of keys loses duplicates.
class HeaderEvents final : public nlohmann::json_sax<Json> {
  public:
    std::vector<std::pair<std::string, std::string>> metadata;
    std::vector<RawTensor> tensors;
    bool finished() const { return place_ == Place::after; }

    bool null() override { return false; }
    bool boolean(bool) override { return false; }
    bool number_integer(number_integer_t) override { return false; }
    bool number_float(number_float_t, const string_t &) override { return false; }
    bool binary(binary_t &) override { return false; }

    bool number_unsigned(number_unsigned_t value) override {
        if (place_ == Place::shape && tensors.back().shape.size() < 3) {
            tensors.back().shape.push_back(value);
        } else if (place_ == Place::offsets && tensors.back().offsets.size() < 2) {
            tensors.back().offsets.push_back(value);
        } else {
            return false;
        }
        return true;
    }

    bool string(string_t &value) override {
        if (place_ == Place::metadata) {
            metadata.back().second = std::move(value);
        } else if (place_ == Place::tensor && key_ == "dtype" && tensors.back().dtype.empty() && !value.empty()) {
            tensors.back().dtype = std::move(value);
        } else {
            return false;
        }
        return true;
    }

    bool start_object(std::size_t) override {
        if (place_ == Place::before) {
            place_ = Place::top;
        } else if (place_ == Place::top && key_ == "__metadata__" && !seen_metadata_) {
            seen_metadata_ = true;
            place_ = Place::metadata;
        } else if (place_ == Place::top && key_ != "__metadata__") {
            tensors.push_back({.name = key_, .dtype = {}, .shape = {}, .offsets = {}});
            seen_shape_ = seen_offsets_ = false;
            place_ = Place::tensor;
        } else {
            return false;
        }
        return true;
    }

    bool key(string_t &value) override {
        if (place_ == Place::metadata) {
            metadata.emplace_back(std::move(value), std::string());
        } else {
            key_ = std::move(value);
        }
        return true;
    }

    bool end_object() override {
        place_ = place_ == Place::top ? Place::after : Place::top;
        return true;
    }

    bool start_array(std::size_t) override {
        if (place_ != Place::tensor) return false;
        if (key_ == "shape" && !std::exchange(seen_shape_, true)) {
            place_ = Place::shape;
        } else if (key_ == "data_offsets" && !std::exchange(seen_offsets_, true)) {
            place_ = Place::offsets;
        } else {
            return false;
        }
        return true;
    }

    bool end_array() override {
        place_ = Place::tensor;
        return true;
    }

    bool parse_error(std::size_t, const std::string &, const Json::exception &) override { return false; }

  private:
    enum class Place : std::uint8_t { before, top, metadata, tensor, shape, offsets, after };
    Place place_ = Place::before;
    bool seen_metadata_ = false;
    bool seen_shape_ = false;    // of the tensor being read
    bool seen_offsets_ = false;  // of the tensor being read
    std::string key_;
};

template <typename Number>
bool read_number(std::string_view text, Number &value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

bool read_tokens(std::string_view text, std::vector<Token> &tokens) {
    if (text.size() < 3 || text.front() != '[' || text.back() != ']') return false;
    text = text.substr(1, text.size() - 2);
    for (;;) {
        const std::size_t comma = text.find(',');
        Token token = 0;
        if (!read_number(text.substr(0, comma), token)) return false;
        tokens.push_back(token);
        if (comma == std::string_view::npos) return true;
        text.remove_prefix(comma + 1);
    }
}

template <typename Id>
bool read_digest(std::string_view text, Id &id) {
    const Result<Digest> digest = Digest::from_hex(text);
    if (!digest.has_value()) return false;
    static_cast<Digest &>(id) = *digest;
    return true;
}

// The metadata, sorted. Each key must be asked for exactly once: what is left over is unknown.
class Metadata {
  public:
    explicit Metadata(std::vector<std::pair<std::string, std::string>> entries) : entries_(std::move(entries)) {
        std::ranges::sort(entries_);
    }

    bool has_duplicates() const {
        return std::ranges::adjacent_find(entries_, {}, &std::pair<std::string, std::string>::first) != entries_.end();
    }

    const std::string *take(std::string_view key) {
        const auto found = std::ranges::lower_bound(entries_, key, {}, &std::pair<std::string, std::string>::first);
        if (found == entries_.end() || found->first != key) return nullptr;
        ++taken_;
        return &found->second;
    }

    bool all_taken() const { return taken_ == entries_.size(); }

  private:
    std::vector<std::pair<std::string, std::string>> entries_;
    std::size_t taken_ = 0;
};

bool read_checksum(std::string_view text, Checksum128 &sum) {
    constexpr std::string_view kAlgorithm = "xxh3-128:";
    if (!text.starts_with(kAlgorithm)) return false;
    const auto parsed = Checksum128::from_hex(text.substr(kAlgorithm.size()));
    if (parsed.has_value()) sum = *parsed;
    return parsed.has_value();
}

Result<void> read_identity(Metadata &metadata, PartHeader &header) {
    if (const std::string *format = metadata.take("format"); format == nullptr || *format != "engram-part") {
        return corrupt("the metadata isn't that of an Engram part");
    }
    if (const std::string *version = metadata.take("format_version"); version == nullptr || *version != "1") {
        return corrupt("the format version isn't 1, the only one that this program knows");
    }
    std::optional<PartKind> kind;
    Checksum128 verified_before;
    const auto field = [&](std::string_view key, auto &&read) {
        const std::string *text = metadata.take(key);
        return text != nullptr && read(*text);
    };
    const bool whole =
        field("header_checksum", [&](std::string_view text) { return read_checksum(text, verified_before); }) &&
        field("payload_checksum", [&](std::string_view text) { return read_checksum(text, header.payload_checksum); }) &&
        field("kind", [&](std::string_view text) { return (kind = part_kind_from_name(text)).has_value(); }) &&
        field("id", [&](std::string_view text) { return read_digest(text, header.segment.id); }) &&
        field("parent", [&](std::string_view text) { return read_digest(text, header.segment.parent); }) &&
        field("fingerprint", [&](std::string_view text) { return read_digest(text, header.segment.fingerprint); }) &&
        field("segment_first_position",
              [&](std::string_view text) { return read_number(text, header.segment.first_position); }) &&
        field("part_first_position", [&](std::string_view text) { return read_number(text, header.first_position); }) &&
        field("part_rows", [&](std::string_view text) { return read_number(text, header.layout.rows); }) &&
        field("tokens", [&](std::string_view text) { return read_tokens(text, header.segment.tokens); });
    if (!whole) return corrupt("a metadata field is missing or malformed");
    header.layout.kind = *kind;
    return {};
}

// "q8_0 [256,1,256]"
bool read_type(std::string_view text, PartTensor &tensor) {
    const std::size_t space = text.find(" [");
    if (space == std::string_view::npos || text.back() != ']') return false;
    const std::optional<KvType> type = kv_type_from_name(text.substr(0, space));
    const std::string_view shape = text.substr(space + 2, text.size() - space - 3);
    const std::size_t first = shape.find(',');
    const std::size_t second = first == std::string_view::npos ? first : shape.find(',', first + 1);
    if (!type.has_value() || !part_dtype_is_bytes(*type) || second == std::string_view::npos) return false;
    tensor.type = *type;
    return read_number(shape.substr(0, first), tensor.rows) &&
           read_number(shape.substr(first + 1, second - first - 1), tensor.heads) &&
           read_number(shape.substr(second + 1), tensor.head_dim);
}

// Type, shape and row size; validate_layout() later checks that they belong together.
bool read_shape(const RawTensor &raw, Metadata &metadata, PartTensor &tensor) {
    if (raw.dtype == "U8") {
        const std::string *type = metadata.take("type." + raw.name);
        if (type == nullptr || !read_type(*type, tensor) || raw.shape.size() != 2 || raw.shape[0] != tensor.rows) return false;
        tensor.row_bytes = raw.shape[1];
        return true;
    }
    if (raw.dtype == "F16") {
        tensor.type = KvType::f16;
    } else if (raw.dtype == "BF16") {
        tensor.type = KvType::bf16;
    } else if (raw.dtype == "F32") {
        tensor.type = KvType::f32;
    } else {
        return false;
    }
    if (raw.shape.size() != 3) return false;
    tensor.rows = raw.shape[0];
    tensor.heads = raw.shape[1];
    tensor.head_dim = raw.shape[2];
    std::size_t elements = 0;
    if (__builtin_mul_overflow(tensor.heads, tensor.head_dim, &elements)) return false;
    tensor.row_bytes = kv_type_bytes(tensor.type, elements);
    return true;
}

Result<void> read_tensors(const std::vector<RawTensor> &raw_tensors, Metadata &metadata, PartHeader &header) {
    std::uint64_t next = 0;
    for (const RawTensor &raw : raw_tensors) {
        PartTensor tensor;
        tensor.name = raw.name;
        std::size_t bytes = 0;
        if (!read_shape(raw, metadata, tensor) || __builtin_mul_overflow(tensor.rows, tensor.row_bytes, &bytes)) {
            return corrupt(std::format("tensor \"{}\" has an impossible type or shape", raw.name));
        }
        if (raw.offsets.size() != 2 || raw.offsets[0] != next || raw.offsets[1] < next || raw.offsets[1] - next != bytes) {
            return corrupt(std::format(
                "tensor \"{}\" doesn't lie where the one before it ends, or has another size than its shape", raw.name));
        }
        tensor.offset = next;
        next = raw.offsets[1];
        KvType source = tensor.type;
        if (const std::string *text = metadata.take("source." + raw.name); text != nullptr) {
            const std::optional<KvType> type = kv_type_from_name(*text);
            if (!type.has_value() || *type == tensor.type)
                return corrupt(std::format("tensor \"{}\" has no valid source type", raw.name));
            source = *type;
        }
        header.layout.tensors.push_back(std::move(tensor));
        header.source_types.push_back(source);
    }
    header.layout.image_bytes = next;
    return {};
}

bool names_repeat(const std::vector<RawTensor> &tensors) {
    std::vector<std::string_view> names;
    names.reserve(tensors.size());
    for (const RawTensor &tensor : tensors) names.push_back(tensor.name);
    std::ranges::sort(names);
    return std::ranges::adjacent_find(names) != names.end();
}

}  // namespace

bool part_dtype_is_bytes(KvType type) { return kv_type_is_quantised(type) || type == KvType::u8; }

Result<PartHeader> read_header_json(std::string_view json) {
    HeaderEvents events;
    if (!Json::sax_parse(json.data(), json.data() + json.size(), &events) || !events.finished()) {
        return corrupt("the header isn't the JSON of a safetensors file");
    }
    Metadata metadata(std::move(events.metadata));
    if (metadata.has_duplicates() || names_repeat(events.tensors)) return corrupt("the header has the same key twice");
    PartHeader header;
    ENGRAM_TRY(read_identity(metadata, header));
    ENGRAM_TRY(read_tensors(events.tensors, metadata, header));
    if (!metadata.all_taken()) return corrupt("the metadata has a key that format version 1 doesn't know");
    return header;
}

}  // namespace engram
