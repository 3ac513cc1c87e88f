// Fuzz entry of the reader of requests: any bytes give a request that keeps the neutral form's promises, or an error with a
// sentence. Linked to a fuzzer, or driven by request_table_test.cc.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "core/testing/fuzz.h"
#include "protocol/anthropic/errors.h"
#include "protocol/anthropic/request.h"

namespace {

using namespace engram;
using fuzz::require;

bool is_object(const std::string &text) {
    const auto json = parse_bounded_json(text, 64UZ << 20U);
    return json.has_value() && json->is_object();
}

void check(const ChatRequest &chat) {
    require(!chat.messages.empty() && !chat.model.empty() && chat.max_tokens.has_value());
    std::set<std::string> calls;
    for (const ChatMessage &message : chat.messages) {
        const bool assistant = message.role == "assistant", tool = message.role == "tool";
        require(assistant || tool || message.role == "user" || message.role == "system");
        require(assistant || (message.tool_calls.empty() && message.thinking.empty()));
        require(tool == !message.tool_call_id.empty());
        if (tool) require(calls.erase(message.tool_call_id) == 1);
        for (const ChatToolCall &call : message.tool_calls) {
            require(!call.name.empty() && is_object(call.arguments));
            require(calls.insert(call.id).second);
        }
    }
    require(calls.empty());
    require(!chat.continues_last_message || chat.messages.back().role == "assistant");
    for (const ChatTool &tool : chat.tools) require(!tool.name.empty() && is_object(tool.parameters));
    const auto named = [&](const ChatTool &tool) { return tool.name == chat.tool_choice.name; };
    require(chat.tool_choice.use != ToolUse::named || std::ranges::any_of(chat.tools, named) ||
            std::ranges::any_of(chat.told_tools, named));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace engram::protocol;
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    const auto body = parse_body(text, 64UZ << 20U);
    if (!body) return 0;
    const anthropic::Lookup none = [](std::string_view) { return std::string_view(); };
    const auto request = anthropic::parse_messages_request(*body, none, {});
    if (request) {
        check(request->chat);
        const auto counted = anthropic::parse_count_request(*body, none);
        require(counted.has_value() && counted->chat.messages == request->chat.messages);
    } else {
        require(request.error().kind == ApiErrorKind::invalid_request && !request.error().message.empty());
        require(is_object(anthropic::error_body(request.error(), "req_1")));
    }
    return 0;
}
