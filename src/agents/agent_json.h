// Agents, transcripts and turns as JSON, the same on the command line and over HTTP. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "engram/agents.h"

namespace engram {

nlohmann::ordered_json agent_json(const AgentInfo &info);
nlohmann::ordered_json transcript_json(std::span<const Message> messages);
nlohmann::ordered_json turn_json(const std::string &agent, const TurnResult &result);

}  // namespace engram
