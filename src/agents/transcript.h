// A transcript's rows as the messages that templates render and conversations are recognised by.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "chat/conversation.h"
#include "registry/registry.h"

namespace engram {

inline TemplateMessage template_message(const MessageRow &message) {
    return {.role = message.role,
            .content = message.content,
            .tool_calls = message.tool_calls,
            .tool_call_id = message.tool_call_id,
            .thinking = message.thinking};
}

// The system prompt, when there is one, and the messages after it.
inline std::vector<TemplateMessage> history_of(const std::string &system_prompt, std::span<const MessageRow> messages) {
    std::vector<TemplateMessage> history;
    if (!system_prompt.empty()) history.push_back({.role = "system", .content = system_prompt});
    for (const MessageRow &message : messages) history.push_back(template_message(message));
    return history;
}

}  // namespace engram
