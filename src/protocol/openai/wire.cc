#include "protocol/openai/wire.h"

#include <charconv>
#include <cmath>
#include <iterator>

namespace engram::protocol::openai {
namespace {

OrderedJson token_json(const TokenLogprob &token) {
    OrderedJson bytes = OrderedJson::array();
    for (const char byte : token.bytes) bytes.push_back(static_cast<unsigned char>(byte));
    // A probability of 0 has no finite logarithm, and JSON no infinity.
    const double logprob = std::isfinite(token.logprob) ? token.logprob : -9999.0;
    return {{"token", token.bytes}, {"logprob", logprob}, {"bytes", std::move(bytes)}};
}

}  // namespace

std::string dump(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

OrderedJson text_or_null(std::string_view text) { return text.empty() ? OrderedJson() : OrderedJson(text); }

std::string sse_frame(const OrderedJson &data, std::string_view event) {
    std::string frame;
    if (!event.empty()) frame.append("event: ").append(event).append("\n");
    return frame.append("data: ").append(dump(data)).append("\n\n");
}

void Usage::add(const ChatStarted &started) {
    prompt_tokens += started.prompt_tokens;
    cached_tokens += started.cached_tokens;
}

void Usage::add(const ChatFinished &finished) {
    answer_tokens += finished.answer_tokens;
    thinking_tokens += finished.thinking_tokens;
}

OrderedJson Usage::chat_json() const {
    return {{"prompt_tokens", prompt_tokens},
            {"completion_tokens", answer_tokens},
            {"total_tokens", prompt_tokens + answer_tokens},
            {"prompt_tokens_details", {{"cached_tokens", cached_tokens}, {"audio_tokens", 0}}},
            {"completion_tokens_details",
             {{"reasoning_tokens", thinking_tokens},
              {"audio_tokens", 0},
              {"accepted_prediction_tokens", 0},
              {"rejected_prediction_tokens", 0}}}};
}

OrderedJson Usage::responses_json() const {
    return {{"input_tokens", prompt_tokens},
            {"input_tokens_details", {{"cached_tokens", cached_tokens}, {"cache_write_tokens", prompt_tokens - cached_tokens}}},
            {"output_tokens", answer_tokens},
            {"output_tokens_details", {{"reasoning_tokens", thinking_tokens}}},
            {"total_tokens", prompt_tokens + answer_tokens}};
}

OrderedJson engram_json(const ChatStarted &started, const ChatFinished &finished) {
    OrderedJson json = {{"cached_tokens", started.cached_tokens},
                        {"computed_tokens", started.prompt_tokens - started.cached_tokens},
                        {"tier", started.tier},
                        {"restore_ms", started.restore_ms},
                        {"ttft_ms", finished.ttft_ms},
                        {"decode_ms", finished.decode_ms}};
    if (started.miss) json["miss"] = {{"at_token", started.miss->at_token}, {"reason", started.miss->reason}};
    if (!started.repairs.empty()) json["repairs"] = started.repairs;
    if (!finished.committed) json["committed"] = false;
    if (!finished.warning.empty()) json["warning"] = finished.warning;
    return json;
}

OrderedJson logprobs_json(std::span<const TokenLogprob> tokens) {
    OrderedJson list = OrderedJson::array();
    for (const TokenLogprob &token : tokens) {
        OrderedJson json = token_json(token);
        json["top_logprobs"] = OrderedJson::array();
        for (const TokenLogprob &alternative : token.alternatives) json["top_logprobs"].push_back(token_json(alternative));
        list.push_back(std::move(json));
    }
    return list;
}

const char *finish_reason(FinishReason reason) {
    switch (reason) {
        case FinishReason::stop:
        case FinishReason::stop_string:
        case FinishReason::cancelled: return "stop";
        case FinishReason::length:
        case FinishReason::context: return "length";
        case FinishReason::tool_calls: return "tool_calls";
    }
    return "stop";
}

double readable(float number) {
    char text[32];
    const auto [end, error] = std::to_chars(std::begin(text), std::end(text), number);
    double value = number;
    if (error == std::errc()) std::from_chars(std::begin(text), end, value);
    return value;
}

}  // namespace engram::protocol::openai
