// Tool calls: found in the text of an answer, and in the two JSON texts that an agent keeps (its tools, a message's calls).
//
// Models write calls in a form of their own family. Understood are
//
//     <tool_call>{"name": …, "arguments": {…}}</tool_call>           Hermes, Qwen; several are allowed
//     <|python_tag|>{"name": …, "parameters": {…}}                   Llama 3; the tag may be missing
//     [TOOL_CALLS] [{"name": …, "arguments": {…}}, …]                Mistral
//
// Everything here is foreign text and bounded (bounded_json.h). Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engram/error.h"

namespace engram {

struct ToolCall {
    std::string name;
    std::string arguments;  // a JSON object, without white space between its members
    bool operator==(const ToolCall &) const = default;
};

struct ParsedAnswer {
    std::string text;  // what is said beside the calls, without white space at its ends; without calls the whole answer as it is
    std::vector<ToolCall> calls;
};

// Control tokens that some vocabularies have for the marks above: a control token's text is no part of an answer, but these are.
std::span<const std::string_view> tool_call_marks();

// invalid_argument: there is a mark (or the beginning of a bare Llama 3 call), and what follows is no call: the sentence says
// why.
Result<ParsedAnswer> parse_answer(std::string_view answer);

// The calls as a message keeps them: [{"type":"function","function":{"name":…,"arguments":{…}}}, …]; empty when there are none.
std::string tool_calls_json(std::span<const ToolCall> calls);

// Reads what tool_calls_json writes, and the same in the shape of the OpenAI protocol (arguments as a text that holds JSON). An
// empty text holds no calls. invalid_argument.
Result<std::vector<ToolCall>> parse_tool_calls(std::string_view json);

// A list of function tools as OpenAI shapes it, [{"type":"function","function":{"name":…, "description":…, "parameters":{…}}}],
// without white space between members; their order stays. Empty for an empty text or list. invalid_argument.
Result<std::string> checked_tools(std::string_view json);

}  // namespace engram
