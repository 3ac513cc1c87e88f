// Fuzz entry of the requests' parsers: any bytes give a request or a refusal with a sentence, and what a request holds is what
// engram/chat.h promises of it. Linked to a fuzzer, or driven by requests_test.cc.
#include "core/testing/fuzz.h"
#include "protocol/openai/chat_request.h"
#include "protocol/openai/completions.h"
#include "protocol/openai/embeddings.h"
#include "protocol/openai/responses_request.h"
#include "protocol/openai/wire.h"

namespace engram::protocol::openai {
namespace {

using fuzz::require;

class OneStoredItem : public StoredResponses {
  public:
    std::optional<std::vector<ChatMessage>> conversation(std::string_view) const override { return std::nullopt; }
    std::optional<OrderedJson> item(std::string_view id) const override {
        require(++looked_up_ <= 1024);
        if (id != "msg_1") return std::nullopt;
        const OrderedJson item = {{"type", "message"}, {"id", "msg_1"}, {"role", "user"}, {"content", "hi"}};
        return std::optional<OrderedJson>(std::in_place, item);
    }

  private:
    mutable std::size_t looked_up_ = 0;
};

bool is_json_object(const std::string &text) {
    const auto json = parse_bounded_json(text, text.size());
    return json && json->is_object();
}

void check(const ChatRequest &chat) {
    for (const ChatMessage &message : chat.messages) {
        require(message.role == "system" || message.role == "user" || message.role == "assistant" || message.role == "tool");
        require(message.role == "assistant" || (message.tool_calls.empty() && message.thinking.empty()));
        require((message.role == "tool") == !message.tool_call_id.empty());
        for (const ChatToolCall &call : message.tool_calls) {
            require(!call.id.empty() && !call.name.empty() && is_json_object(call.arguments));
        }
    }
    for (const ChatTool &tool : chat.tools) require(!tool.name.empty() && is_json_object(tool.parameters));
    require((chat.format == AnswerFormat::json_schema) == !chat.schema.empty());
    require(chat.schema.empty() || is_json_object(chat.schema));
    require((chat.tool_choice.use == ToolUse::named) == !chat.tool_choice.name.empty());
    require(chat.choices >= 1 && chat.sampling.stop.size() <= 4);
}

template <typename T>
const T *accepted(const ApiResult<T> &request) {
    if (request) return &*request;
    require(request.error().kind == ApiErrorKind::invalid_request && !request.error().message.empty());
    return nullptr;
}

}  // namespace
}  // namespace engram::protocol::openai

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace engram::protocol::openai;
    const auto body = engram::protocol::parse_body({reinterpret_cast<const char *>(data), size}, 1 << 20);
    if (!body) return 0;
    if (const auto parsed = parse_chat_request(*body); const auto *request = accepted(parsed)) {
        check(request->chat);
        require(!request->chat.messages.empty());
    }
    if (const auto parsed = parse_completion_request(*body); const auto *request = accepted(parsed)) {
        check(request->chat);
        for (const auto &prompt : request->prompts) require(prompt.text.empty() != prompt.tokens.empty());
    }
    if (const auto parsed = parse_responses_request(*body, OneStoredItem(), "x"); const auto *request = accepted(parsed)) {
        check(request->chat);
        for (const auto &item : request->input_items) require(item.at("id").is_string() && item.at("type").is_string());
        require(!dump(request->echo).empty());
    }
    const auto parsed = parse_embedding_request(*body);
    if (const auto *request = accepted(parsed)) require(!request->inputs.empty());
    return 0;
}
