// What the tests of this folder make their requests of.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>

#include "protocol/anthropic/request.h"

namespace engram::protocol::anthropic {

inline OrderedJson json_of(std::string_view text) {
    auto json = parse_bounded_json(text, 64UZ << 20U);
    EXPECT_TRUE(json.has_value()) << text;
    return json.value_or(OrderedJson::object());
}

// The smallest request that is answered, with `members` put over it as RFC 7386 says: null takes a member away.
inline OrderedJson request_with(std::string_view members) {
    OrderedJson body = json_of(R"({"model":"m","max_tokens":16,"messages":[{"role":"user","content":"Hi"}]})");
    body.merge_patch(json_of(members));
    return body;
}

inline Lookup no_headers() {
    return [](std::string_view) { return std::string_view(); };
}

inline Lookup headers_of(std::map<std::string, std::string, std::less<>> headers) {
    return [headers = std::move(headers)](std::string_view name) {
        const auto found = headers.find(name);
        return found == headers.end() ? std::string_view() : std::string_view(found->second);
    };
}

inline MessagesRequest parsed(const OrderedJson &body, const Lookup &headers = no_headers()) {
    auto request = parse_messages_request(body, headers, Sampling{});
    if (!request) ADD_FAILURE() << body.dump() << ": " << request.error().message;
    return request.value_or(MessagesRequest{});
}

inline MessagesRequest parsed_with(std::string_view members, const Lookup &headers = no_headers()) {
    return parsed(request_with(members), headers);
}

// One line for each message: its role and what it has of content, thinking, calls and the id that it answers.
inline std::string shown(const ChatRequest &chat) {
    std::string text;
    for (const ChatMessage &message : chat.messages) {
        text += message.role + ": " + OrderedJson(message.content).dump();
        if (!message.thinking.empty()) text += " thinking " + OrderedJson(message.thinking).dump();
        for (const ChatToolCall &call : message.tool_calls) text += " call " + call.id + " " + call.name + call.arguments;
        if (!message.tool_call_id.empty()) text += " of " + message.tool_call_id;
        text += '\n';
    }
    return text + (chat.continues_last_message ? "continues\n" : "");
}

}  // namespace engram::protocol::anthropic
