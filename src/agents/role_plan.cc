#include "agents/role_plan.h"

#include <algorithm>

#include "chat/tool_call.h"

namespace engram {
namespace {

// As the registry keeps them, so that equal ones are equal.
std::string stored_tools(const std::string &tools) { return checked_tools(tools).value_or(tools); }

// Whether runs show the agent what it may call, which stands in front as its own tools until the next one: a role without
// functions says nothing of that.
bool runs_show_tools(const AgentSpec &role) {
    const AgentCard &card = role.card;
    return role.tools.empty() && !(card.tools.empty() && card.colleagues.empty() && card.team.empty());
}

RoleStep step_for(const AgentSpec &role, const AgentInfo &info) {
    RoleStep step{.kind = RoleStep::Kind::keep, .spec = {}, .id = role.id, .change = {}, .retention = {}, .what = {}};
    const auto differs = [&step](auto &place, const auto &wanted, const auto &have, std::string_view name) {
        if (wanted == have) return;
        place = wanted;
        step.what.emplace_back(name);
        step.kind = RoleStep::Kind::change;
    };
    differs(step.change.system_prompt, role.system_prompt, info.system_prompt, "system_prompt");
    differs(step.change.description, role.description, info.description, "description");
    if (!runs_show_tools(role)) differs(step.change.tools, stored_tools(role.tools), info.tools, "tools");
    differs(step.change.card, role.card, info.card, "card");
    differs(step.retention, role.retention, info.retention, "retention");
    return step;
}

}  // namespace

std::vector<RoleStep> plan_roles(std::span<const AgentSpec> roles, std::span<const AgentInfo> agents, std::string_view managed_by,
                                 bool prune) {
    std::vector<RoleStep> steps;
    for (AgentSpec role : roles) {
        role.card.managed_by = managed_by;
        const auto found = std::ranges::find(agents, role.id, &AgentInfo::id);
        if (found != agents.end()) {
            steps.push_back(step_for(role, *found));
        } else {
            const std::string id = role.id;
            steps.push_back(
                {.kind = RoleStep::Kind::create, .spec = std::move(role), .id = id, .change = {}, .retention = {}, .what = {}});
        }
    }
    for (const AgentInfo &info : agents) {
        const bool ours = !managed_by.empty() && info.card.managed_by == managed_by;
        if (!prune || !ours || std::ranges::contains(roles, info.id, &AgentSpec::id)) continue;
        steps.push_back({.kind = RoleStep::Kind::remove, .spec = {}, .id = info.id, .change = {}, .retention = {}, .what = {}});
    }
    std::ranges::sort(steps, {}, &RoleStep::id);
    return steps;
}

std::string_view step_name(RoleStep::Kind kind) {
    switch (kind) {
        case RoleStep::Kind::create: return "created";
        case RoleStep::Kind::change: return "changed";
        case RoleStep::Kind::keep: return "unchanged";
        case RoleStep::Kind::remove: return "removed";
    }
    return "unchanged";
}

}  // namespace engram
