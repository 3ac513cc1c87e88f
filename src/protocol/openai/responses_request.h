// POST /v1/responses: the body into a neutral request.
//
// A response's conversation is: the instructions of this request (never those of an earlier one), the messages of
// previous_response_id, and the input. What is kept of it for the next request is everything but the instructions.
//
// Function tools work, also inside namespaces (the model is shown "space__name", the client sees namespace and name). Tools that
// the vendor runs on its own servers are refused and named, except those that clients add to every request without knowing
// whether there is such a thing (web_search, web_search_preview, image_generation, tool_search): these the model isn't told of,
// and the response's `tools` lacks them. Refused too: background, conversation, prompt templates, images and files. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bounded_json.h"
#include "engram/chat.h"
#include "protocol/field.h"
#include "protocol/openai/request_fields.h"

namespace engram::protocol::openai {

// What the server keeps of earlier responses (those with store), for one tenant. Called on the thread that parses.
class StoredResponses {
  public:
    virtual ~StoredResponses() = default;
    // The conversation up to and including that response's answer, without instructions; nullopt: there is no such response.
    virtual std::optional<std::vector<ChatMessage>> conversation(std::string_view response_id) const = 0;
    // An item that stood in the input or output of a stored response; nullopt: there is none.
    virtual std::optional<OrderedJson> item(std::string_view item_id) const = 0;
};

// A function's name as the client knows it.
struct NamespacedName {
    std::string space, name;
};

struct ResponsesRequest {
    ChatRequest chat;
    bool stream = false;
    bool store = true;
    // When the prompt is too long, messages from the conversation's begin may be left out (not the instructions). Deprecated.
    bool encrypted_thinking = false;  // a reasoning item has `encrypted_content` too, for clients that keep only that
    // chat.messages without the instructions: with the answer behind them, the stored conversation.
    std::size_t instruction_messages = 0;  // 0 or 1: how many of chat.messages are instructions
    OrderedJson input_items;               // this request's input, each item with type, id and status: what input_items lists
    OrderedJson echo;                      // the fields of the response object that repeat the request, defaults filled in
    std::map<std::string, NamespacedName, std::less<>> namespaces;  // of the names that the model is shown
};

// `id_suffix`: unique to this response ("abc" of "resp_abc"); items of the input that have no id get theirs from it.
ApiResult<ResponsesRequest> parse_responses_request(const OrderedJson &json, const StoredResponses &stored,
                                                    std::string_view id_suffix, const Sampling &defaults = default_sampling());

// The input of a request: a string, or items. Appends to `messages`, and to `items` what input_items lists.
ApiResult<void> read_input(const Field &input, const StoredResponses &stored, std::string_view id_suffix,
                           std::vector<ChatMessage> &messages, OrderedJson &items);

// Texts of one turn that came as several items, one per line: so the input's are put together, and those of an answer.
void join_text(std::string &text, std::string_view more);

// A reasoning item's opaque text for clients that drop its content: the thinking itself, in base64 behind a mark. It hides
// nothing, and need not: the client has seen the thinking.
std::string sealed_thinking(std::string_view thinking);
std::optional<std::string> unsealed_thinking(std::string_view sealed);  // nullopt: none of ours

}  // namespace engram::protocol::openai
