// Context: what the serialised state of the loaded model looks like, proven on the model itself; taking parts out and composing
// them.
#include <blake3.h>
#include <llama.h>

#include <algorithm>
#include <cstring>
#include <format>

#include "engine/context.h"
#include "engine/kv_types.h"

namespace engram {

namespace {

constexpr std::uint32_t kStateLayoutVersion = 1;
constexpr std::size_t kEmptySectionBytes = 8;  // one stream, no cells
constexpr std::size_t kHeadBytes = 8;          // a magic number and the sequence id that was serialised
constexpr std::uint32_t kProbeTokens = 7;

std::string_view role_prefix(PartKind kind) { return kind == PartKind::window ? "swa" : "attn"; }

// [heads, head_dim] of a row of `elements`: by the model's head size where it divides, else one head.
void shape_heads(PartTensor &tensor, std::size_t elements, std::uint32_t head_dim) {
    const bool divides = head_dim > 0 && elements % head_dim == 0;
    tensor.heads = divides ? elements / head_dim : 1;
    tensor.head_dim = divides ? head_dim : elements;
}

// Rows of positions [first, first + n), which may stand in any order in `section`, into `image_section` in order of position.
void copy_in_order(const StateShape &shape, std::span<const Position> positions, Position first,
                   std::span<const std::byte> section, std::span<std::byte> image_section) {
    const auto cells = static_cast<std::uint32_t>(positions.size());
    const std::vector<std::size_t> offsets = shape.row_offsets(cells);
    std::vector<StateRows> rows = shape.keys;
    rows.insert(rows.end(), shape.values.begin(), shape.values.end());
    for (std::size_t t = 0; t < rows.size(); ++t) {
        for (std::size_t i = 0; i < cells; ++i) {
            const auto target = static_cast<std::size_t>(positions[i] - first);
            std::memcpy(image_section.data() + offsets[t] + target * rows[t].row_bytes,
                        section.data() + offsets[t] + i * rows[t].row_bytes, rows[t].row_bytes);
        }
    }
}

bool is_ascending_run(std::span<const Position> positions, Position first) {
    for (std::size_t i = 0; i < positions.size(); ++i) {
        if (positions[i] != first + static_cast<Position>(i)) return false;
    }
    return true;
}

// The smallest position; and whether the positions are exactly a run without gaps from there on (in any order).
bool is_permuted_run(std::span<const Position> positions, Position first) {
    std::vector<bool> seen(positions.size());
    for (const Position position : positions) {
        const auto index = static_cast<std::size_t>(position - first);
        if (position < first || index >= seen.size() || seen[index]) return false;
        seen[index] = true;
    }
    return true;
}

}  // namespace

std::vector<std::byte> Context::serialise(SequenceId sequence, bool partial_only) const {
    const llama_state_seq_flags flags = partial_only ? LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY : LLAMA_STATE_SEQ_FLAGS_NONE;
    std::vector<std::byte> bytes(llama_state_seq_get_size_ext(context_.get(), sequence, flags));
    bytes.resize(llama_state_seq_get_data_ext(context_.get(), reinterpret_cast<std::uint8_t *>(bytes.data()), bytes.size(),
                                              sequence, flags));
    return bytes;
}

Result<void> Context::fill(std::span<const Token> tokens, Position first) {
    std::vector<BatchToken> batch;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        batch.push_back({.token = tokens[i],
                         .position = first + static_cast<Position>(i),
                         .sequence = 0,
                         .wants_logits = i + 1 == tokens.size()});
    }
    return decode(batch);
}

