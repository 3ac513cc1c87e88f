// One attempt of a step (a node that asks an agent, or one element of such a node): the fork, the turn in it, and how its result
// gets into the store and into the agent's memory. Thread-safe: several steps of a run are under way at once.
#pragma once

#include <stop_token>
#include <string>

#include "workflow/executor.h"
#include "workflow/journal.h"

namespace engram::workflow {

class StepRunner {
  public:
    StepRunner(AgentManager &agents, const RunAgent &run_agent, Journal &journal)
        : agents_(agents), run_agent_(run_agent), journal_(journal) {}

    // The step, finished and written down, or waiting for a person (approval.h); one that has waited goes on with what was
    // decided, or, where its fork isn't as it was, begins anew. An error: the attempt has failed, and nothing of it stays. When
    // somebody else has talked to the agent meanwhile, another workflow for instance, it is made again, after what they said.
    Result<StepRow> attempt(const Node &node, StepRow step, const std::string &task, const std::stop_token &stop);

    // What is left to do for a step that was answered when its process died: finishes it, or fails as an attempt.
    Result<StepRow> settle(const Node &node, StepRow step);

    // Forks of the run that no answered or waiting step needs.
    Result<void> remove_forks(const std::vector<StepRow> &steps);

  private:
    Result<StepRow> attempt_once(const Node &node, StepRow step, const std::string &task, const std::stop_token &stop);
    std::string fork_of(const StepRow &step) const;
    void drop_fork(const StepRow &step);
    Result<RunResult> answer(const Node &node, const StepRow &step, RunRequest request, const std::stop_token &stop);

    AgentManager &agents_;
    const RunAgent &run_agent_;
    Journal &journal_;
};

}  // namespace engram::workflow
