// The KV of a run of positions as it travels between the engine, host memory and disk.
//
// A *part* is one kind of state of one segment (a KV block or the tail after the last full block):
//
//   attention  keys and values of the layers that see the whole sequence; one row for each token of the segment
//   window     keys and values of the sliding-window layers; rows only for positions still inside the window when taken
//   state      what can't be cut by position: recurrent state after the segment's last token, or, for a model whose state
//              layout isn't understood, libllama's whole sequence state as opaque bytes
//
// A part's bytes are a PartImage: exactly what libllama's state functions read and write, so that taking out and putting back
// copy each byte once. The image's layout says where each tensor's rows lie in it, so that a file writer can gather, and a
// reader scatter, the tensors without knowing libllama. Bytes outside the tensors (counts, positions) are filled in by the engine
// when it composes an image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"

namespace engram {

enum class PartKind : std::uint8_t { attention = 0, window = 1, state = 2 };
inline constexpr std::size_t kPartKinds = 3;

std::string_view part_kind_name(PartKind kind);  // "attention", "window", "state"
std::optional<PartKind> part_kind_from_name(std::string_view name);

// Element types of stored tensors. The numbers are ours and stable; names are ggml's ("f16", "q8_0", ...).
enum class KvType : std::uint8_t {
    f32 = 0,
    f16 = 1,
    bf16 = 2,
    q8_0 = 3,
    q4_0 = 4,
    q4_1 = 5,
    q5_0 = 6,
    q5_1 = 7,
    iq4_nl = 8,
    u8 = 9
};

std::string_view kv_type_name(KvType type);
std::optional<KvType> kv_type_from_name(std::string_view name);
// Bytes of `elements` values; elements must be a multiple of the type's block (32 for the quantised ones, else 1).
std::size_t kv_type_bytes(KvType type, std::size_t elements);
bool kv_type_is_quantised(KvType type);

// One tensor of a part: `rows` rows (one for each position; for state one for each byte) of heads * head_dim elements.
struct PartTensor {
    std::string name;  // "attn.0.k", "swa.3.v", "state": kind, layer's ordinal among its kind, role
    KvType type = KvType::f16;
    std::uint64_t rows = 0;
    std::uint64_t heads = 0;
    std::uint64_t head_dim = 0;
    std::size_t offset = 0;     // of the first row in the image; rows are contiguous
    std::size_t row_bytes = 0;  // kv_type_bytes(type, heads * head_dim)

    std::size_t bytes() const { return rows * row_bytes; }
};

struct PartLayout {
    PartKind kind = PartKind::attention;
    std::uint32_t rows = 0;       // positions covered (for state: bytes)
    std::size_t image_bytes = 0;  // size of an image of this layout
    std::vector<PartTensor> tensors;

    std::size_t payload_bytes() const;  // the sum of the tensors' bytes
};

// Memory of an image, from a pool that keeps released buffers faulted in (a fresh allocation costs more than the copy).
// Thread-safe; buffers may outlive the pool. The pool keeps at most `keep_bytes` of released memory.
class BufferPool {
  public:
    explicit BufferPool(std::size_t keep_bytes);
    // A buffer of at least `bytes` bytes, 64-byte aligned, contents unspecified. Released to the pool by its deleter.
    std::shared_ptr<std::byte[]> acquire(std::size_t bytes);

  private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
};

// Immutable once handed to another thread.
struct PartImage {
    std::shared_ptr<const PartLayout> layout;  // shared by all images of one shape
    Position first_position = 0;               // of row 0 (for state: the position after the last token it has seen)
    std::shared_ptr<std::byte[]> buffer;       // layout->image_bytes bytes

    std::span<std::byte> bytes() const { return {buffer.get(), layout->image_bytes}; }
    std::span<std::byte> tensor(std::size_t i) const {
        const PartTensor &t = layout->tensors[i];
        return {buffer.get() + t.offset, t.bytes()};
    }
};

// Everything that identifies a segment; what a stored part is verified against.
struct SegmentIdentity {
    BlockId id;
    BlockId parent;
    Fingerprint fingerprint;
    Position first_position = 0;  // of the segment's first token
    std::vector<Token> tokens;    // 1 to block_tokens of them
};

// Lossy storage: converts rows between element types with the engine's own quantisers. Implemented by the engine; thread-safe.
class TensorCodec {
  public:
    virtual ~TensorCodec() = default;
    // True when elements of `from` can be converted to `to` and back, for rows of `row_elements` elements.
    virtual bool supports(KvType from, KvType to, std::size_t row_elements) const = 0;
    // `in` and `out` hold `rows` rows of `row_elements` elements each; out.size() == rows * kv_type_bytes(to, row_elements).
    virtual Result<void> convert(KvType from, KvType to, std::size_t row_elements, std::size_t rows,
                                 std::span<const std::byte> in, std::span<std::byte> out) const = 0;
};

}  // namespace engram
