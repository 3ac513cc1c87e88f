// One run of an agent: its answers, the calls that they make, and what came of it so far. Runner::run and run_within begin it.
// One thread.
//
// The calls of an answer are made all or none: none, as long as a person must decide about one of the agent's own. Those that
// were made may then wait for others' calls (ToolOutcome::wait); until all have results, what is known of each is held
// (held_calls.h).
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engram/teams.h"
#include "teams/held_calls.h"
#include "teams/run_budget.h"
#include "teams/tool_calls.h"

namespace engram {

class AgentRun {
  public:
    struct Within {
        AgentManager &agents;
        std::span<ToolSource *const> sources;
        RunBudget &budget;
        HeldCalls &held;
        std::vector<std::string> chain;
        std::vector<std::string> expected = {};  // calls that must still wait, by their ids in RunResult::pending
    };
    // What it is given outlives it.
    AgentRun(Within within, const RunRequest &request, const RunSink &sink, AgentInfo info)
        : within_(std::move(within)), request_(request), sink_(sink), info_(std::move(info)) {}

    Result<RunResult> go();
    Result<RunResult> give();  // with delegate_to

  private:
    struct Tool {
        ToolSource *source = nullptr;
        ChatTool tool;
    };
    struct Answer;
    void find_tools();
    Result<void> begin();
    std::optional<RunEnd> limit() const;
    Result<Answer> answer(std::vector<ChatMessage> messages);
    RunResult end(RunEnd how, std::vector<ChatToolCall> pending = {});
    RunResult end_without_answer(const Error &error);
    RunResult given(const std::string &task);
    bool remember(std::span<const Message> messages);

    // agent_run_calls.cc: the calls that are open
    Result<void> take_up();
    Result<void> check_approvals() const;
    const Tool *tool_of(const ChatToolCall &call) const;
    bool may_be_made(const ChatToolCall &call) const;
    bool all_may_be_made();
    void take_decisions();
    void make();
    std::vector<PlannedCall> callable(std::set<std::string, std::less<>> &tried);
    ToolOutcome call(const ChatToolCall &call, const RunSink &sink);
    void take(const ChatToolCall &call, ToolOutcome outcome, double ms);
    void tell_what_was_not_made();
    void keep();
    void forget();

    Within within_;
    const RunRequest &request_;
    const RunSink &sink_;
    const AgentInfo info_;
    std::vector<Tool> tools_;
    std::string missing_;                  // which tools there should be beside these, and why they aren't there
    std::vector<ChatToolCall> open_;       // of the agent's last answer, whose results the model hasn't read
    HeldCalls::ById held_;                 // what is known of them
    bool are_kept_ = false;                // some of that outlives the run
    std::vector<ChatToolCall> undecided_;  // what a person must decide about before the run goes on
    std::vector<ChatMessage> next_;        // for the model to read
    RunResult result_;
    std::uint32_t answers_ = 0;
};

}  // namespace engram
