// Whom a task is given to, of several agents who may have it. Thread-safe.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "engram/agents.h"
#include "workflow/definition.h"

namespace engram::workflow {

// Named agents that the route allows, by id. not_found: there is none, or one that is listed isn't there.
Result<std::vector<AgentInfo>> candidates_for(const AgentManager &agents, const Route &route);

// What the model reads to choose by: what the candidates' cards say, and the task. Pure.
ChatRequest choice_request(const std::vector<AgentInfo> &candidates, std::string_view task);

// One of the candidates: the only one, or whom the model names, who can name nobody else. What candidates_for and
// AgentManager::chat say.
Result<std::string> choose_agent(AgentManager &agents, const Route &route, std::string_view task, const std::stop_token &stop);

}  // namespace engram::workflow
