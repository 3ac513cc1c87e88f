// Agents that give work to agents, by the tool `delegate_to`: the ones that an agent's card names as its colleagues, here or at
// other servers.
//
// Each of them works with its own memory, which persists like that of any turn. Nobody is asked who waits for the answer already
// (a circle), nor deeper than RunLimits::depth; time and tokens are those of the whole run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engram/teams.h"
#include "teams/remote_agents.h"

namespace engram {

inline constexpr std::string_view kDelegateTool = "delegate_to";
std::string delegation_arguments(const std::string &to, const std::string &task);  // of a call of it

// The label of agents that are the memory of one conversation with a caller from elsewhere: they stand for the agent that they
// were forked from.
inline constexpr std::string_view kContextLabel = "a2a-context";

class Colleagues : public ToolSource {
  public:
    // `remotes`: colleagues at other servers, known by names that no agent here has. It outlives this; null: none.
    explicit Colleagues(RemoteAgents *remotes = nullptr) : remotes_(remotes) {}

    // `runner` has this source among its own; it is used when a call comes, and outlives that.
    void set_runner(Runner &runner) { runner_ = &runner; }

    std::vector<ChatTool> tools(const AgentManager &agents, const AgentInfo &agent) override;
    bool needs_approval(const AgentInfo &agent, std::string_view tool) const override;
    ToolOutcome call(const ToolContext &context, const ChatToolCall &call) override;

  private:
    ToolOutcome delegate(const ToolContext &context, const std::string &to, const std::string &task);
    ToolOutcome ask_remote(const ToolContext &context, const std::string &to, const std::string &task);
    bool is_remote(const AgentManager &agents, const AgentInfo &from, const std::string &to) const;

    RemoteAgents *const remotes_;
    Runner *runner_ = nullptr;
};

}  // namespace engram
