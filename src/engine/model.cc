#include "engine/model.h"

#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <exception>
#include <format>
#include <limits>
#include <thread>

#include "core/field_hasher.h"
#include "engine/backend.h"
#include "engine/model_file.h"
#include "engine/passing_thread.h"
#include "engine/utf8.h"

namespace engram {

namespace {

struct FreeModel {
    void operator()(llama_model *model) const { llama_model_free(model); }
};

std::string metadata(const llama_model *model, const std::string &key) {
    const std::int32_t size = llama_model_meta_val_str(model, key.c_str(), nullptr, 0);
    if (size <= 0) return {};
    std::string value(static_cast<std::size_t>(size) + 1, '\0');
    llama_model_meta_val_str(model, key.c_str(), value.data(), value.size());
    value.resize(static_cast<std::size_t>(size));
    return value;
}

std::uint32_t metadata_number(const llama_model *model, const std::string &key) {
    const std::string text = metadata(model, key);
    std::uint32_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

Result<void> check_options(const ModelOptions &options) {
    for (const auto &[name, text] : {std::pair{"K", options.kv_type_k}, std::pair{"V", options.kv_type_v}}) {
        const auto type = kv_type_from_name(text);
        if (!type || *type == KvType::u8) {
            return fail(
                ErrorCode::invalid_argument,
                std::format("there is no KV type \"{}\" for {}; known are f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, iq4_nl",
                            text, name));
        }
    }
    for (const float value : {options.rope_freq_base, options.rope_freq_scale}) {
        if (!std::isfinite(value) || value < 0.0F) {
            return fail(ErrorCode::invalid_argument, "rope frequency base and scale must be positive, or 0 for the model's own");
        }
    }
    for (const ModelOptions::Adapter &adapter : options.adapters) {
        if (!std::isfinite(adapter.scale)) {
            return fail(ErrorCode::invalid_argument,
                        std::format("the scale of adapter {} isn't a number", adapter.path.string()));
        }
    }
    return {};
}

Digest hash_vocabulary(const llama_vocab *vocab) {
    FieldHasher hasher("engram vocabulary 1");
    const std::int32_t size = llama_vocab_n_tokens(vocab);
    hasher.add(static_cast<std::uint64_t>(llama_vocab_type(vocab)));
    hasher.add(static_cast<std::uint64_t>(size));
    for (llama_token token = 0; token < size; ++token) {
        hasher.add(std::string_view(llama_vocab_get_text(vocab, token)));
        hasher.add(static_cast<std::uint64_t>(llama_vocab_get_attr(vocab, token)));
        hasher.add(std::uint64_t{llama_vocab_is_eog(vocab, token)});
    }
    for (const llama_token special : {llama_vocab_bos(vocab), llama_vocab_eos(vocab), llama_vocab_eot(vocab),
                                      llama_vocab_sep(vocab), llama_vocab_nl(vocab), llama_vocab_pad(vocab)}) {
        hasher.add(static_cast<std::uint64_t>(static_cast<std::uint32_t>(special)));
    }
    hasher.add(std::uint64_t{llama_vocab_get_add_bos(vocab)} << 1 | std::uint64_t{llama_vocab_get_add_eos(vocab)});
    return hasher.finish();
}

std::unexpected<Error> engine_failure(std::string_view what, const std::filesystem::path &path) {
    std::string why = last_engine_error();
    if (why.empty()) why = "libllama gave no reason";
    return fail(ErrorCode::engine, std::format("can't load the {} {}: {}", what, path.string(), why));
}

Result<std::vector<FileStamp>> stamp_parts(const std::filesystem::path &path) {
    std::vector<FileStamp> stamps;
    for (const std::filesystem::path &part : model_file_parts(path)) {
        ENGRAM_ASSIGN(const FileStamp stamp, stamp_file(part));
        stamps.push_back(stamp);
    }
    return stamps;
}

// What libllama's C callback needs; whether the caller cancelled is only known here.
struct LoadProgress {
    const std::function<bool(float)> &report;
    bool cancelled = false;
};

bool on_progress(float done, void *user) {
    auto *progress = static_cast<LoadProgress *>(user);
    if (progress->report && !progress->report(done)) progress->cancelled = true;
    return !progress->cancelled;
}

}  // namespace

struct Model::Impl {
    ModelOptions options;
    std::unique_ptr<llama_model, FreeModel> model;  // frees its adapters too
    const llama_vocab *vocab = nullptr;
    std::vector<llama_adapter_lora *> adapters;
    std::vector<float> adapter_scales;
    std::vector<Digest> adapter_hashes;
    std::string architecture;
    Digest content, interchange, vocabulary;

