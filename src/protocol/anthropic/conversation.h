// The members `system` and `messages` of a request as the neutral form's messages. Pure.
//
// Bytes stay where they are: what a request says again, the result says again, so that the prefix that was computed for the last
// request is found. That is why nothing is trimmed, sorted or moved:
//
// - The blocks of `system` become one system message, with one line feed between them. A pseudo header ("x-anthropic-…: …") is a
//   line of its own in it.
// - A message with the role system stays in its place; one whose clear_at is next_user_message is left out as soon as a user
//   message follows it.
// - Consecutive user messages, and consecutive assistant messages, are one turn. Text blocks of a user are joined with a line
// feed;
//   those of an assistant without anything, for they are one answer that was cut into pieces.
// - Each tool_result becomes a message with the role tool, in the order sent.
// - A last assistant message is the beginning of the answer (prefill).
//
// Blocks: text, document and search_result with text in them, thinking, tool_use, tool_result, tool_reference, tool_addition and
// tool_removal, and the text of compaction. What only the vendor can read (redacted_thinking) or runs (server_tool_use and its
// results, MCP calls, …) is left out. A picture or a file is refused; in a tool's result, where the user has no hand in it, the
// model is told instead.
#pragma once

#include <vector>

#include "engram/chat.h"
#include "protocol/anthropic/tools.h"
#include "protocol/field.h"

namespace engram::protocol::anthropic {

struct Conversation {
    std::vector<ChatMessage> messages;
    bool continues_last_message = false;
    // As in ChatRequest.
    std::vector<ChatTool> told_tools;
    std::vector<std::string> withdrawn_tools;
};

// `longest` is raised by the blocks' cache_control. invalid_request: among others for a tool_result whose call isn't in the turn
// before, and a call without result.
ApiResult<Conversation> read_conversation(const Field &system, const Field &messages, const ToolSet &tools, Retention &longest);

}  // namespace engram::protocol::anthropic
