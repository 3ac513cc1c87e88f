// The context: cells of KV, decoding, and taking KV out and putting it back. The only code that touches libllama's state
// functions.
//
// Sequences are numbered 0 … max_running-1; one more, kept for ourselves, is the scratch sequence that tags cells while they are
// taken out or put back. The KV streams are unified (docs/adr/0001-unified-kv-streams.md): a run of positions of one sequence can
// be taken out without touching the rest.
//
// How a part travels (ENGINE_FACTS: measured bit-identical): to take [p0, p0+n) of a sequence, tag its cells with the scratch
// sequence (metadata only), let libllama serialise that sequence, drop the tag. To put it back, deserialise into the scratch
// sequence, tag the cells with the real one, drop the scratch tag. The serialised bytes are libllama's own layout; state_layout.h
// reads it, and create() proves on the loaded model that reading, composing and putting back give the same bytes. A layout that
// isn't understood makes the memory class `opaque`: whole states only.
//
// Threads: one thread at a time (the engine thread). Images may be read by any thread once handed over.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/kv_part.h"
#include "engine/model.h"
#include "engine/state_layout.h"
#include "engram/error.h"

struct llama_context;
typedef struct llama_memory_i *llama_memory_t;

namespace engram {

using SequenceId = std::int32_t;  // llama_seq_id

// How a model remembers, and so where its KV can be cut.
enum class MemoryClass : std::uint8_t {
    attention,  // every layer sees everything: cut anywhere
    window,     // some layers see the last `window` positions: cut where the window's rows are there
    hybrid,     // attention and recurrent layers: cut where a state was taken
    recurrent,  // recurrent layers only: likewise
    opaque,     // layout not understood: whole states, taken at boundaries
    none,       // can't be taken out at all: the agent lives only in the context
};
std::string_view memory_class_name(MemoryClass memory_class);

struct BatchToken {
    Token token = 0;
    Position position = 0;
    SequenceId sequence = 0;
    bool wants_logits = false;
};

class Context {
  public:
    // engine: libllama could not make the context (out of memory, unsupported KV type for this head size, …).
    // `pool` gives the memory of images and must outlive the context.
    // `whole_states` makes the memory class `opaque` as if the layout weren't understood (for tests of that fallback).
    static Result<std::unique_ptr<Context>> create(const Model &model, BufferPool &pool, bool whole_states = false);
    ~Context();
    Context(const Context &) = delete;
    Context &operator=(const Context &) = delete;

    MemoryClass memory_class() const { return memory_class_; }
    const std::string &memory_class_note() const { return note_; }  // why it isn't better; empty when all is well
    const Fingerprint &fingerprint() const { return fingerprint_; }
    std::uint32_t cells() const;         // of the context: tokens that can be resident together
    std::uint32_t batch_tokens() const;  // most tokens of one decode
    std::uint32_t max_running() const { return max_running_; }
    BufferPool &pool() const { return pool_; }
    std::uint32_t window() const { return window_; }  // positions that window layers see; 0: none

    // The kinds of parts a segment has in this memory class.
    bool has_attention() const {
        return memory_class_ == MemoryClass::attention || memory_class_ == MemoryClass::window ||
               memory_class_ == MemoryClass::hybrid;
    }
    bool has_window() const { return memory_class_ == MemoryClass::window; }
    bool has_state() const {
        return memory_class_ == MemoryClass::hybrid || memory_class_ == MemoryClass::recurrent ||
               memory_class_ == MemoryClass::opaque;
    }

    // Computes the batch (at most batch_tokens). over_budget: no free cells; nothing was changed. engine: the sequences of
    // the batch are undefined and must be cleared.
    Result<void> decode(std::span<const BatchToken> batch);
    // Logits of the batch's i-th token (which wanted them); valid until the next decode.
    std::span<const float> logits(std::size_t index) const;
    llama_context *handle() const { return context_.get(); }

