// A ChatRequest's messages on their way to a turn: checked, repaired, and, where an agent is named, without what it remembers.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "chat/repairs.h"
#include "engram/chat.h"
#include "registry/registry.h"

namespace engram {

Result<void> check_chat(const ChatRequest &request);  // invalid_argument

// Where the messages begin that aren't the system's at the front; and the request without so many of those from there on.
std::size_t first_said(const ChatRequest &request);
ChatRequest without_first_messages(const ChatRequest &request, std::size_t count);

// What was said, without the answer that is only begun; and the tools.
RepairedPrompt repaired_prompt(const ChatRequest &request);

// The first message's text, when it is the system's; else empty.
std::string_view system_text(std::span<const TemplateMessage> messages);

std::vector<MessageRow> rows_of(std::span<const TemplateMessage> messages, std::int64_t now_ms);

// What a request that names an agent adds to what the agent remembers. A request without an assistant's message says only what is
// new, its system prompt left out where the agent was told the same last; any other says all.
struct ForAgent {
    std::vector<TemplateMessage> messages;
    std::size_t keep = 0;             // messages of its transcript that stay
    std::optional<AgentFront> front;  // instead of its own
};
ForAgent for_agent(const AgentRow &row, std::span<const MessageRow> rows, const RepairedPrompt &prompt);

}  // namespace engram
