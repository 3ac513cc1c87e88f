// One run at a time for each agent: a run is several turns, and between a call and its result nobody else may speak to the agent.
//
// Agents give work to agents: a run that asks another agent waits until that one is free, and then for its answer. Where that
// would close a circle (the agent that is wanted waits, itself or through others, for the one that asks), it is refused at once,
// for nobody in it could ever go on. Thread-safe.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>

#include "engram/error.h"

namespace engram {

class RunGates {
  public:
    using Agent = std::pair<std::string, std::string>;  // tenant and id

    class Hold {
      public:
        Hold(RunGates &gates, Agent agent, std::optional<Agent> asker)
            : gates_(&gates), agent_(std::move(agent)), asker_(std::move(asker)) {}
        Hold(Hold &&other) noexcept
            : gates_(std::exchange(other.gates_, nullptr)), agent_(std::move(other.agent_)), asker_(std::move(other.asker_)) {}
        Hold &operator=(Hold &&) = delete;
        ~Hold() {
            if (gates_ != nullptr) gates_->release(agent_, asker_);
        }

      private:
        RunGates *gates_;
        Agent agent_;
        std::optional<Agent> asker_;
    };

    // Waits until no other run has the agent. `asker`: whose run gives it work and waits for the answer, until the hold ends;
    // nullopt: nobody's. locked: waiting would never end; cancelled.
    Result<Hold> take(const Agent &agent, const std::optional<Agent> &asker, std::stop_token stop);

  private:
    bool waits_for(const Agent &agent, const Agent &other) const;        // under mutex_
    void forget(const Agent &agent, const std::optional<Agent> &asker);  // under mutex_
    void release(const Agent &agent, const std::optional<Agent> &asker);

    std::mutex mutex_;
    std::condition_variable_any freed_;
    std::set<Agent> held_;                   // guarded by mutex_
    std::multimap<Agent, Agent> waits_for_;  // guarded by mutex_: one for each call, and calls are made side by side
};

}  // namespace engram
