// Agents that give work to agents, by the tool `delegate_to`: the ones that an agent's card names as its colleagues, here or at
// other servers.
//
// Each of them works with its own memory, which persists like that of any turn. Nobody is asked who waits for the answer already
// (a circle), nor deeper than RunLimits::depth; time and tokens are those of the whole run. Whose calls wait for a person makes
// the call wait that gave it the work (ToolOutcome::wait), and is free for others meanwhile.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engram/teams.h"
#include "teams/remote_agents.h"

namespace engram {

inline constexpr std::string_view kDelegateTool = "delegate_to";
std::string delegation_arguments(const std::string &to, const std::string &task);  // of a call of it
struct Delegation {
    std::string to, task;  // empty: the arguments don't say it
};
Delegation delegation_of(const ChatToolCall &call);

// The label of agents that are the memory of one conversation with a caller from elsewhere: they stand for the agent that they
// were forked from.
inline constexpr std::string_view kContextLabel = "a2a-context";

class Colleagues : public ToolSource {
  public:
    // `remotes`: colleagues at other servers, known by names that no agent here has. It outlives this; null: none.
    explicit Colleagues(RemoteAgents *remotes = nullptr) : remotes_(remotes) {}

    // `runner` has this source among its own; it is used when a call comes, and outlives that.
    void set_runner(Runner &runner);
    using RunWithin = std::function<Result<RunResult>(const ToolContext &, const RunRequest &)>;  // as Runner::run_within does it
    void set_run(RunWithin run) { run_within_ = std::move(run); }

    std::vector<std::string> prepare(const AgentInfo &agent, const std::stop_token &stop) override;
    std::vector<ChatTool> tools(const AgentManager &agents, const AgentInfo &agent) override;
    bool needs_approval(const AgentInfo &agent, std::string_view tool) const override;
    ToolOutcome call(const ToolContext &context, const ChatToolCall &call) override;

  private:
    ToolOutcome delegate(const ToolContext &context, const Delegation &work);
    ToolOutcome ask_remote(const ToolContext &context, const Delegation &work);
    bool is_remote(const AgentManager &agents, const AgentInfo &from, const std::string &to) const;

    RemoteAgents *const remotes_;
    RunWithin run_within_;
};

}  // namespace engram