// Learns the layout from a short probe and proves it; what can't be proven falls back to whole states, and then to none.
Result<void> Context::classify(bool whole_states) {
    std::vector<Token> probe(kProbeTokens + 1);
    for (std::size_t i = 0; i < probe.size(); ++i) {
        probe[i] = static_cast<Token>((i * 7 + 3) % model_.vocabulary_size());
    }
    const auto finish = [this] { llama_memory_clear(memory_of_context(), true); };
    Result<void> outcome = whole_states ? fail(ErrorCode::unsupported, "whole states were asked for") : learn(probe);
    if (outcome) outcome = prove(probe);
    if (!outcome && outcome.error().code == ErrorCode::unsupported) {
        note_ = std::format("the engine's state layout isn't understood ({}): agents are stored as whole states",
                            outcome.error().message);
        memory_class_ = MemoryClass::opaque;
        state_head_.clear();
        clear(0);
        outcome = prove(probe);
    }
    if (!outcome && outcome.error().code == ErrorCode::unsupported) {
        note_ = std::format("this model's state can't be taken out and put back ({}): agents are not kept on disk",
                            outcome.error().message);
        memory_class_ = MemoryClass::none;
        outcome = {};
    }
    finish();
    return outcome;
}

Result<void> Context::learn(std::span<const Token> probe) {
    if (model_.is_recurrent()) {
        memory_class_ = MemoryClass::recurrent;
    } else if (model_.is_hybrid()) {
        memory_class_ = MemoryClass::hybrid;
    } else {
        memory_class_ = window_ > 0 ? MemoryClass::window : MemoryClass::attention;
    }
    const std::vector<std::byte> empty = serialise(0, true);
    ENGRAM_TRY(fill(probe.first(kProbeTokens), 0));
    const std::vector<std::byte> full = serialise(0, false);
    const std::vector<std::byte> partial = serialise(0, true);
    if (memory_class_ == MemoryClass::attention) {
        ENGRAM_TRY(learn_attention(full, 0));
    } else if (memory_class_ == MemoryClass::recurrent) {
        learn_state(full);
        return {};
    } else {
        if (full.size() <= partial.size()) {
            // A sliding-window model whose window layers libllama keeps in full: one memory, cut anywhere.
            if (memory_class_ == MemoryClass::hybrid) return fail(ErrorCode::unsupported, "a hybrid state without attention");
            memory_class_ = MemoryClass::attention;
            window_ = 0;
            return learn_attention(full, 0);
        }
        ENGRAM_TRY(learn_attention(full, partial.size()));
    }
    if (memory_class_ == MemoryClass::attention) return {};
    const std::size_t head = full_head_.size();
    if (empty.size() < head || partial.size() < head) return fail(ErrorCode::unsupported, "the partial state has no head");
    partial_head_.assign(partial.begin(), partial.begin() + static_cast<std::ptrdiff_t>(head));
    empty_partial_.assign(empty.begin() + static_cast<std::ptrdiff_t>(head), empty.end());
    if (memory_class_ == MemoryClass::hybrid) {
        learn_state(partial);
        return {};
    }
    ENGRAM_ASSIGN(window_shape_, learn_section(std::span(partial).subspan(head)));
    return {};
}

// The attention section lies between the head and the window or recurrent section (which the partial state has after a head of
// its own).
Result<void> Context::learn_attention(std::span<const std::byte> full, std::size_t partial_bytes) {
    std::string reason;
    for (const std::size_t head : {kHeadBytes, std::size_t{0}}) {
        const std::size_t after = partial_bytes > head ? partial_bytes - head : 0;
        if (full.size() <= head + after) continue;
        Result<StateShape> shape = learn_section(full.subspan(head, full.size() - head - after));
        if (shape) {
            attention_shape_ = std::move(*shape);
            full_head_.assign(full.begin(), full.begin() + static_cast<std::ptrdiff_t>(head));
            return {};
        }
        if (reason.empty()) reason = shape.error().message;
    }
    return fail(ErrorCode::unsupported, reason);
}

// A recurrent state image is kept as bytes: its size doesn't depend on the sequence's length.
void Context::learn_state(std::span<const std::byte> partial) {
    state_bytes_ = partial.size();
    const std::size_t head = std::min<std::size_t>(partial.size(), kHeadBytes);
    state_head_.assign(partial.begin(), partial.begin() + static_cast<std::ptrdiff_t>(head));
}

