#include "store/part_io.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <format>
#include <utility>

namespace engram {

namespace {

// One read and one pass of the checksum: small enough for a processor's second-level cache, large enough to make a system call
// cheap.
constexpr std::size_t kChunkBytes = 512 << 10;
constexpr std::size_t kMaxChunkPieces = 256;

// Covers the header of a 256-token block of some 60 tensors: one read for nearly every file.
constexpr std::size_t kFirstReadBytes = 16 << 10;

iovec piece_of(std::span<const std::byte> bytes) {
    return {.iov_base = const_cast<std::byte *>(bytes.data()), .iov_len = bytes.size()};
}

// Reads a file's payload in order, in chunks of several tensors' rows, and hashes each chunk while it is in the cache.
class PayloadReader {
  public:
    PayloadReader(ReadableFile &file, std::uint64_t offset) : file_(file), offset_(offset) {}

    Result<void> add(std::span<std::byte> destination) {
        while (!destination.empty()) {
            const std::size_t step = std::min(destination.size(), kChunkBytes - pending_bytes_);
            pieces_[n_pieces_++] = {.iov_base = destination.data(), .iov_len = step};
            pending_bytes_ += step;
            destination = destination.subspan(step);
            if (pending_bytes_ == kChunkBytes || n_pieces_ == kMaxChunkPieces) ENGRAM_TRY(flush());
        }
        return {};
    }

    Result<void> flush() {
        if (n_pieces_ == 0) return {};
        const std::span<const iovec> pieces = std::span(pieces_).first(n_pieces_);
        ENGRAM_TRY(file_.read(offset_, pieces));
        for (const iovec &piece : pieces) checksum_.add({static_cast<const std::byte *>(piece.iov_base), piece.iov_len});
        offset_ += pending_bytes_;
        pending_bytes_ = 0;
        n_pieces_ = 0;
        return {};
    }

    Result<void> finish(const Checksum128 &expected) {
        ENGRAM_TRY(flush());
        if (checksum_.value() == expected) return {};
        return fail(ErrorCode::corrupt,
                    std::format("the payload's checksum is {}, but {} is recorded", checksum_.value().hex(), expected.hex()));
    }

