#include "engine/embedder.h"

#include <llama.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <format>

#include "engine/backend.h"

namespace engram {

namespace {

constexpr std::uint32_t kMostTokens = 8192;  // a text is computed in one piece, whose buffers grow with it
constexpr std::uint32_t kLeastTokens = 512;

struct FreeBatch {
    void operator()(llama_batch *batch) const { llama_batch_free(*batch); }
};

}  // namespace

void Embedder::FreeContext::operator()(llama_context *context) const { llama_free(context); }

Embedder::~Embedder() = default;

std::uint32_t Embedder::most_tokens() const {
    const std::uint32_t trained = model_.trained_context();
    return trained == 0 ? kMostTokens : std::min(trained, kMostTokens);
}

Result<void> Embedder::make_room(std::size_t tokens) {
    if (context_ != nullptr && tokens <= llama_n_ctx(context_.get())) return {};
    const std::uint32_t cells = std::clamp(std::bit_ceil(static_cast<std::uint32_t>(tokens)), kLeastTokens, kMostTokens);
    context_.reset();
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = cells;
    params.n_seq_max = 1;
    params.n_threads = params.n_threads_batch = model_.threads();
    params.embeddings = true;
    params.rope_freq_base = model_.options().rope_freq_base;
    params.rope_freq_scale = model_.options().rope_freq_scale;
    params.no_perf = true;
    context_.reset(llama_init_from_model(model_.handle(), params));
    if (context_ == nullptr) {
        return fail(ErrorCode::engine,
                    std::format("a context of {} tokens for embeddings could not be made: {}", cells, last_engine_error()));
    }
    const enum llama_pooling_type pooling = llama_pooling_type(context_.get());
    unsupported_ = pooling == LLAMA_POOLING_TYPE_NONE || pooling == LLAMA_POOLING_TYPE_RANK;
    if (unsupported_) {
        context_.reset();
        return {};
    }
    return model_.apply_adapters(*context_);
}

Result<std::vector<float>> Embedder::embed(std::span<const Token> tokens) {
    if (tokens.empty()) return fail(ErrorCode::invalid_argument, "a text without tokens has no embedding");
    if (tokens.size() > most_tokens()) {
        return std::unexpected(Error{.code = ErrorCode::too_long,
                                     .message = std::format("the text has {} tokens, and an embedding is made of at most {}",
                                                            tokens.size(), most_tokens()),
                                     .asked = tokens.size(),
                                     .limit = most_tokens()});
    }
    for (const Token token : tokens) ENGRAM_TRY(model_.check_token(token));
    if (!unsupported_) ENGRAM_TRY(make_room(tokens.size()));
    if (unsupported_) {
        return fail(ErrorCode::unsupported, std::format("{} writes text and makes no embeddings (its file names no pooling): use "
                                                        "an embedding model for them",
                                                        model_.description()));
    }
    if (llama_memory_t memory = llama_get_memory(context_.get()); memory != nullptr) llama_memory_clear(memory, true);
    llama_batch batch = llama_batch_init(static_cast<std::int32_t>(tokens.size()), 0, 1);
    const std::unique_ptr<llama_batch, FreeBatch> free_at_end(&batch);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        batch.token[i] = tokens[i];
        batch.pos[i] = static_cast<llama_pos>(i);
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    batch.n_tokens = static_cast<std::int32_t>(tokens.size());
    if (llama_decode(context_.get(), batch) != 0) {
        return fail(ErrorCode::engine, std::format("the embedding could not be computed: {}", last_engine_error()));
    }
    const float *values = llama_get_embeddings_seq(context_.get(), 0);
    if (values == nullptr) return fail(ErrorCode::engine, "the model computed no embedding");
    std::vector<float> vector(values, values + llama_model_n_embd_out(model_.handle()));
    double squares = 0;
    for (const float value : vector) squares += static_cast<double>(value) * value;
    const double length = std::sqrt(squares);
    if (!(length > 0) || !std::isfinite(length))
        return fail(ErrorCode::engine, "the model computed an embedding without a length");
    for (float &value : vector) value = static_cast<float>(value / length);
    return vector;
}

}  // namespace engram
