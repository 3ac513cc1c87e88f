// The tools that the coding agent of the `replay` benchmark has, and its calls of them. The words are invented; number, shape and
// the way clients send them are those of recorded sessions. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "chat/bounded_json.h"

namespace engram::bench {

inline constexpr std::size_t kMostTraceTools = 20;

// So many function tools as a request has them, in the order of their names; description i has more[i] at its end.
OrderedJson trace_tools(std::span<const std::string> more);

// The `number`-th call of the trace, of one of these tools, as a message of the assistant's, and the tool's message that answers
// it.
OrderedJson trace_call(const OrderedJson &tools, std::uint32_t number, const std::string &result);

// What a client that has read an answer's calls and writes them anew does to them: the arguments' members come in the order of
// their names. Calls that were so already stay as they are.
void write_calls_anew(OrderedJson &messages);

}  // namespace engram::bench
