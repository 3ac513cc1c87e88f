// What the answers of all of OpenAI's endpoints are made of: JSON texts, server-sent events, usage, log probabilities. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "chat/bounded_json.h"
#include "engram/chat.h"

namespace engram::protocol::openai {

// What is known about an answer before it begins; the caller makes ids and knows the time.
struct AnswerHead {
    std::string id;              // "chatcmpl-…", "cmpl-…", "resp_…"
    std::int64_t created_s = 0;  // Unix time
    std::string model;           // as the answer names it
    std::string system_fingerprint;
};

// Compact; bytes that are no UTF-8 become U+FFFD.
std::string dump(const OrderedJson &json);
OrderedJson text_or_null(std::string_view text);  // null for an empty text

// One server-sent event: "data: …\n\n", with a line "event: …" before it when it has a name.
std::string sse_frame(const OrderedJson &data, std::string_view event = {});
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";
// A comment, which clients skip: keeps a connection alive during a long prefill.
inline constexpr std::string_view kSsePing = ": ping\n\n";

// What an answer cost, over all of its choices.
struct Usage {
    std::uint64_t prompt_tokens = 0, cached_tokens = 0;
    std::uint64_t answer_tokens = 0, thinking_tokens = 0;

    void add(const ChatStarted &started);
    void add(const ChatFinished &finished);
    OrderedJson chat_json() const;       // of chat completions and completions
    OrderedJson responses_json() const;  // of the Responses API
};

// Engram's own account, in the member "engram" of every answer: where the reused tokens came from, how long that took, why a
// prefix was missed, what was repaired in the prompt. `finished`: of the choice that ended last.
OrderedJson engram_json(const ChatStarted &started, const ChatFinished &finished);

// {"token", "logprob", "bytes", "top_logprobs"} of each token.
OrderedJson logprobs_json(std::span<const TokenLogprob> tokens);

// "stop", "length" or "tool_calls".
const char *finish_reason(FinishReason reason);

// A number as JSON writes it for people: 0.7, not 0.699999988079071.
double readable(float number);

}  // namespace engram::protocol::openai