std::size_t Context::frame_bytes(PartKind kind) const {
    return kind == PartKind::attention ? full_head_.size() : partial_head_.size();
}

std::shared_ptr<const PartLayout> Context::layout(PartKind kind, std::uint32_t rows) {
    const std::scoped_lock lock(layouts_mutex_);
    if (kind != PartKind::state || memory_class_ != MemoryClass::opaque) {
        if (const auto found = layouts_.find({kind, rows}); found != layouts_.end()) return found->second;
    }
    auto made = std::make_shared<PartLayout>();
    made->kind = kind;
    made->rows = rows;
    if (kind == PartKind::state) {
        made->image_bytes = rows;
        made->tensors.push_back(
            {.name = "state", .type = KvType::u8, .rows = rows, .heads = 1, .head_dim = 1, .offset = 0, .row_bytes = 1});
        // Whole states of models without layout knowledge have another size at every length: not worth remembering.
        if (memory_class_ != MemoryClass::opaque) layouts_.emplace(std::pair(kind, rows), made);
        return made;
    }
    const StateShape &section = shape(kind);
    const std::size_t head = frame_bytes(kind);
    made->image_bytes = head + section.section_bytes(rows) + (kind == PartKind::attention ? empty_partial_.size() : 0);
    const std::vector<std::size_t> offsets = section.row_offsets(rows);
    for (std::size_t i = 0; i < offsets.size(); ++i) {
        const bool is_key = i < section.keys.size();
        const StateRows &from = is_key ? section.keys[i] : section.values[i - section.keys.size()];
        const auto type = kv_type_of(from.ggml_type).value_or(KvType::u8);
        PartTensor tensor{
            .name = std::format("{}.{}.{}", role_prefix(kind), is_key ? i : i - section.keys.size(), is_key ? "k" : "v"),
            .type = type,
            .rows = rows,
            .offset = head + offsets[i],
            .row_bytes = from.row_bytes};
        shape_heads(tensor, elements_of_row(type, from.row_bytes), model_.head_dim());
        made->tensors.push_back(std::move(tensor));
    }
    layouts_.emplace(std::pair(kind, rows), made);
    return made;
}

std::vector<PartKind> Context::kinds() const {
    std::vector<PartKind> list;
    if (has_attention()) list.push_back(PartKind::attention);
    if (has_window()) list.push_back(PartKind::window);
    if (has_state()) list.push_back(PartKind::state);
    return list;
}

std::size_t Context::row_bytes(PartKind kind) const {
    if (kind == PartKind::state) return 0;
    std::size_t sum = 0;
    for (const auto *list : {&shape(kind).keys, &shape(kind).values}) {
        for (const StateRows &rows : *list) sum += rows.row_bytes;
    }
    return sum;
}

void Context::write_frame(PartKind kind, Position first, std::uint32_t rows, std::span<std::byte> image) const {
    const std::vector<std::byte> &head = kind == PartKind::attention ? full_head_ : partial_head_;
    std::ranges::copy(head, image.begin());
    const std::size_t section = shape(kind).section_bytes(rows);
    write_section_frame(shape(kind), first, rows, image.subspan(head.size(), section));
    if (kind == PartKind::attention)
        std::ranges::copy(empty_partial_, image.begin() + static_cast<std::ptrdiff_t>(head.size() + section));
}

Result<PartImage> Context::compose(PartKind kind, Position first, std::uint32_t rows) {
    if (rows == 0) return fail(ErrorCode::internal, "a part has at least one row");
    PartImage image{.layout = layout(kind, rows), .first_position = first, .buffer = {}};
    image.buffer = pool_.acquire(image.layout->image_bytes);
    if (kind != PartKind::state) write_frame(kind, first, rows, image.bytes());
    return image;
}

