// Fields that requests to several of OpenAI's endpoints share, each read and checked in one place.
//
// Everywhere: a field that is absent or null has its documented default, one of the wrong type or out of range is
// invalid_request and named, one that isn't known is none of our business. Pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engram/chat.h"
#include "protocol/field.h"

namespace engram::protocol::openai {

// How tokens are chosen when a request doesn't say: the protocol's documented temperature of 1, no other sampler.
Sampling default_sampling();

// temperature, top_p, presence_penalty, frequency_penalty, logit_bias, seed and stop; and what clients of llama.cpp's server add:
// top_k, min_p, repeat_penalty, repeat_last_n.
ApiResult<Sampling> sampling_of(const Field &body, Sampling defaults);

// prompt_cache_key becomes the conversation; prompt_cache_retention and prompt_cache_options.ttl its retention.
ApiResult<void> read_memory_fields(const Field &body, ChatRequest &chat);

// model, user, safety_identifier, service_tier, store, metadata: the model is kept, the rest only checked.
ApiResult<void> read_common_fields(const Field &body, ChatRequest &chat);

// "none" … "max" as on or off: models have a switch, not a scale. nullopt: absent.
ApiResult<std::optional<bool>> thinks_by_effort(const Field &effort);

// The most tokens of an answer. 0: the prompt is only read, so that it is remembered; absent or -1: no limit of its own.
ApiResult<std::optional<std::uint32_t>> token_limit(const Field &limit);

// response_format (chat completions) or text.format (Responses). `definition` is where name, schema and strict stand.
ApiResult<void> read_format(const Field &format, const Field &definition, ChatRequest &chat);

// A content that is a string or a list of parts, as one text: parts are joined with a line break, so that one that changes
// leaves the bytes of those before it alone. `text_types` are the part types whose "text" is read (a "refusal" always is).
// Images, sounds and files are refused: the models here read text only.
ApiResult<std::string> content_text(const Field &content, std::initializer_list<std::string_view> text_types);

// Arguments of a call in the history as a JSON object. A model may have been cut off inside its call; what isn't an object is
// kept as the one member "unparsed", so that such a conversation can go on.
std::string call_arguments(const Field &arguments);

ApiResult<void> must_be_one_of(const Field &field, std::initializer_list<std::string_view> values);  // or absent

// Token ids: a list of whole numbers, at least one.
ApiResult<std::vector<std::int32_t>> token_ids(const Field &list);

}  // namespace engram::protocol::openai
