// How an agent is shown. Pure.
#pragma once

#include <span>
#include <string>

#include "cli/output.h"
#include "engram/agents.h"

namespace engram::cli {

Json agent_json(const AgentInfo &info);
std::string agent_text(const AgentInfo &info, std::int64_t now_ms);  // one fact on each line
std::string agent_table(std::span<const AgentInfo> agents, std::int64_t now_ms);

Json transcript_json(std::span<const Message> messages);
std::string transcript_text(std::span<const Message> messages, const Output &out);

}  // namespace engram::cli