Result<PartImage> Context::take(SequenceId sequence, PartKind kind, Position first, std::uint32_t rows) {
    if (kind == PartKind::state) return take_state(sequence, first);
    llama_memory_seq_cp(memory_of_context(), sequence, scratch(), first, first + static_cast<Position>(rows));
    auto image = take_rows(kind, first, rows);
    drop_scratch();
    return image;
}

Result<PartImage> Context::take_state(SequenceId sequence, Position first) {
    const bool partial = memory_class_ == MemoryClass::hybrid;
    const llama_state_seq_flags flags = partial ? LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY : LLAMA_STATE_SEQ_FLAGS_NONE;
    const std::size_t size = llama_state_seq_get_size_ext(context_.get(), sequence, flags);
    if (size == 0 || size > UINT32_MAX) return fail(ErrorCode::engine, "the engine has no state for this sequence");
    ENGRAM_ASSIGN(PartImage image, compose(PartKind::state, first, static_cast<std::uint32_t>(size)));
    if (llama_state_seq_get_data_ext(context_.get(), reinterpret_cast<std::uint8_t *>(image.buffer.get()), size, sequence,
                                     flags) != size) {
        return fail(ErrorCode::engine, "the engine could not serialise the sequence's state");
    }
    // The head names the sequence that was serialised; one canonical form, whichever it was.
    std::ranges::copy(state_head_, image.bytes().begin());
    return image;
}

// The scratch sequence's cells as an image. They are copied once more only where something stands behind the section (window or
// recurrent state), rows are missing, or cells aren't in the order of their positions.
Result<PartImage> Context::take_rows(PartKind kind, Position first, std::uint32_t rows) {
    const bool partial = kind == PartKind::window;
    const llama_state_seq_flags flags = partial ? LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY : LLAMA_STATE_SEQ_FLAGS_NONE;
    const std::size_t size = llama_state_seq_get_size_ext(context_.get(), scratch(), flags);
    const std::size_t head = frame_bytes(kind);
    if (size < head + kEmptySectionBytes) return fail(ErrorCode::engine, "the engine's state is shorter than its own head");
    const bool direct = memory_class_ == MemoryClass::attention && size == layout(kind, rows)->image_bytes;
    PartImage image;
    std::span<std::byte> raw;
    if (direct) {
        ENGRAM_ASSIGN(image, compose(kind, first, rows));
        raw = image.bytes();
    } else {
        staging_.resize(size);
        raw = staging_;
    }
    if (llama_state_seq_get_data_ext(context_.get(), reinterpret_cast<std::uint8_t *>(raw.data()), size, scratch(), flags) !=
        size) {
        return fail(ErrorCode::engine, "the engine could not serialise the sequence's cells");
    }
    std::uint32_t cells = 0;
    std::memcpy(&cells, raw.data() + head + sizeof(std::uint32_t), sizeof cells);
    if (cells == 0 || cells > rows || head + shape(kind).section_bytes(cells) > size) {
        return fail(ErrorCode::engine, std::format("the engine has {} of {} cells from position {} on", cells, rows, first));
    }
    const auto section = std::span<const std::byte>(raw).subspan(head, shape(kind).section_bytes(cells));
    ENGRAM_ASSIGN(const std::vector<Position> positions, read_cell_positions(shape(kind), section));
    const Position from = std::ranges::min(positions);
    if ((cells < rows && kind == PartKind::attention) ||
        from + static_cast<Position>(cells) != first + static_cast<Position>(rows) || !is_permuted_run(positions, from)) {
        return fail(ErrorCode::engine, std::format("the engine's cells from position {} on have gaps", first));
    }
    const bool ascending = is_ascending_run(positions, from);
    if (direct && ascending) {
        // The engine wrote our scratch sequence's id; the composed frame has zero there: one canonical form.
        write_frame(kind, first, rows, image.bytes());
        return image;
    }
    ENGRAM_ASSIGN(PartImage ordered, compose(kind, from, cells));
    const auto target = ordered.bytes().subspan(head, section.size());
    if (ascending) {
        std::ranges::copy(section, target.begin());
        write_frame(kind, from, cells, ordered.bytes());
    } else {
        copy_in_order(shape(kind), positions, from, section, target);
    }
    return ordered;
}

