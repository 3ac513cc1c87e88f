// The calls of one answer, made at the same time; and what the model reads of their results.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engram/teams.h"

namespace engram {

struct PlannedCall {
    ChatToolCall call;
    std::function<ToolOutcome(const RunSink &)> make;
};
struct MadeCall {
    ToolOutcome outcome;
    double ms = 0;
};
// In the order of the calls. Each is told to `sink` when it begins and ends, with what it tells meanwhile, on the caller's
// thread.
std::vector<MadeCall> make_calls(std::span<const PlannedCall> calls, const std::string &agent, const RunSink &sink);

// A text of at most so many tokens: of a longer one, two thirds from its beginning and one from its end, with a line between that
// says how much is left out.
std::string shortened(const AgentManager &agents, std::string text, std::uint32_t tokens);

}  // namespace engram
