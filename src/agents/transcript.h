// A transcript's rows as the messages that templates render and conversations are recognised by.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
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

// What of a transcript is still read: the messages from `first` on. After a compaction between the calls of tools that a question
// led to, the question, too, which stands before it.
struct StillRead {
    std::size_t first = 0;
    std::optional<std::size_t> question = std::nullopt;
};
inline StillRead still_read(std::span<const MessageRow> messages) {
    const auto last = std::ranges::find_last(messages, kCompactionRole, &MessageRow::role);
    if (last.empty()) return {};
    StillRead read{.first = static_cast<std::size_t>(last.begin() - messages.begin()) + 1};
    if (read.first < messages.size() && messages[read.first].role == "assistant") {
        const auto before = messages.first(read.first);
        const auto asked = std::ranges::find_last(before, "user", &MessageRow::role);
        if (!asked.empty()) read.question = static_cast<std::size_t>(asked.begin() - before.begin());
    }
    return read;
}

// The system prompt, when there is one, and the messages after it. After a compaction: only those that are still read, and its
// summary stands behind the system prompt.
inline std::vector<TemplateMessage> history_of(const std::string &system_prompt, std::span<const MessageRow> messages) {
    const StillRead read = still_read(messages);
    std::vector<TemplateMessage> history;
    std::string system = system_prompt;
    if (read.first > 0) {
        const std::string &summary = messages[read.first - 1].content;
        system += system.empty() ? "" : "\n\n";
        system += summary.empty() ? "(Earlier messages were left out.)" : "What was said earlier, in short:\n" + summary;
    }
    if (!system.empty()) history.push_back({.role = "system", .content = system});
    if (read.question) history.push_back(template_message(messages[*read.question]));
    for (const MessageRow &message : messages.subspan(read.first)) history.push_back(template_message(message));
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
