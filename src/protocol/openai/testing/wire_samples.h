// What several tests of this folder need: answers made at random, streams taken apart and put together the way the official
// package does it, and requests with what is to become of them.
#pragma once

#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bounded_json.h"
#include "engram/chat.h"
#include "protocol/openai/responses_request.h"

namespace engram::protocol::openai {

// JSON of a test; a failure when it is none.
OrderedJson json_of(std::string_view text);

// The data of each event of a stream; a failure when a frame is malformed, or an event's name isn't its type.
std::vector<OrderedJson> sse_data(std::string_view frames);

// A whole answer: some thinking, text and calls for each choice, in pieces, the choices mixed.
std::vector<ChatEvent> random_events(std::mt19937_64 &random, std::uint32_t choices, bool thinking_and_calls);

// Chat completion chunks into a completion, as the package's ChatCompletionStream does it (and reasoning_content like content).
OrderedJson assembled_chat(const std::vector<OrderedJson> &chunks);

// Events of the Responses API into a response, as the package's accumulateResponse does it, without using what the last event
// says but its status, usage and the like.
OrderedJson assembled_response(const std::vector<OrderedJson> &events);

enum class Endpoint : std::uint8_t { chat, completions, responses, embeddings };

struct RequestSample {
    Endpoint endpoint;
    const char *body;
    const char *param;    // of the refusal; null: it is accepted
    const char *message;  // a part of the refusal's sentence
};
const std::vector<RequestSample> &request_samples();

// One stored response, "resp_1": a question, and an answer that called "f" with the id "call_1"; its items "msg_1" and "fc_1".
class OneStoredResponse : public StoredResponses {
  public:
    std::optional<std::vector<ChatMessage>> conversation(std::string_view response_id) const override;
    std::optional<OrderedJson> item(std::string_view item_id) const override;
};

}  // namespace engram::protocol::openai
