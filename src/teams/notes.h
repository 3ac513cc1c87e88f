// The tools by which agents of one team share notes: notes__write, notes__read, notes__search, notes__remove. An agent whose card
// names a team has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engram/teams.h"
#include "teams/team_store.h"

namespace engram {

class Notes : public ToolSource {
  public:
    explicit Notes(TeamStore &store) : store_(store) {}  // which outlives this

    std::vector<ChatTool> tools(const AgentManager &agents, const AgentInfo &agent) override;
    bool needs_approval(const AgentInfo &agent, std::string_view tool) const override;
    ToolOutcome call(const ToolContext &context, const ChatToolCall &call) override;

  private:
    TeamStore &store_;
};

}  // namespace engram
