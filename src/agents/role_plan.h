// What has to be done so that agents are as role files say. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engram/agents.h"

namespace engram {

struct RoleStep {
    enum class Kind : std::uint8_t { create, change, keep, remove };
    Kind kind = Kind::keep;
    AgentSpec spec;  // of one that is made
    std::string id;
    AgentChange change;  // of one that is changed: what differs
    std::optional<Retention> retention;
    std::vector<std::string> what;  // differs: "system_prompt", "description", "tools", "card", "retention"
};

// `managed_by` names the set of roles; it is written into the cards. `prune`: agents of that set that have no role any more go.
// An agent of the same name that somebody made by hand becomes one of the set. Steps in the order of the ids.
std::vector<RoleStep> plan_roles(std::span<const AgentSpec> roles, std::span<const AgentInfo> agents, std::string_view managed_by,
                                 bool prune);

std::string_view step_name(RoleStep::Kind kind);  // "created", "changed", "unchanged", "removed"

}  // namespace engram