    void clear(SequenceId sequence);
    // Removes positions from `from` on. False when the memory class can't (the sequence is then unchanged or must be restored).
    bool cut(SequenceId sequence, Position from);
    // Another name for the same cells: metadata only.
    void share(SequenceId source, SequenceId target);
    Position last_position(SequenceId sequence) const;          // -1: empty
    Position first_window_position(SequenceId sequence) const;  // earliest position whose window rows are there; -1: empty

    // Copies [first, first + rows) of a sequence into a new image, rows in order of position. For `state`: the whole state of
    // now, `first` must be the number of tokens that the sequence has seen. For `window`: fewer rows than asked for when earlier
    // ones have left the window; the image's first_position says from where on.
    Result<PartImage> take(SequenceId sequence, PartKind kind, Position first, std::uint32_t rows);

    // An image of this shape with everything but the tensors' rows filled in. Any thread. For `state` the rows are bytes.
    Result<PartImage> compose(PartKind kind, Position first, std::uint32_t rows);

    std::vector<PartKind> kinds() const;         // that this memory class has
    std::size_t row_bytes(PartKind kind) const;  // of one position, all layers together; 0 for state

    // Adds the image's cells to the sequence (for `state`: sets its state). over_budget: no free cells.
    Result<void> put(SequenceId sequence, const PartImage &image);

  private:
    struct FreeContext {
        void operator()(llama_context *context) const;
    };

    Context(const Model &model, BufferPool &pool) : model_(model), pool_(pool) {}
    Result<void> open();
    Result<void> classify(bool whole_states);
    Result<void> learn(std::span<const Token> probe);
    Result<void> learn_attention(std::span<const std::byte> full, std::size_t partial_bytes);
    void learn_state(std::span<const std::byte> partial);
    Result<void> prove(std::span<const Token> probe);
    Result<std::vector<PartImage>> take_everything(std::uint32_t tokens);
    Result<void> fill(std::span<const Token> tokens, Position first);
    void mix_fingerprint();

    std::vector<std::byte> serialise(SequenceId sequence, bool partial_only) const;
    Result<PartImage> take_rows(PartKind kind, Position first, std::uint32_t rows);
    Result<PartImage> take_state(SequenceId sequence, Position first);
    const StateShape &shape(PartKind kind) const { return kind == PartKind::window ? window_shape_ : attention_shape_; }
    std::size_t frame_bytes(PartKind kind) const;  // head bytes in front of the section
    std::shared_ptr<const PartLayout> layout(PartKind kind, std::uint32_t rows);
    void write_frame(PartKind kind, Position first, std::uint32_t rows, std::span<std::byte> image) const;
    SequenceId scratch() const { return static_cast<SequenceId>(max_running_); }
    void drop_scratch();
    llama_memory_t memory_of_context() const;

    const Model &model_;
    BufferPool &pool_;
    std::unique_ptr<llama_context, FreeContext> context_;
    MemoryClass memory_class_ = MemoryClass::none;
    std::string note_;
    Fingerprint fingerprint_;
    std::uint32_t max_running_ = 0;
    std::uint32_t window_ = 0;
    StateShape attention_shape_, window_shape_;
    std::vector<std::byte> full_head_, partial_head_;  // in front of a whole state, and of its window or recurrent part alone
    std::vector<std::byte> empty_partial_;             // window or recurrent section of a sequence without cells
    std::vector<std::byte> state_head_;                // of a recurrent state, as serialised from sequence 0
    std::size_t state_bytes_ = 0;                      // of a recurrent state
    std::mutex layouts_mutex_;
    std::map<std::pair<PartKind, std::uint32_t>, std::shared_ptr<const PartLayout>> layouts_;  // guarded by layouts_mutex_
    std::vector<std::byte> staging_;  // whole states on their way to an image
    std::vector<BatchToken> batch_;   // the last one decoded
};

}  // namespace engram
