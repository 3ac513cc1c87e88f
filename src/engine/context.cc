#include "engine/context.h"

#include <llama.h>

#include <algorithm>
#include <cstring>
#include <format>

#include "engine/backend.h"
#include "engine/kv_types.h"
#include "engine/passing_thread.h"

namespace engram {

namespace {

// RAII for llama_batch.
class Batch {
  public:
    explicit Batch(std::size_t tokens) : batch_(llama_batch_init(static_cast<std::int32_t>(tokens), 0, 1)) {}
    ~Batch() { llama_batch_free(batch_); }
    Batch(const Batch &) = delete;
    Batch &operator=(const Batch &) = delete;

    void add(const BatchToken &token) {
        const auto i = static_cast<std::size_t>(batch_.n_tokens++);
        batch_.token[i] = token.token;
        batch_.pos[i] = token.position;
        batch_.n_seq_id[i] = 1;
        batch_.seq_id[i][0] = token.sequence;
        batch_.logits[i] = token.wants_logits ? 1 : 0;
    }

    const llama_batch &get() const { return batch_; }

  private:
    llama_batch batch_;
};

}  // namespace

std::string_view memory_class_name(MemoryClass memory_class) {
    switch (memory_class) {
        case MemoryClass::attention: return "attention";
        case MemoryClass::window: return "window";
        case MemoryClass::hybrid: return "hybrid";
        case MemoryClass::recurrent: return "recurrent";
        case MemoryClass::opaque: return "opaque";
        case MemoryClass::none: return "none";
    }
    return "none";
}

llama_memory_t Context::memory_of_context() const { return llama_get_memory(context_.get()); }

void Context::FreeContext::operator()(llama_context *context) const { llama_free(context); }

Context::~Context() = default;

Result<std::unique_ptr<Context>> Context::create(const Model &model, BufferPool &pool, bool whole_states) {
    std::unique_ptr<Context> context(new Context(model, pool));
    const auto prepare = [&]() -> Result<void> {
        ENGRAM_TRY(context->open());
        ENGRAM_TRY(context->classify(whole_states));
        context->mix_fingerprint();
        return {};
    };
    ENGRAM_TRY(on_passing_thread(prepare));
    return context;
}

Result<void> Context::open() {
    const ModelOptions &options = model_.options();
    const auto type_k = kv_type_from_name(options.kv_type_k);
    const auto type_v = kv_type_from_name(options.kv_type_v);
    if (!type_k || !type_v || *type_k == KvType::u8 || *type_v == KvType::u8) {
        return fail(ErrorCode::invalid_argument, std::format("unknown KV type {} or {}: use f32, f16, bf16, q8_0, q4_0, q4_1, "
                                                             "q5_0, q5_1 or iq4_nl",
                                                             options.kv_type_k, options.kv_type_v));
    }
    max_running_ =
        std::clamp<std::uint32_t>(options.max_running, 1, static_cast<std::uint32_t>(llama_max_parallel_sequences()) - 1);
    llama_context_params params = llama_context_default_params();
    params.n_ctx = std::max(256U, options.context_tokens);
    params.n_batch = std::clamp<std::uint32_t>(options.batch_tokens, 32, params.n_ctx);
    params.n_ubatch = std::min(params.n_batch, 512U);
    params.n_seq_max = max_running_ + 1;
    params.n_threads = params.n_threads_batch = model_.threads();
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;  // V untransposed: one contiguous copy for each layer
    params.kv_unified = true;
    params.swa_full = false;  // window layers keep their window only
    params.type_k = ggml_type_of(*type_k);
    params.type_v = ggml_type_of(*type_v);
    params.rope_freq_base = options.rope_freq_base;
    params.rope_freq_scale = options.rope_freq_scale;
    params.no_perf = true;
    context_.reset(llama_init_from_model(model_.handle(), params));
    if (!context_ && !kv_type_is_quantised(*type_v)) {
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_AUTO;
        context_.reset(llama_init_from_model(model_.handle(), params));
    }
    if (!context_) {
        return fail(ErrorCode::engine,
                    std::format("the model's context of {} tokens with KV types {} and {} could not be made: {}", params.n_ctx,
                                options.kv_type_k, options.kv_type_v, last_engine_error()));
    }
    window_ = model_.window();
    return model_.apply_adapters(*context_);
}

std::uint32_t Context::cells() const { return llama_n_ctx(context_.get()); }

std::uint32_t Context::batch_tokens() const { return llama_n_batch(context_.get()); }

Result<void> Context::decode(std::span<const BatchToken> batch) {
    Batch tokens(batch.size());
    for (const BatchToken &token : batch) tokens.add(token);
    batch_.assign(batch.begin(), batch.end());
    const std::int32_t status = llama_decode(context_.get(), tokens.get());
    if (status == 0) return {};
    if (status == 1) {
        return fail(ErrorCode::over_budget, std::format("the context's {} cells are full: use a larger context", cells()));
    }
    return fail(ErrorCode::engine, std::format("the engine could not compute a batch of {} tokens (status {}): {}", batch.size(),
                                               status, last_engine_error()));
}

std::span<const float> Context::logits(std::size_t index) const {
    const float *values = llama_get_logits_ith(context_.get(), static_cast<std::int32_t>(index));
    if (values == nullptr) return {};
    return {values, model_.vocabulary_size()};
}

void Context::clear(SequenceId sequence) { llama_memory_seq_rm(memory_of_context(), sequence, -1, -1); }

bool Context::cut(SequenceId sequence, Position from) {
    if (from <= 0) {
        clear(sequence);
        return true;
    }
    if (from > last_position(sequence)) return true;
    if (memory_class_ != MemoryClass::attention && memory_class_ != MemoryClass::window) return false;
    if (memory_class_ == MemoryClass::window) {
        const Position needed = std::max<Position>(0, from - static_cast<Position>(window_));
        if (first_window_position(sequence) > needed) return false;
    }
    return llama_memory_seq_rm(memory_of_context(), sequence, from, -1);
}

void Context::share(SequenceId source, SequenceId target) { llama_memory_seq_cp(memory_of_context(), source, target, -1, -1); }

Position Context::last_position(SequenceId sequence) const { return llama_memory_seq_pos_max(memory_of_context(), sequence); }

Position Context::first_window_position(SequenceId sequence) const {
    return llama_memory_seq_pos_min(memory_of_context(), sequence);
}

void Context::drop_scratch() { clear(scratch()); }

Result<void> Context::put(SequenceId sequence, const PartImage &image) {
    const PartKind kind = image.layout->kind;
    const auto bytes = std::span<const std::byte>(image.bytes());
    const auto *data = reinterpret_cast<const std::uint8_t *>(bytes.data());
    const bool whole = kind == PartKind::attention || (kind == PartKind::state && memory_class_ != MemoryClass::hybrid);
    const SequenceId target = kind == PartKind::state ? sequence : scratch();
    const std::size_t used = llama_state_seq_set_data_ext(
        context_.get(), data, bytes.size(), target, whole ? LLAMA_STATE_SEQ_FLAGS_NONE : LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY);
    if (used == 0) {
        drop_scratch();
        return fail(ErrorCode::over_budget, std::format("{} rows of {} found no place in the context's {} cells: {}",
                                                        image.layout->rows, part_kind_name(kind), cells(), last_engine_error()));
    }
    if (target == scratch()) {
        share(scratch(), sequence);
        drop_scratch();
    }
    return {};
}

}  // namespace engram
