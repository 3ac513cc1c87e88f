// One run at a time for each agent: a run is several turns, and between a call and its result nobody else may speak to the agent.
//
// Agents give work to agents, so that runs wait within runs: each chain of them is known by its outermost run. Where waiting
// would close a circle (this chain holds an agent that another chain waits for, and that one holds the agent wanted here), it is
// refused at once, for nobody in it could ever go on. Thread-safe.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
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
        Hold(RunGates &gates, Agent agent) : gates_(&gates), agent_(std::move(agent)) {}
        Hold(Hold &&other) noexcept : gates_(std::exchange(other.gates_, nullptr)), agent_(std::move(other.agent_)) {}
        Hold &operator=(Hold &&) = delete;
        ~Hold() {
            if (gates_ != nullptr) gates_->release(agent_);
        }

      private:
        RunGates *gates_;
        Agent agent_;
    };

    // Waits until no other run has the agent. `chain`: the outermost run's own address. locked: waiting would never end;
    // cancelled.
    Result<Hold> take(const Agent &agent, const void *chain, std::stop_token stop);

  private:
    bool closes_a_circle(const Agent &wanted, const void *chain) const;  // under mutex_
    void release(const Agent &agent);

    std::mutex mutex_;
    std::condition_variable_any freed_;
    std::map<Agent, const void *> held_by_;  // guarded by mutex_: which chain has it
    std::multimap<const void *, Agent>
        waits_for_;  // guarded by mutex_: a chain whose calls run side by side may wait for several
};

}  // namespace engram
