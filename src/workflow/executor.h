// Runs workflows: begins a run, or goes on with one that was broken off, until it has ended.
//
//     ENGRAM_ASSIGN(const RunRow begun, begin_run(store, {.tenant = "default", .file = "a.yaml", .definition = yaml}, clock));
//     ENGRAM_ASSIGN(const RunRow ended, Executor({agents, store, run_agent}).run(begun.key, sink, stop));
//
// What is durable when: a node's result before anything that depends on it begins. Each attempt is made in a fork of its agent;
// the result is committed, then the agent goes on from the fork (AgentManager::fast_forward), then the node is finished. Whoever
// resumes finds a fork without a result, and drops it; a result with a fork, and does the second step; or a result without a
// fork, and has only the third one left. So no turn gets into an agent's memory twice, or not at all.
//
// Threads: `run` may be called from any thread, for different runs at once, but only once for each run at a time, which the
// caller sees to. It has a thread for each turn under way, and one that brings in the agents that come next. The sink is called
// from those threads, one call at a time; a slow one delays the run.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "engram/teams.h"
#include "ports/clock.h"
#include "workflow/definition.h"
#include "workflow/run_store.h"

namespace engram::workflow {

using EventSink = std::function<void(const Event &)>;

struct NewRun {
    std::string tenant;
    std::string file;  // by which messages name the definition
    std::string definition;
    OrderedJson inputs = OrderedJson::object();
};
// Checks the definition and the inputs, and writes the run down; nothing runs yet. invalid_argument, io.
Result<RunRow> begin_run(RunStore &store, const NewRun &run, Clock &clock = system_clock());

// Agents whose ids begin like this are forks of a run's; they go when it ends.
inline constexpr std::string_view kForkPrefix = "workflow.";

// Asked before each attempt, on its thread: waits until there is room for it, and gives a place that is kept until the attempt
// has ended. cancelled: it was stopped meanwhile.
using Admit = std::function<Result<std::shared_ptr<void>>(const std::stop_token &)>;

class Executor {
  public:
    struct Parts {
        AgentManager &agents;  // of the run's tenant
        RunStore &runs;
        RunAgent run_agent;
        Admit admit = {};  // empty: there is always room
        Clock &clock = system_clock();
    };
    explicit Executor(Parts parts) : parts_(std::move(parts)) {}

    // Until the run has ended, waits for approvals and nothing else, or `stop` is triggered: then its turns are broken off, and
    // it is left as interrupted. A finished run is returned as it is; a failed or cancelled one goes on with what hasn't
    // finished. not_found; what the store says.
    Result<RunRow> run(const RunKey &key, const EventSink &sink, std::stop_token stop);

  private:
    Parts parts_;
};

}  // namespace engram::workflow
