#include "engine/state_layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <format>

namespace engram {

namespace {

constexpr std::size_t kCellBytes = 12;      // position, sequence count, sequence id
constexpr std::size_t kRowsHeadBytes = 12;  // type, row size
constexpr std::uint64_t kMostRowBytes = 1ULL << 24;
constexpr std::uint32_t kMostLayers = 4096;

class Reader {
  public:
    explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    template <typename T>
    bool read(T &value) {
        if (bytes_.size() - at_ < sizeof(T)) return false;
        std::memcpy(&value, bytes_.data() + at_, sizeof(T));
        at_ += sizeof(T);
        return true;
    }

    bool skip(std::uint64_t count) {
        if (bytes_.size() - at_ < count) return false;
        at_ += count;
        return true;
    }

    bool read(std::span<std::byte> target) {
        if (bytes_.size() - at_ < target.size()) return false;
        std::ranges::copy(bytes_.subspan(at_, target.size()), target.begin());
        at_ += target.size();
        return true;
    }

    bool at_end() const { return at_ == bytes_.size(); }

  private:
    std::span<const std::byte> bytes_;
    std::size_t at_ = 0;
};

class Writer {
  public:
    explicit Writer(std::span<std::byte> bytes) : bytes_(bytes) {}

    template <typename T>
    void write(const T &value) {
        std::memcpy(bytes_.data() + at_, &value, sizeof(T));
        at_ += sizeof(T);
    }

    void zeros(std::size_t count) {
        std::memset(bytes_.data() + at_, 0, count);
        at_ += count;
    }

    void skip(std::size_t count) { at_ += count; }

  private:
    std::span<std::byte> bytes_;
    std::size_t at_ = 0;
};

bool read_rows(Reader &in, std::uint32_t cells, StateRows &rows) {
    return in.read(rows.ggml_type) && in.read(rows.row_bytes) && rows.ggml_type >= 0 && rows.row_bytes > 0 &&
           rows.row_bytes <= kMostRowBytes && in.skip(rows.row_bytes * cells);
}

// The section read as if each cell had `ext_bytes` further bytes, and the layers were preceded by `settings_bytes`.
Result<StateShape> learn_with(std::span<const std::byte> section, std::size_t ext_bytes, std::size_t settings_bytes) {
    Reader in(section);
    StateShape shape;
    shape.ext_bytes = ext_bytes;
    shape.settings.resize(settings_bytes);
    std::uint32_t streams = 0;
    std::uint32_t cells = 0;
    if (!in.read(streams) || !in.read(cells) || streams != 1 || cells == 0) {
        return fail(ErrorCode::unsupported, "the state doesn't begin with one stream of cells");
    }
    for (std::uint32_t i = 0; i < cells; ++i) {
        Position position = 0;
        std::uint32_t sequences = 0;
        if (!in.read(position) || !in.read(sequences) || sequences != 1 || !in.skip(ext_bytes + sizeof(std::int32_t))) {
            return fail(ErrorCode::unsupported, "the state's cells aren't position, count and sequence id");
        }
    }
    std::uint32_t transposed = 0;
    if (!in.read(transposed) || !in.read(shape.layers) || transposed != 0 || shape.layers == 0 || shape.layers > kMostLayers) {
        return fail(ErrorCode::unsupported, "V is stored transposed (flash attention is off), or the layer count is absurd");
    }
    if (!in.read(std::span(shape.settings))) return fail(ErrorCode::unsupported, "the state ends before its layers");
    for (std::uint32_t i = 0; i < shape.layers; ++i) {
        if (!read_rows(in, cells, shape.keys.emplace_back())) {
            return fail(ErrorCode::unsupported, std::format("the keys of layer {} don't fit", i));
        }
    }
    while (!in.at_end() && shape.values.size() < shape.layers) {
        if (!read_rows(in, cells, shape.values.emplace_back())) {
            return fail(ErrorCode::unsupported, std::format("the values of layer {} don't fit", shape.values.size() - 1));
        }
    }
    if (!in.at_end()) return fail(ErrorCode::unsupported, "there are bytes after the last layer");
    return shape;
}

}  // namespace

std::size_t StateShape::section_bytes(std::uint32_t cells) const {
    std::size_t bytes = 2 * sizeof(std::uint32_t);
    if (cells == 0) return bytes;
    bytes += cells * (kCellBytes + ext_bytes) + 2 * sizeof(std::uint32_t) + settings.size();
    for (const auto *list : {&keys, &values}) {
        for (const StateRows &rows : *list) bytes += kRowsHeadBytes + rows.row_bytes * cells;
    }
    return bytes;
}

std::vector<std::size_t> StateShape::row_offsets(std::uint32_t cells) const {
    std::vector<std::size_t> offsets;
    std::size_t at = 4 * sizeof(std::uint32_t) + cells * (kCellBytes + ext_bytes) + settings.size();
    for (const auto *list : {&keys, &values}) {
        for (const StateRows &rows : *list) {
            at += kRowsHeadBytes;
            offsets.push_back(at);
            at += rows.row_bytes * cells;
        }
    }
    return offsets;
}

Result<StateShape> learn_section(std::span<const std::byte> section) {
    std::string reason;
    // libllama 0.7 writes 8 bytes of settings, earlier ones none. Models with several positions for each token (M-RoPE) add them
    // to each cell. A wrong guess doesn't end exactly at the section's end.
    for (const std::size_t settings : {8U, 0U, 4U}) {
        for (const std::size_t ext : {0U, 4U, 8U, 12U, 16U}) {
            Result<StateShape> shape = learn_with(section, ext, settings);
            if (shape) return shape;
            if (reason.empty()) reason = shape.error().message;
        }
    }
    return fail(ErrorCode::unsupported, std::move(reason));
}

Result<std::vector<Position>> read_cell_positions(const StateShape &shape, std::span<const std::byte> section) {
    Reader in(section);
    std::uint32_t streams = 0;
    std::uint32_t cells = 0;
    if (!in.read(streams) || !in.read(cells) || streams != 1 || section.size() != shape.section_bytes(cells)) {
        return fail(ErrorCode::corrupt, "the engine's state has another shape than when the model was loaded");
    }
    std::vector<Position> positions(cells);
    for (Position &position : positions) {
        std::uint32_t sequences = 0;
        if (!in.read(position) || !in.read(sequences) || sequences != 1 || !in.skip(shape.ext_bytes + sizeof(std::int32_t))) {
            return fail(ErrorCode::corrupt, "a cell of the engine's state belongs to more than one sequence");
        }
    }
    return positions;
}

void write_section_frame(const StateShape &shape, Position first, std::uint32_t cells, std::span<std::byte> section) {
    Writer out(section);
    out.write<std::uint32_t>(1);
    out.write(cells);
    if (cells == 0) return;
    for (std::uint32_t i = 0; i < cells; ++i) {
        out.write(first + static_cast<Position>(i));
        out.write<std::uint32_t>(1);
        out.zeros(shape.ext_bytes);
        out.write<std::int32_t>(0);
    }
    out.write<std::uint32_t>(0);
    out.write(shape.layers);
    for (const std::byte byte : shape.settings) out.write(byte);
    for (const auto *list : {&shape.keys, &shape.values}) {
        for (const StateRows &rows : *list) {
            out.write(rows.ggml_type);
            out.write(rows.row_bytes);
            out.skip(rows.row_bytes * cells);
        }
    }
}

}  // namespace engram
