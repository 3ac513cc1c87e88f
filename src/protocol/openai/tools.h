// Function tools, JSON schemas and the choice between tools, in the two shapes that OpenAI has for them: chat completions nest
// what they say about a function ({"type": "function", "function": {"name": …}}), the Responses API doesn't. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engram/chat.h"
#include "protocol/field.h"

namespace engram::protocol::openai {

enum class ToolShape : std::uint8_t { nested, flat };

// A name of a function or a schema: 1 to 128 letters, digits, "_", "-" and "." (the documented 64 are too few for tools that a
// client has prefixed with a server's name).
ApiResult<std::string> check_name(const Field &name);

// A JSON schema as far as it can be wrong by itself: known type names, lists and objects where the keywords want them.
ApiResult<void> check_schema(const Field &schema);

// A function from where its name, description, parameters and strict stand.
ApiResult<ChatTool> function_tool(const Field &definition, bool strict_when_absent);

// Adds a tool; its name must be new.
ApiResult<void> add_tool(ChatTool tool, const Field &name, std::vector<ChatTool> &tools);

// tool_choice: "none", "auto", "required", a function, or allowed_tools. invalid_request when it names a tool that `tools` lacks,
// or wants a call where there are none.
ApiResult<ToolChoice> tool_choice_of(const Field &choice, std::span<const ChatTool> tools, ToolShape shape);

// The name that the model is shown for a function in a namespace (Responses API), and `name` itself outside of one.
std::string qualified_name(std::string_view space, std::string_view name);

}  // namespace engram::protocol::openai
