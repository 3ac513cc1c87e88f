// The bodies of Engram's own API, read: what agents, turns, runs and workflows are asked for. Each fails with invalid_request,
// naming the member that is wrong, before anything has been done. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engram/agents.h"
#include "engram/teams.h"
#include "protocol/field.h"

namespace engram::server {

protocol::ApiResult<AgentSpec> read_agent_spec(const protocol::Field &body);  // POST /v1/agents

// PATCH /v1/agents/{id}: what isn't given stays.
struct AgentPatch {
    AgentChange change;
    std::optional<bool> pinned;
    std::optional<Retention> retention;
    std::optional<std::string> id;  // its new name
    bool adopt = false;
};
protocol::ApiResult<AgentPatch> read_agent_patch(const protocol::Field &body);

protocol::ApiResult<std::string> read_fork(const protocol::Field &body);  // the copy's name
protocol::ApiResult<AgentManager::EvictTo> read_evict(const protocol::Field &body);

struct OwnTurn {
    TurnRequest request;
    bool stream = false;
};
protocol::ApiResult<OwnTurn> read_turn(const protocol::Field &body, const Sampling &defaults);
protocol::ApiResult<std::vector<AgentManager::BatchItem>> read_batch(const protocol::Field &body, const Sampling &defaults);

// Without the agent, which stands in the path.
struct OwnRun {
    RunRequest request;
    bool stream = false;
};
protocol::ApiResult<OwnRun> read_run(const protocol::Field &body, const Sampling &defaults);
protocol::ApiResult<OwnRun> read_delegation(const protocol::Field &body);

// POST /v1/workflows.
struct OwnWorkflowRun {
    std::string definition, file;
    OrderedJson inputs = OrderedJson::object();
    bool stream = false;
};
protocol::ApiResult<OwnWorkflowRun> read_workflow_run(const protocol::Field &body);

}  // namespace engram::server