    Result<void> load_weights(const std::function<bool(float)> &report);
    Result<void> load_adapters(HashMemo *memo);
    Digest hash_interchange() const;
};

Result<void> Model::Impl::load_weights(const std::function<bool(float)> &report) {
    for (const std::filesystem::path &part : model_file_parts(options.path)) ENGRAM_TRY(check_gguf(part));
    LoadProgress progress{.report = report};
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = options.gpu_layers;
    params.progress_callback = on_progress;
    params.progress_callback_user_data = &progress;
    static_cast<void>(last_engine_error());  // what came before isn't about this file
    try {
        model.reset(llama_model_load_from_file(options.path.c_str(), params));
    } catch (const std::exception &error) {
        return fail(ErrorCode::engine, std::format("can't load the model {}: {}", options.path.string(), error.what()));
    }
    if (model == nullptr && progress.cancelled) return fail(ErrorCode::cancelled, "loading the model was cancelled");
    if (model == nullptr) return engine_failure("model", options.path);
    vocab = llama_model_get_vocab(model.get());
    if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE || llama_vocab_n_tokens(vocab) <= 0) {
        return fail(ErrorCode::unsupported,
                    std::format("the model {} has no vocabulary, so it can't read text", options.path.string()));
    }
    architecture = metadata(model.get(), "general.architecture");
    return {};
}

Result<void> Model::Impl::load_adapters(HashMemo *memo) {
    for (const ModelOptions::Adapter &adapter : options.adapters) {
        ENGRAM_TRY(check_gguf(adapter.path));
        ENGRAM_ASSIGN(const Digest digest, hash_model_file(adapter.path, memo));
        static_cast<void>(last_engine_error());
        llama_adapter_lora *loaded = nullptr;
        try {
            loaded = llama_adapter_lora_init(model.get(), adapter.path.c_str());
        } catch (const std::exception &error) {
            return fail(ErrorCode::invalid_argument,
                        std::format("can't use the adapter {}: {}", adapter.path.string(), error.what()));
        }
        if (loaded == nullptr) {
            return fail(ErrorCode::invalid_argument,
                        std::format("the adapter {} doesn't fit the model: {}", adapter.path.string(), last_engine_error()));
        }
        adapters.push_back(loaded);
        adapter_scales.push_back(adapter.scale);
        adapter_hashes.push_back(digest);
    }
    return {};
}

Digest Model::Impl::hash_interchange() const {
    FieldHasher hasher("engram interchange 1");
    hasher.add(content);
    hasher.add(std::uint64_t{adapters.size()});
    for (std::size_t i = 0; i < adapters.size(); ++i) {
        hasher.add(adapter_hashes[i]);
        hasher.add(adapter_scales[i]);
    }
    hasher.add(options.rope_freq_base);
    hasher.add(options.rope_freq_scale);
    hasher.add(std::string_view(options.kv_type_k));
    hasher.add(std::string_view(options.kv_type_v));
    return hasher.finish();
}

Result<std::unique_ptr<Model>> Model::load(const ModelOptions &options, HashMemo *memo,
                                           const std::function<bool(float)> &progress) {
    ENGRAM_TRY(check_options(options));
    initialise_engine();
    std::unique_ptr<Model> loaded(new Model);
    loaded->impl_ = std::make_unique<Impl>();
    Impl &impl = *loaded->impl_;
    impl.options = options;
    ENGRAM_ASSIGN(const std::vector<FileStamp> before, stamp_parts(options.path));
    ENGRAM_TRY(on_passing_thread([&] { return impl.load_weights(progress); }));
    ENGRAM_ASSIGN(impl.content, hash_model_file(options.path, memo));
    ENGRAM_TRY(on_passing_thread([&] { return impl.load_adapters(memo); }));
    // The hash must be of what was loaded.
    ENGRAM_ASSIGN(const std::vector<FileStamp> after, stamp_parts(options.path));
    if (before != after) {
        return fail(ErrorCode::io,
                    std::format("the model file {} was changed while it was loaded; try again", options.path.string()));
    }
    impl.vocabulary = hash_vocabulary(impl.vocab);
    impl.interchange = impl.hash_interchange();
    return loaded;
}

Model::~Model() = default;

std::vector<Token> Model::tokenise(std::string_view text, bool add_special, bool parse_special) const {
    if (text.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) return {};
    const auto attempt = [&](std::string_view bytes) {
        std::vector<Token> tokens(bytes.size() / 2 + 16);
        for (;;) {
            const std::int32_t count =
                llama_tokenize(impl_->vocab, bytes.data(), static_cast<std::int32_t>(bytes.size()), tokens.data(),
                               static_cast<std::int32_t>(tokens.size()), add_special, parse_special);
            if (count == std::numeric_limits<std::int32_t>::min()) return std::vector<Token>();
            tokens.resize(static_cast<std::size_t>(count < 0 ? -count : count));
            if (count >= 0) return tokens;
        }
    };
    try {
        return attempt(text);
    } catch (const std::exception &) {  // NOLINT(bugprone-empty-catch): the second attempt follows
        // Some vocabularies' tokenisers throw on bytes that aren't UTF-8.
    }
    try {
        return attempt(repair_utf8(text));
    } catch (const std::exception &) {
        return {};
    }
}

std::string Model::piece(Token token, bool special) const {
    if (token < 0 || token >= llama_vocab_n_tokens(impl_->vocab)) return {};
    std::array<char, 128> buffer{};
    const std::int32_t size = llama_token_to_piece(impl_->vocab, token, buffer.data(), buffer.size(), 0, special);
    if (size >= 0) return {buffer.data(), static_cast<std::size_t>(size)};
    std::string text(static_cast<std::size_t>(-size), '\0');
    llama_token_to_piece(impl_->vocab, token, text.data(), -size, 0, special);
    return text;
}

std::string Model::detokenise(std::span<const Token> tokens, bool special) const {
    std::string text;
    for (const Token token : tokens) text += piece(token, special);
    return text;
}

bool Model::is_end_of_generation(Token token) const {
    return token >= 0 && token < llama_vocab_n_tokens(impl_->vocab) && llama_vocab_is_eog(impl_->vocab, token);
}

std::uint32_t Model::vocabulary_size() const { return static_cast<std::uint32_t>(llama_vocab_n_tokens(impl_->vocab)); }

std::uint32_t Model::trained_context() const { return static_cast<std::uint32_t>(llama_model_n_ctx_train(handle())); }

std::string Model::chat_template() const {
    const char *text = llama_model_chat_template(handle(), nullptr);
    return text == nullptr ? std::string() : std::string(text);
}

std::string Model::bos_text() const {
    const llama_token token = llama_vocab_bos(impl_->vocab);
    return token < 0 ? std::string() : std::string(llama_vocab_get_text(impl_->vocab, token));
}

bool Model::adds_bos() const { return llama_vocab_get_add_bos(impl_->vocab); }

std::string Model::eos_text() const {
    const llama_token token = llama_vocab_eos(impl_->vocab);
    return token < 0 ? std::string() : std::string(llama_vocab_get_text(impl_->vocab, token));
}

std::string Model::description() const {
    std::array<char, 256> buffer{};
    llama_model_desc(handle(), buffer.data(), buffer.size());
    return buffer.data();
}

std::string Model::architecture() const { return impl_->architecture; }
std::uint64_t Model::parameters() const { return llama_model_n_params(handle()); }
std::uint64_t Model::bytes() const { return llama_model_size(handle()); }
std::uint32_t Model::layers() const { return static_cast<std::uint32_t>(llama_model_n_layer(handle())); }
std::uint32_t Model::window() const { return static_cast<std::uint32_t>(llama_model_n_swa(handle())); }
bool Model::is_recurrent() const { return llama_model_is_recurrent(handle()); }
bool Model::is_hybrid() const { return llama_model_is_hybrid(handle()); }

std::uint32_t Model::head_dim() const {
    const std::uint32_t stated = metadata_number(handle(), impl_->architecture + ".attention.key_length");
    if (stated > 0) return stated;
    const std::uint32_t heads = metadata_number(handle(), impl_->architecture + ".attention.head_count");
    return heads == 0 ? 0 : static_cast<std::uint32_t>(llama_model_n_embd(handle())) / heads;
}

const Digest &Model::content_hash() const { return impl_->content; }
const Digest &Model::interchange_hash() const { return impl_->interchange; }
const Digest &Model::vocabulary_hash() const { return impl_->vocabulary; }
const ModelOptions &Model::options() const { return impl_->options; }
std::int32_t Model::threads() const {
    if (options().threads > 0) return options().threads;
    return static_cast<std::int32_t>(std::max(1U, std::thread::hardware_concurrency()));
}

llama_model *Model::handle() const { return impl_->model.get(); }
const llama_vocab *Model::vocabulary() const { return impl_->vocab; }

Result<void> Model::apply_adapters(llama_context &context) const {
    if (impl_->adapters.empty()) return {};
    std::vector<float> scales = impl_->adapter_scales;
    if (llama_set_adapters_lora(&context, impl_->adapters.data(), impl_->adapters.size(), scales.data()) != 0) {
        return fail(ErrorCode::engine, std::format("the adapters could not be applied: {}", last_engine_error()));
    }
    return {};
}

Result<void> Model::check_token(Token token) const {
    if (token >= 0 && static_cast<std::uint32_t>(token) < vocabulary_size()) return {};
    return fail(ErrorCode::invalid_argument,
                std::format("there is no token {}: the model has 0 to {}", token, vocabulary_size() - 1));
}

}  // namespace engram
