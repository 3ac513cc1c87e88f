// A transcript's rows as the messages that templates render and conversations are recognised by.
#pragma once

#include <algorithm>
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

// The system prompt, when there is one, and the messages after it. After a compaction: only those behind the last one, whose
// summary stands behind the system prompt.
inline std::vector<TemplateMessage> history_of(const std::string &system_prompt, std::span<const MessageRow> messages) {
    std::vector<TemplateMessage> history;
    std::string system = system_prompt;
    if (const auto last = std::ranges::find_last(messages, kCompactionRole, &MessageRow::role); !last.empty()) {
        const std::string &summary = last.front().content;
        system += system.empty() ? "" : "\n\n";
        system += summary.empty() ? "(Earlier messages were left out.)" : "What was said earlier, in short:\n" + summary;
        messages = std::span(last.begin() + 1, messages.end());
    }
    if (!system.empty()) history.push_back({.role = "system", .content = system});
    for (const MessageRow &message : messages) history.push_back(template_message(message));
    return history;
}

// All that was said, read any more or not, and where each of it stands in the transcript.
struct Spoken {
    std::vector<TemplateMessage> messages;
    std::vector<std::size_t> places;
};
inline Spoken spoken(std::span<const MessageRow> rows) {
    Spoken said;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].role == kCompactionRole) continue;
        said.messages.push_back(template_message(rows[i]));
        said.places.push_back(i);
    }
    return said;
}

}  // namespace engram
