// How an agent is shown as text; as JSON: agents/agent_json.h. Pure.
#pragma once

#include <span>
#include <string>

#include "agents/agent_json.h"
#include "cli/output.h"
#include "engram/agents.h"

namespace engram::cli {

std::string agent_text(const AgentInfo &info, std::int64_t now_ms);  // one fact on each line
std::string agent_table(std::span<const AgentInfo> agents, std::int64_t now_ms);

std::string transcript_text(std::span<const Message> messages, const Output &out);

}  // namespace engram::cli
