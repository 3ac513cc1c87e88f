// Agents that give work to agents, by the tool `delegate_to`: the ones that an agent's card names as its colleagues.
//
// Each of them works with its own memory, which persists like that of any turn. Nobody is asked who waits for the answer already
// (a circle), nor deeper than RunLimits::depth; time and tokens are those of the whole run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engram/teams.h"

namespace engram {

inline constexpr std::string_view kDelegateTool = "delegate_to";

class Colleagues : public ToolSource {
  public:
    // `runner` has this source among its own; it is used when a call comes, and outlives that.
    void set_runner(Runner &runner) { runner_ = &runner; }

    std::vector<ChatTool> tools(const AgentManager &agents, const AgentInfo &agent) override;
    bool needs_approval(const AgentInfo &agent, std::string_view tool) const override;
    ToolOutcome call(const ToolContext &context, const ChatToolCall &call) override;

    // The same without a model's call: the work of `to`, as it stands in the trace.
    ToolOutcome delegate(const ToolContext &context, const std::string &to, const std::string &task);

  private:
    Runner *runner_ = nullptr;
};

}  // namespace engram
