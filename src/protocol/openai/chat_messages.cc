#include <algorithm>
#include <format>
#include <utility>

#include "protocol/openai/chat_request.h"

namespace engram::protocol::openai {
namespace {

constexpr std::size_t kMaxMessages = 100'000;  // as many as Anthropic's requests may have
constexpr std::size_t kMaxCalls = 1024;        // of one answer: results look for theirs among them

// The ids of an answer's calls that have no result yet.
struct OpenCalls {
    std::vector<std::string> ids;
    Field message;  // the answer
};

std::string quoted_list(const std::vector<std::string> &ids) {
    std::string list;
    for (const std::string &id : ids) list += std::format("{}\"{}\"", list.empty() ? "" : ", ", id);
    return list;
}

ApiResult<ChatToolCall> tool_call(const Field &call) {
    ENGRAM_TRY(call.must_be_object());
    ENGRAM_ASSIGN(const std::string type, call["type"].text_or("function"));
    if (type != "function") return call["type"].wrong("must be \"function\": there are no other tools here");
    ENGRAM_TRY(call["function"].must_be_object());
    const Field arguments = call["function"]["arguments"];
    if (arguments.present() && !arguments.is_text() && !arguments.is_object()) return arguments.wrong("must be a string");
    ChatToolCall result;
    ENGRAM_ASSIGN(result.id, call["id"].text_that_is_not_empty());
    ENGRAM_ASSIGN(result.name, call["function"]["name"].text_that_is_not_empty());
    result.arguments = call_arguments(arguments);
    return result;
}

// The deprecated function_call has no id; one that both the call and its result can be given is made from the function's name.
std::string legacy_id(std::string_view name) { return std::format("function:{}", name); }

ApiResult<ChatMessage> assistant_message(const Field &message) {
    ChatMessage result{.role = "assistant"};
    if (message["content"].present()) {
        ENGRAM_ASSIGN(result.content, content_text(message["content"], {"text"}));
    } else {
        ENGRAM_ASSIGN(result.content, message["refusal"].text_or(""));
    }
    for (const char *name : {"reasoning_content", "reasoning"}) {
        if (result.thinking.empty() && message[name].is_text()) {
            ENGRAM_ASSIGN(result.thinking, message[name].text());
        }
    }
    if (const Field calls = message["tool_calls"]; calls.present()) {
        ENGRAM_TRY(calls.must_be_array(0, kMaxCalls));
        for (const Field &call : calls.elements()) {
            ENGRAM_ASSIGN(ChatToolCall parsed, tool_call(call));
            result.tool_calls.push_back(std::move(parsed));
        }
    }
    if (const Field call = message["function_call"]; call.present()) {
        ENGRAM_TRY(call.must_be_object());
        ENGRAM_ASSIGN(std::string name, call["name"].text_that_is_not_empty());
        std::string id = legacy_id(name);
        result.tool_calls.push_back({std::move(id), std::move(name), call_arguments(call["arguments"])});
    }
    if (!message["content"].present() && !message["refusal"].present() && result.tool_calls.empty() && result.thinking.empty()) {
        return message["content"].wrong("is missing: an answer has a content or tool calls");
    }
    return result;
}

ApiResult<ChatMessage> tool_message(const Field &message, std::string_view role) {
    ChatMessage result{.role = "tool"};
    if (role == "function") {
        ENGRAM_ASSIGN(const std::string name, message["name"].text_that_is_not_empty());
        ENGRAM_ASSIGN(result.content, message["content"].text_or(""));
        result.tool_call_id = legacy_id(name);
        return result;
    }
    ENGRAM_ASSIGN(result.tool_call_id, message["tool_call_id"].text_that_is_not_empty());
    ENGRAM_ASSIGN(result.content, content_text(message["content"], {"text"}));
    return result;
}

ApiResult<ChatMessage> one_message(const Field &message) {
    ENGRAM_TRY(message.must_be_object());
    ENGRAM_ASSIGN(const std::string role, message["role"].text());
    ENGRAM_TRY(must_be_one_of(message["role"], {"system", "developer", "user", "assistant", "tool", "function"}));
    if (role == "assistant") return assistant_message(message);
    if (role == "tool" || role == "function") return tool_message(message, role);
    ChatMessage result{.role = role == "developer" ? "system" : role};
    ENGRAM_ASSIGN(result.content, content_text(message["content"], {"text"}));
    return result;
}

ApiResult<void> no_open_calls(const OpenCalls &open) {
    if (open.ids.empty()) return {};
    return open.message["tool_calls"].wrong(
        std::format("an answer with tool calls must be followed by a message of role \"tool\" for each; there is none for {}",
                    quoted_list(open.ids)));
}

}  // namespace

ApiResult<std::vector<ChatMessage>> chat_messages(const Field &messages) {
    ENGRAM_TRY(messages.must_be_array(1, kMaxMessages));
    std::vector<ChatMessage> result;
    OpenCalls open{.ids = {}, .message = messages};
    for (const Field &field : messages.elements()) {
        ENGRAM_ASSIGN(ChatMessage message, one_message(field));
        if (message.role == "tool") {
            const auto call = std::ranges::find(open.ids, message.tool_call_id);
            if (call == open.ids.end()) {
                return field[field["role"].json() == "tool" ? "tool_call_id" : "name"].wrong(
                    "is no call of the answer before it that still waits for its result");
            }
            open.ids.erase(call);
        } else {
            ENGRAM_TRY(no_open_calls(open));
            open.message = field;
            for (const ChatToolCall &call : message.tool_calls) open.ids.push_back(call.id);
        }
        result.push_back(std::move(message));
    }
    ENGRAM_TRY(no_open_calls(open));
    return result;
}

}  // namespace engram::protocol::openai
