// Agents of other servers as colleagues (a2a/remote_list.h): asked in the A2A protocol, each with a conversation of its own for
// every agent here that asks it, which goes on where it was after a restart of either side.
//
// What a question carries beside its text, in the message's metadata: {"engram": {"chain": ["home-1/default/a",
// "home-2/default/b"]}}, the agents that wait for its answer, so that circles and depth are seen across servers. Thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "a2a/client.h"
#include "engram/teams.h"
#include "teams/team_store.h"

namespace engram {

class RemoteAgents {
  public:
    RemoteAgents(std::vector<a2a::RemoteConfig> agents, TeamStore &store);  // which outlives this
    ~RemoteAgents();

    bool has(std::string_view tenant, std::string_view name) const;
    // What it does, as far as that is known. It stands in the front of prompts, so that it is remembered on disk: a server that
    // is down for a while changes no prompt. Empty: nothing is known yet.
    std::string description(std::string_view tenant, std::string_view name);
    // Sees to it that this is known, of one that `has` knows: asks its server where it never was, and after a failure not for a
    // minute. cancelled: with `stop`; io, unsupported: why its server can't say.
    Result<void> learn(std::string_view tenant, std::string_view name, const std::stop_token &stop);

    // The work of `name`, which `has` knows. `chain`: who waits for it. Where its task waits for a person to allow calls, and
    // says which, as an Engram does, so does the outcome; with `context.wait` the task is told what was decided of them.
    ToolOutcome ask(const ToolContext &context, const std::string &name, const std::string &task,
                    std::span<const std::string> chain);

    // What each of them says that the tenant may ask; asks them all.
    struct Look {
        std::string name, url, description;
        std::string trouble;  // empty: none
    };
    std::vector<Look> look(std::string_view tenant, const std::stop_token &stop);

  private:
    struct Remote;
    class Turn;
    using Line = std::array<std::string, 3>;  // tenant, agent, remote agent
    Remote *find(std::string_view tenant, std::string_view name) const;
    Result<std::string> ask_description(Remote &remote, const std::stop_token &stop);
    bool recall(Remote &remote);

    TeamStore &store_;
    std::vector<std::unique_ptr<Remote>> remotes_;
    std::mutex mutex_;  // for what follows
    std::condition_variable_any answered_;
    std::set<Line> asking_;  // one at a time: what is asked next belongs to the conversation that the one before has begun
};

// The chain of `metadata`, a message's, for a run of the tenant's: agents of this home (TeamStore::identity) by their ids. Empty:
// there is none, or it is none.
std::vector<std::string> chain_of_metadata(std::string_view metadata, std::string_view home, std::string_view tenant);

// Whether `metadata` asks for the trace.
bool wants_trace(std::string_view metadata);

}  // namespace engram
