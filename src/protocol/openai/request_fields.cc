#include "protocol/openai/request_fields.h"

#include <algorithm>
#include <charconv>
#include <format>

#include "protocol/openai/tools.h"

namespace engram::protocol::openai {
namespace {

constexpr std::size_t kMaxStopStrings = 4;
constexpr std::size_t kMaxStopBytes = 4UZ << 10U;  // of one: all are looked for with each token
constexpr std::size_t kMaxParts = 100'000;         // of one content
constexpr std::uint32_t kRandomSeed = 0xFFFFFFFFU;

// 64 bits of the client's into 32 of ours: equal seeds stay equal.
std::uint32_t folded_seed(std::int64_t seed) {
    if (seed == -1) return kRandomSeed;  // how clients of llama.cpp ask for a random one
    const auto bits = static_cast<std::uint64_t>(seed);
    const auto folded = static_cast<std::uint32_t>(bits ^ (bits >> 32U));
    return folded == kRandomSeed ? 0 : folded;
}

ApiResult<void> read_stop(const Field &stop, Sampling &sampling) {
    if (!stop.present()) return {};
    std::vector<Field> list = stop.elements();
    if (stop.is_text()) {
        list = {stop};
    } else {
        if (!stop.is_array()) return stop.wrong("must be a string or a list of strings");
        ENGRAM_TRY(stop.must_be_array(0, kMaxStopStrings));
    }
    for (const Field &text : list) {
        ENGRAM_ASSIGN(std::string value, text.text());
        if (value.size() > kMaxStopBytes) return text.wrong(std::format("must have at most {} bytes", kMaxStopBytes));
        if (!value.empty()) sampling.stop.push_back(std::move(value));
    }
    return {};
}

ApiResult<void> read_logit_bias(const Field &bias, Sampling &sampling) {
    if (!bias.present()) return {};
    ENGRAM_TRY(bias.must_be_object());
    for (const auto &[key, value] : bias.json().items()) {
        std::int32_t token = 0;
        const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
        if (error != std::errc() || end != key.data() + key.size() || token < 0) {
            return bias.wrong(std::format("\"{}\" is no token id", key));
        }
        ENGRAM_ASSIGN(const double number, bias[key].number(-100, 100));
        sampling.logit_bias.emplace_back(token, static_cast<float>(number));
    }
    return {};
}

ApiResult<void> read_float(const Field &field, float &value, double least, double most) {
    ENGRAM_ASSIGN(const double number, field.number_or(value, least, most));
    value = static_cast<float>(number);
    return {};
}

ApiResult<void> check_metadata(const Field &metadata) {
    if (!metadata.present()) return {};
    ENGRAM_TRY(metadata.must_be_object());
    if (metadata.json().size() > 16) return metadata.wrong("must have at most 16 members");
    for (const auto &[key, value] : metadata.json().items()) {
        if (key.size() > 64) return metadata.wrong("must have keys of at most 64 characters");
        ENGRAM_TRY(metadata[key].text());
    }
    return {};
}

}  // namespace

Sampling default_sampling() {
    Sampling sampling;
    sampling.temperature = 1.0F;
    return sampling;
}

ApiResult<void> must_be_one_of(const Field &field, std::initializer_list<std::string_view> values) {
    if (!field.present()) return {};
    ENGRAM_ASSIGN(const std::string text, field.text());
    if (std::ranges::find(values, text) != values.end()) return {};
    std::string list;
    for (const std::string_view value : values) list += std::format("{}\"{}\"", list.empty() ? "" : ", ", value);
    return field.wrong(std::format("must be one of {}", list));
}

ApiResult<Sampling> sampling_of(const Field &body, Sampling defaults) {
    Sampling sampling = std::move(defaults);
    ENGRAM_TRY(read_float(body["temperature"], sampling.temperature, 0, 2));
    ENGRAM_TRY(read_float(body["top_p"], sampling.top_p, 0, 1));
    ENGRAM_TRY(read_float(body["min_p"], sampling.min_p, 0, 1));
    ENGRAM_TRY(read_float(body["presence_penalty"], sampling.presence_penalty, -2, 2));
    ENGRAM_TRY(read_float(body["frequency_penalty"], sampling.frequency_penalty, -2, 2));
    ENGRAM_TRY(read_float(body["repeat_penalty"], sampling.repeat_penalty, 0, 10));
    ENGRAM_ASSIGN(const std::int64_t top_k, body["top_k"].whole_number_or(sampling.top_k, -1, INT32_MAX));
    sampling.top_k = static_cast<std::int32_t>(std::max<std::int64_t>(top_k, 0));  // -1 is off elsewhere, 0 here
    ENGRAM_ASSIGN(const std::int64_t last_n, body["repeat_last_n"].whole_number_or(sampling.penalty_last_n, 0, 1 << 16));
    sampling.penalty_last_n = static_cast<std::int32_t>(last_n);
    if (const Field seed = body["seed"]; seed.present()) {
        ENGRAM_ASSIGN(const std::int64_t number, seed.whole_number(INT64_MIN, INT64_MAX));
        sampling.seed = folded_seed(number);
    }
    ENGRAM_TRY(read_stop(body["stop"], sampling));
    ENGRAM_TRY(read_logit_bias(body["logit_bias"], sampling));
    return sampling;
}

ApiResult<void> read_memory_fields(const Field &body, ChatRequest &chat) {
    ENGRAM_ASSIGN(chat.conversation, body["prompt_cache_key"].text_or(""));
    const Field retention = body["prompt_cache_retention"];
    ENGRAM_TRY(must_be_one_of(retention, {"in_memory", "in-memory", "24h"}));
    const Field options = body["prompt_cache_options"];
    if (options.present()) ENGRAM_TRY(options.must_be_object());
    ENGRAM_TRY(must_be_one_of(options["ttl"], {"30m"}));
    if (options["ttl"].present()) chat.retention = Retention::one_hour;  // the next longer one
    if (retention.present() && retention.json() == "24h") chat.retention = Retention::one_day;
    return {};
}

ApiResult<void> read_common_fields(const Field &body, ChatRequest &chat) {
    ENGRAM_ASSIGN(chat.model, body["model"].text_or(""));
    for (const char *name : {"user", "safety_identifier", "service_tier"}) ENGRAM_TRY(body[name].text_or(""));
    ENGRAM_TRY(body["store"].boolean_or(false));
    return check_metadata(body["metadata"]);
}

ApiResult<std::optional<bool>> thinks_by_effort(const Field &effort) {
    if (!effort.present()) return std::nullopt;
    ENGRAM_TRY(must_be_one_of(effort, {"none", "minimal", "low", "medium", "high", "xhigh", "max"}));
    return effort.json() != "none" && effort.json() != "minimal";
}

ApiResult<std::optional<std::uint32_t>> token_limit(const Field &limit) {
    ENGRAM_ASSIGN(const std::int64_t tokens, limit.whole_number_or(-1, -1, INT32_MAX));
    if (tokens < 0) return std::nullopt;
    return static_cast<std::uint32_t>(tokens);
}

ApiResult<void> read_format(const Field &format, const Field &definition, ChatRequest &chat) {
    if (!format.present()) return {};
    ENGRAM_TRY(format.must_be_object());
    const Field type = format["type"];
    ENGRAM_TRY(type.text());
    ENGRAM_TRY(must_be_one_of(type, {"text", "json_object", "json_schema"}));
    if (type.json() == "text") return {};
    chat.format = AnswerFormat::json_object;
    Field schema = format["schema"];  // beside json_object: llama.cpp's way
    if (type.json() == "json_schema") {
        ENGRAM_TRY(definition.must_be_object());
        ENGRAM_TRY(check_name(definition["name"]));
        ENGRAM_TRY(definition["strict"].boolean_or(false));
        ENGRAM_TRY(definition["description"].text_or(""));
        schema = definition["schema"];
    }
    if (!schema.present()) return {};
    ENGRAM_TRY(schema.must_be_object());
    ENGRAM_TRY(check_schema(schema));
    chat.format = AnswerFormat::json_schema;
    chat.schema = schema.compact();
    return {};
}

ApiResult<std::string> content_text(const Field &content, std::initializer_list<std::string_view> text_types) {
    if (!content.is_array()) {
        if (content.present() && !content.is_text()) return content.wrong("must be a string or a list of parts");
        return content.text();
    }
    ENGRAM_TRY(content.must_be_array(1, kMaxParts));
    std::string text;
    bool first = true;
    for (const Field &part : content.elements()) {
        ENGRAM_TRY(part.must_be_object());
        ENGRAM_ASSIGN(const std::string type, part["type"].text());
        const bool refusal = type == "refusal";
        if (!refusal && std::ranges::find(text_types, type) == text_types.end()) {
            return part["type"].wrong(std::format("\"{}\" can't be read here: this model reads text only", type));
        }
        ENGRAM_ASSIGN(const std::string piece, part[refusal ? "refusal" : "text"].text());
        if (!first) text += '\n';
        text += piece;
        first = false;
    }
    return text;
}

std::string call_arguments(const Field &arguments) {
    if (arguments.is_object()) return arguments.compact();
    if (!arguments.is_text()) return "{}";
    const auto &text = arguments.json().get_ref<const std::string &>();
    if (text.empty()) return "{}";
    if (const auto json = parse_bounded_json(text, text.size()); json && json->is_object()) return text;
    return OrderedJson({{"unparsed", text}}).dump();
}

ApiResult<std::vector<std::int32_t>> token_ids(const Field &list) {
    ENGRAM_TRY(list.must_be_array(1, SIZE_MAX));
    std::vector<std::int32_t> tokens;
    tokens.reserve(list.json().size());
    for (const Field &token : list.elements()) {
        ENGRAM_ASSIGN(const std::int64_t id, token.whole_number(0, INT32_MAX));
        tokens.push_back(static_cast<std::int32_t>(id));
    }
    return tokens;
}

}  // namespace engram::protocol::openai
