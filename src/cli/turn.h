// One turn as a command shows it: streamed text, a progress bar while the prompt is read, and the facts afterwards.
#pragma once

#include <string>

#include "agents/agent_json.h"
#include "cli/command_line.h"
#include "engram/agents.h"

namespace engram::cli {

// Runs the turn. Without --json the answer is streamed to standard output as it comes (on a terminal without the control
// characters that a model may emit) and ended with a line break; warnings and misses are said on standard error.
// `request.on_text` and `request.on_prefill` are set here.
Result<TurnResult> show_turn(AgentManager &manager, const std::string &agent, TurnRequest request, const Context &context);

// "prompt 2,100 tokens, 2,048 reused (disk, 1.1 MiB in 3.0 ms), first token after 15 ms, 40 tokens at 55.0/s"
std::string turn_summary(const TurnResult &result);

// The agent, made with `system_prompt` when it isn't there and `create` says so. not_found with the way to create it.
Result<AgentInfo> find_or_create(AgentManager &manager, const std::string &agent, bool create, const std::string &system_prompt);

}  // namespace engram::cli
