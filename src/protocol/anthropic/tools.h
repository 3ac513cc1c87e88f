// The members `tools` and `tool_choice` of a request. Pure.
//
// Three kinds of tools come in one list:
//
// - Custom ones, with a JSON schema.
// - Those that the vendor defines and the client runs (bash, text editor, memory): they come by their type alone, and the model
//   gets the documented schema of that type. Those that answer with pictures (computer, browser) are refused.
// - Those that run at the vendor (web search, code execution, tool search, MCP connectors): nobody would run them here, so that
//   they are left out; a request that has no others is refused.
//
// `defer_loading` keeps a tool out of the prompt until a tool_reference or tool_addition block of the conversation names it
// (conversation.h): its definition then stands in that place. The front of the prompt stays as it was, whatever tools are found
// on the way. Deferred tools that nobody could find are shown from the beginning.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engram/chat.h"
#include "protocol/field.h"

namespace engram::protocol::anthropic {

struct ToolSet {
    std::vector<ChatTool> shown;        // in the prompt's front, in the client's order
    std::vector<ChatTool> deferred;     // known, and not shown yet
    std::vector<std::string> left_out;  // names of the tools that run at the vendor
};

// One element of the list, of the first or second kind. invalid_request.
ApiResult<ChatTool> read_tool(const Field &tool);

// `longest` is raised by the tools' cache_control. invalid_request: also when two tools have one name.
ApiResult<ToolSet> read_tools(const Field &list, Retention &longest);

// A deferred tool that the choice names is shown, unless the conversation has told of it (`told`, `withdrawn`: as in
// ChatRequest). invalid_request: also when it names an unknown tool, or a withdrawn one.
ApiResult<ToolChoice> read_tool_choice(const Field &choice, std::span<const ChatTool> told,
                                       std::span<const std::string> withdrawn, ToolSet &tools);

}  // namespace engram::protocol::anthropic