Result<std::vector<PartImage>> Context::take_everything(std::uint32_t tokens) {
    std::vector<PartImage> images;
    const std::uint32_t half = tokens / 2;
    const auto add = [&](PartKind kind, Position first, std::uint32_t rows) -> Result<void> {
        ENGRAM_ASSIGN(PartImage image, take(0, kind, first, rows));
        images.push_back(std::move(image));
        return {};
    };
    for (const PartKind kind : {PartKind::attention, PartKind::window}) {
        if (kind == PartKind::attention ? !has_attention() : !has_window()) continue;
        ENGRAM_TRY(add(kind, 0, half));
        ENGRAM_TRY(add(kind, static_cast<Position>(half), tokens - half));
    }
    if (has_state()) ENGRAM_TRY(add(PartKind::state, static_cast<Position>(tokens), 1));
    return images;
}

// Takes a short sequence out, puts copies made through compose() back, and compares bytes and the next logits.
Result<void> Context::prove(std::span<const Token> probe) {
    const auto unsupported = [](std::string why) { return fail(ErrorCode::unsupported, std::move(why)); };
    clear(0);
    ENGRAM_TRY(fill(probe.first(kProbeTokens), 0));
    auto taken = take_everything(kProbeTokens);
    if (!taken) return unsupported(taken.error().message);
    ENGRAM_TRY(fill(probe.last(1), kProbeTokens));
    const std::vector<float> expected(logits(0).begin(), logits(0).end());
    clear(0);
    for (const PartImage &image : *taken) {
        ENGRAM_ASSIGN(PartImage copy, compose(image.layout->kind, image.first_position, image.layout->rows));
        for (std::size_t i = 0; i < image.layout->tensors.size(); ++i) std::ranges::copy(image.tensor(i), copy.tensor(i).begin());
        if (!std::ranges::equal(copy.bytes(), image.bytes()))
            return unsupported("a composed state differs from the engine's own");
        if (auto put_back = put(0, copy); !put_back) return unsupported(put_back.error().message);
    }
    auto again = take_everything(kProbeTokens);
    if (!again) return unsupported(again.error().message);
    for (std::size_t i = 0; i < taken->size(); ++i) {
        if (!std::ranges::equal((*taken)[i].bytes(), (*again)[i].bytes()))
            return unsupported("the bytes differ after they were put back");
    }
    if (auto next = fill(probe.last(1), kProbeTokens); !next) return unsupported(next.error().message);
    if (!std::ranges::equal(expected, logits(0))) return unsupported("the next logits differ after the state was put back");
    clear(0);
    return {};
}

void Context::mix_fingerprint() {
    blake3_hasher hasher;
    blake3_hasher_init(&hasher);
    const auto add = [&](const void *data, std::size_t size) { blake3_hasher_update(&hasher, data, size); };
    const auto add_number = [&](std::uint64_t value) { add(&value, sizeof value); };
    add_number(kStateLayoutVersion);
    add(model_.interchange_hash().bytes.data(), model_.interchange_hash().bytes.size());
    add_number(static_cast<std::uint64_t>(memory_class_));
    add_number(window_);
    add_number(state_bytes_);
    for (const StateShape *section : {&attention_shape_, &window_shape_}) {
        add_number(section->ext_bytes);
        for (const auto *list : {&section->keys, &section->values}) {
            add_number(list->size());
            for (const StateRows &rows : *list) {
                add_number(static_cast<std::uint64_t>(rows.ggml_type));
                add_number(rows.row_bytes);
            }
        }
    }
    blake3_hasher_finalize(&hasher, fingerprint_.bytes.data(), fingerprint_.bytes.size());
}

}  // namespace engram
