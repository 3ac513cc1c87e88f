// Tool calls in the JSON texts that an agent keeps: its tools, a message's calls. How they stand in a model's answer is another
// matter: answer_reader.h.
//
// Everything here is foreign text and bounded (bounded_json.h). Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engram/chat.h"
#include "engram/error.h"

namespace engram {

struct ToolCall {
    std::string name;
    std::string arguments;  // a JSON object, without white space between its members
    std::string id = {};    // whoever asked for the answer tells calls apart by it; the model never sees it. Empty: none
    bool operator==(const ToolCall &) const = default;
};

// One call as models write it: a name, and arguments (or parameters) as an object, a text that holds one, or not at all.
// invalid_argument: it is none; the end of a sentence.
Result<ToolCall> parse_call(std::string_view json);

// The calls as a message keeps them: [{"id":…,"type":"function","function":{"name":…,"arguments":{…}}}, …], without "id" where
// there is none; empty when there are no calls.
std::string tool_calls_json(std::span<const ToolCall> calls);

// Reads what tool_calls_json writes, and the same in the shape of the OpenAI protocol (arguments as a text that holds JSON). An
// empty text holds no calls. invalid_argument.
Result<std::vector<ToolCall>> parse_tool_calls(std::string_view json);

// A list of function tools as OpenAI shapes it, [{"type":"function","function":{"name":…, "description":…, "parameters":{…}}}],
// without white space between members; their order stays. Empty for an empty text or list. invalid_argument.
Result<std::string> checked_tools(std::string_view json);
// A tool as an element of such a list, and the list; empty for no tools.
std::string tool_json(const ChatTool &tool);
std::string tools_json(std::span<const ChatTool> tools);
// The tools of such a list.
Result<std::vector<ChatTool>> parse_tools(std::string_view json);

}  // namespace engram