  private:
    ReadableFile &file_;
    std::uint64_t offset_;
    ChecksumStream checksum_;
    std::array<iovec, kMaxChunkPieces> pieces_{};
    std::size_t n_pieces_ = 0;
    std::size_t pending_bytes_ = 0;
};

std::span<std::byte> target_rows(const ScatterTarget &target, std::size_t tensor, std::size_t rows) {
    const PartTensor &place = target.image->layout->tensors[tensor];
    return {target.image->buffer.get() + place.offset + target.row * place.row_bytes, rows * place.row_bytes};
}

// The layout of the file: the image's tensors one after the other, with the types that they are stored in.
PartHeader describe(const PutRequest &request, std::optional<KvType> stored_type, const TensorCodec *codec) {
    const PartLayout &image = *request.image.layout;
    PartHeader header;
    header.segment = request.segment;
    header.first_position = request.image.first_position;
    header.layout.kind = image.kind;
    header.layout.rows = image.rows;
    std::size_t next = 0;
    for (const PartTensor &tensor : image.tensors) {
        PartTensor stored = tensor;
        const std::size_t elements = tensor.heads * tensor.head_dim;
        const bool lossy = stored_type.has_value() && *stored_type != tensor.type && image.kind != PartKind::state &&
                           codec != nullptr && (!kv_type_is_quantised(*stored_type) || elements % 32 == 0) &&
                           codec->supports(tensor.type, *stored_type, elements);
        if (lossy) {
            stored.type = *stored_type;
            stored.row_bytes = kv_type_bytes(*stored_type, elements);
        }
        stored.offset = next;
        next += stored.bytes();
        header.source_types.push_back(tensor.type);
        header.layout.tensors.push_back(std::move(stored));
    }
    header.layout.image_bytes = next;
    return header;
}

}  // namespace

Result<EncodedPart> encode_part(const PutRequest &request, std::optional<KvType> stored_type, const TensorCodec *codec) {
    ENGRAM_TRY(validate_layout(*request.image.layout));
    PartHeader header = describe(request, stored_type, codec);
    EncodedPart part;
    part.image = request.image;
    part.pieces.push_back({});  // the header, once it is known
    ChecksumStream checksum;
    for (std::size_t i = 0; i < header.layout.tensors.size(); ++i) {
        const PartTensor &stored = header.layout.tensors[i];
        std::span<const std::byte> rows = request.image.tensor(i);
        if (stored.type != header.source_types[i]) {
            part.converted.push_back(std::make_unique_for_overwrite<std::byte[]>(stored.bytes()));
            const std::span<std::byte> out(part.converted.back().get(), stored.bytes());
            ENGRAM_TRY(
                codec->convert(header.source_types[i], stored.type, stored.heads * stored.head_dim, stored.rows, rows, out));
            rows = out;
        }
        checksum.add(rows);
        part.pieces.push_back(piece_of(rows));
    }
    header.payload_checksum = checksum.value();
    ENGRAM_ASSIGN(part.header, encode_part_header(header));
    part.pieces.front() = piece_of(std::as_bytes(std::span(part.header)));
    part.bytes = header.file_bytes();
    return part;
}

Result<PartHeader> read_part_header(ReadableFile &file) {
    std::vector<std::byte> start(std::min<std::uint64_t>(file.size(), kFirstReadBytes));
    const iovec first{.iov_base = start.data(), .iov_len = start.size()};
    ENGRAM_TRY(file.read(0, std::span(&first, 1)));
    ENGRAM_ASSIGN(const std::size_t header_bytes, part_header_bytes(start, file.size()));
    if (const std::size_t have = start.size(); have < header_bytes) {
        start.resize(header_bytes);
        const iovec rest{.iov_base = start.data() + have, .iov_len = header_bytes - have};
        ENGRAM_TRY(file.read(have, std::span(&rest, 1)));
    }
    return parse_part_header(start, file.size());
}

Result<PartHeader> read_part_header(ReadableFile &file, const PartKey &key) {
    ENGRAM_ASSIGN(PartHeader header, read_part_header(file));
    if (header.segment.id == key.id && header.layout.kind == key.kind) return header;
    return fail(ErrorCode::corrupt,
                std::format("it holds the {} part of block {}", part_kind_name(header.layout.kind), header.segment.id.hex()));
}

Result<void> match_target(const PartLayout &part, std::span<const KvType> source_types, const ScatterTarget &target) {
    const PartLayout &wanted = *target.image->layout;
    if (wanted.kind != part.kind || wanted.tensors.size() != part.tensors.size()) {
        return fail(ErrorCode::incompatible,
                    std::format("the stored part has {} {} tensors, the model {} {} tensors", part.tensors.size(),
                                part_kind_name(part.kind), wanted.tensors.size(), part_kind_name(wanted.kind)));
    }
    for (std::size_t i = 0; i < part.tensors.size(); ++i) {
        const PartTensor &have = part.tensors[i];
        const PartTensor &want = wanted.tensors[i];
        if (have.name != want.name || source_types[i] != want.type || have.heads != want.heads ||
            have.head_dim != want.head_dim) {
            return fail(ErrorCode::incompatible, std::format("the stored tensor {} is {} [{},{}], the model's {} is {} [{},{}]",
                                                             have.name, kv_type_name(source_types[i]), have.heads, have.head_dim,
                                                             want.name, kv_type_name(want.type), want.heads, want.head_dim));
        }
        if (std::uint64_t{target.row} + have.rows > want.rows) {
            return fail(ErrorCode::incompatible, std::format("{} rows from row {} on don't fit into {} rows of tensor {}",
                                                             have.rows, target.row, want.rows, want.name));
        }
    }
    return {};
}

Result<void> read_part_payload(ReadableFile &file, const PartHeader &header, const ScatterTarget &target,
                               const TensorCodec *codec) {
    PayloadReader reader(file, header.header_bytes);
    std::vector<std::unique_ptr<std::byte[]>> stored_rows(header.layout.tensors.size());
    bool lossy = false;
    for (std::size_t i = 0; i < header.layout.tensors.size(); ++i) {
        const PartTensor &tensor = header.layout.tensors[i];
        if (tensor.type == header.source_types[i]) {
            ENGRAM_TRY(reader.add(target_rows(target, i, tensor.rows)));
            continue;
        }
        const std::size_t elements = tensor.heads * tensor.head_dim;
        if (codec == nullptr || !codec->supports(tensor.type, header.source_types[i], elements)) {
            return fail(ErrorCode::unsupported,
                        std::format("tensor {} is stored as {}, which this program can't convert back to {}", tensor.name,
                                    kv_type_name(tensor.type), kv_type_name(header.source_types[i])));
        }
        lossy = true;
        stored_rows[i] = std::make_unique_for_overwrite<std::byte[]>(tensor.bytes());
        ENGRAM_TRY(reader.add({stored_rows[i].get(), tensor.bytes()}));
    }
    ENGRAM_TRY(reader.finish(header.payload_checksum));
    if (!lossy) return {};
    // Only verified bytes reach the codec.
    for (std::size_t i = 0; i < header.layout.tensors.size(); ++i) {
        if (stored_rows[i] == nullptr) continue;
        const PartTensor &tensor = header.layout.tensors[i];
        ENGRAM_TRY(codec->convert(tensor.type, header.source_types[i], tensor.heads * tensor.head_dim, tensor.rows,
                                  {stored_rows[i].get(), tensor.bytes()}, target_rows(target, i, tensor.rows)));
    }
    return {};
}

Result<void> verify_part_payload(ReadableFile &file, const PartHeader &header) {
    PayloadReader reader(file, header.header_bytes);
    const auto scratch = std::make_unique_for_overwrite<std::byte[]>(kChunkBytes);
    for (std::size_t left = header.layout.image_bytes; left > 0;) {
        const std::size_t step = std::min(left, kChunkBytes);
        ENGRAM_TRY(reader.add({scratch.get(), step}));
        ENGRAM_TRY(reader.flush());  // the scratch buffer is used again
        left -= step;
    }
    return reader.finish(header.payload_checksum);
}

void copy_rows(const PartImage &from, const ScatterTarget &target) {
    for (std::size_t i = 0; i < from.layout->tensors.size(); ++i) {
        const std::span<const std::byte> rows = from.tensor(i);
        std::memcpy(target_rows(target, i, from.layout->tensors[i].rows).data(), rows.data(), rows.size());
    }
}

}  // namespace engram
