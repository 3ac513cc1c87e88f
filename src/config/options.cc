#include "config/options.h"

#include <charconv>
#include <cmath>
#include <format>

#include "config/config_file.h"
#include "core/ids.h"

namespace engram {
namespace {

constexpr std::size_t kMaxGrammarBytes = 1 << 20;

template <typename T>
bool parse_all(std::string_view text, T &value) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

// "path" or "path:0.5"; a colon that no number follows belongs to the path.
Result<ModelOptions::Adapter> parse_adapter(const Settings &settings, const std::string &text) {
    ModelOptions::Adapter adapter{.path = text};
    if (std::size_t colon = text.rfind(':'); colon != std::string::npos) {
        float scale = 0;
        if (parse_all(std::string_view(text).substr(colon + 1), scale)) {
            if (!std::isfinite(scale)) {
                return settings.bad("lora", std::format("the scale in \"{}\" isn't a finite number", text));
            }
            adapter = {.path = text.substr(0, colon), .scale = scale};
        }
    }
    if (adapter.path.empty()) {
        return settings.bad("lora", "the path is empty");
    }
    return adapter;
}

Result<std::pair<std::int32_t, float>> parse_bias(const Settings &settings, const std::string &text) {
    std::int32_t token = 0;
    float bias = 0;
    std::size_t equals = text.find('=');
    std::string_view view = text;
    if (equals == std::string::npos || !parse_all(view.substr(0, equals), token) || token < 0 ||
        !parse_all(view.substr(equals + 1), bias) || std::isnan(bias)) {
        return settings.bad("logit-bias",
                            std::format("\"{}\" isn't TOKEN=BIAS with a token's number and a number, such as 42=-1.5", text));
    }
    return std::pair{token, bias};
}

Result<std::string> grammar_of(const Settings &settings) {
    const std::string &file = settings.text("grammar-file");
    if (file.empty()) {
        return settings.text("grammar");
    }
    const Setting &inline_grammar = settings.get("grammar");
    const Setting &from_file = settings.get("grammar-file");
    if (!inline_grammar.text().empty()) {
        if (inline_grammar.origin.kind == from_file.origin.kind) {
            return settings.bad("grammar-file", "a grammar is given as well; leave one of the two out");
        }
        if (inline_grammar.origin.kind > from_file.origin.kind) {
            return inline_grammar.text();
        }
    }
    auto text = read_bounded_file(file, kMaxGrammarBytes);
    if (!text) {
        return std::unexpected(std::move(text.error()).within(from_file.origin.where));
    }
    return std::move(*text);
}

}  // namespace

Result<ManagerOptions> manager_options(const Settings &settings) {
    auto count = [&](std::string_view name) { return static_cast<std::uint32_t>(settings.whole(name)); };
    ManagerOptions options;
    options.home = settings.home();
    options.tenant = settings.text("tenant");
    if (auto valid = validate_tenant_id(options.tenant); !valid) {
        return settings.bad("tenant", valid.error().message);
    }
    ModelOptions &model = options.model;
    model.path = settings.text("model");
    model.context_tokens = count("context");
    model.batch_tokens = count("batch");
    model.max_running = count("max-running");
    model.prefill_share = settings.number("prefill-share");
    model.threads = static_cast<std::int32_t>(settings.whole("threads"));
    model.gpu_layers = static_cast<std::int32_t>(settings.whole("gpu-layers"));
    model.kv_type_k = settings.text("kv-type-k");
    model.kv_type_v = settings.text("kv-type-v");
    model.rope_freq_base = static_cast<float>(settings.number("rope-freq-base"));
    model.rope_freq_scale = static_cast<float>(settings.number("rope-freq-scale"));
    for (const std::string &text : settings.texts("lora")) {
        ENGRAM_ASSIGN(ModelOptions::Adapter adapter, parse_adapter(settings, text));
        model.adapters.push_back(std::move(adapter));
    }
    StorageOptions &storage = options.storage;
    storage.block_tokens = count("block-tokens");
    if (auto valid = validate_block_tokens(storage.block_tokens); !valid) {
        return settings.bad("block-tokens", valid.error().message);
    }
    storage.disk_budget_bytes = static_cast<std::uint64_t>(settings.whole("disk-budget"));
    storage.memory_budget_bytes = static_cast<std::uint64_t>(settings.whole("memory-budget"));
    storage.stored_type = settings.text("kv-store-type");
    storage.checkpoint_tokens = count("checkpoint-tokens");
    storage.weigh_restores = settings.text("restore") == "quicker";
    storage.preload = settings.text("preload") == "on";
    storage.preload_threshold = settings.number("preload-threshold");
    return options;
}

Result<TurnSettings> turn_settings(const Settings &settings) {
    auto number = [&](std::string_view name) { return static_cast<float>(settings.number(name)); };
    TurnSettings turn;
    turn.max_tokens = static_cast<std::uint32_t>(settings.whole("max-tokens"));
    Sampling &sampling = turn.sampling;
    sampling.temperature = number("temp");
    sampling.top_k = static_cast<std::int32_t>(settings.whole("top-k"));
    sampling.top_p = number("top-p");
    sampling.min_p = number("min-p");
    sampling.repeat_penalty = number("repeat-penalty");
    sampling.presence_penalty = number("presence-penalty");
    sampling.frequency_penalty = number("frequency-penalty");
    sampling.penalty_last_n = static_cast<std::int32_t>(settings.whole("penalty-last-n"));
    sampling.seed = static_cast<std::uint32_t>(settings.whole("seed"));
    sampling.stop = settings.texts("stop");
    for (const std::string &text : settings.texts("logit-bias")) {
        ENGRAM_ASSIGN(auto bias, parse_bias(settings, text));
        sampling.logit_bias.push_back(bias);
    }
    ENGRAM_ASSIGN(sampling.grammar, grammar_of(settings));
    return turn;
}

}  // namespace engram
