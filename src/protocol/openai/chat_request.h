// POST /v1/chat/completions: the body into a neutral request.
//
// Understood is what is documented and what the official package's types say, the deprecated functions included, and what clients
// of local servers add without asking: top_k, min_p, repeat_penalty, repeat_last_n, cache_prompt, continue_final_message,
// chat_template_kwargs.enable_thinking, thinking_budget (in tokens), and reasoning_content in the history. Fields that aren't
// known never fail.
//
// What a text model can't do is refused and named: images, sounds, files, audio answers, web search, custom tools. So is a
// history that contradicts itself: a tool's result without its call, a call without its result.
//
// Choices that the protocol leaves open: a max_tokens of 0 reads the prompt and answers nothing (it is remembered); the model may
// be left out where one is loaded. Pure.
#pragma once

#include <vector>

#include "chat/bounded_json.h"
#include "engram/chat.h"
#include "protocol/field.h"
#include "protocol/openai/request_fields.h"

namespace engram::protocol::openai {

struct ChatCompletionRequest {
    ChatRequest chat;
    bool stream = false;
    bool include_usage = false;     // a last chunk with the usage; only with stream
    bool legacy_functions = false;  // asked with `functions`: a call is answered as `function_call`
};

// `defaults`: for what the request doesn't say about sampling. invalid_request.
ApiResult<ChatCompletionRequest> parse_chat_request(const OrderedJson &json, const Sampling &defaults = default_sampling());

// The messages alone: roles, contents, calls and their results. system and developer messages stay where they are.
ApiResult<std::vector<ChatMessage>> chat_messages(const Field &messages);

// stream and stream_options.include_usage.
struct StreamFields {
    bool stream = false;
    bool include_usage = false;
};
ApiResult<StreamFields> stream_fields(const Field &body);

}  // namespace engram::protocol::openai
