// Brings agents' KV from disk to host memory before it is asked for: when somebody asks for that (prewarm), and when an agent's
// turn is likely to come soon (core/turn_predictor.h).
//
// A guess takes free memory, and memory of agents of the same tenant that are less likely to be next and aren't running. It is
// read when nobody's KV is being restored, a part at a time; beside running turns, with pauses. A turn of the agent itself ends
// the reading. The thread keeps the system's usual priority: it holds locks that turns need, and one that waits for a processor
// would make them wait with it.
//
// What was learned is kept in the registry: written a minute after it changed, and at the end. Losing it costs guesses.
//
// Threads: one of its own; all methods from any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "agents/engine_thread.h"
#include "agents/warm_reader.h"
#include "core/turn_predictor.h"
#include "engram/agents.h"
#include "registry/registry.h"

namespace engram {

class Preloader {
  public:
    struct Parts {  // none is owned; all must outlive the preloader
        Context &context;
        BlockStore &store;
        Registry &registry;
        EngineThread &engine;
    };
    struct Settings {
        bool guesses = true;       // false: only what is asked for
        double probability = 0.6;  // of a turn, from which on it is worth a guess
    };
    // `committed` tells an agent's committed tokens, and which of them have stored KV.
    using Committed = std::function<Result<TurnPlan>(const AgentKey &)>;
    Preloader(Parts parts, Settings settings, Committed committed);
    ~Preloader();  // ends what is being read, and writes what was learned

    // Waits until the agent's KV is in memory (or in the context). not_found, over_budget, corrupt, and what `committed` says.
    Result<void> ask(const AgentKey &key);

    // A turn (or a load) of the agent is under way from began() to ended().
    // Then a turn's `tier` says where its reused tokens came from; nullopt: nothing is known of that.
    void began(const AgentKey &key);
    void ended(const AgentKey &key, std::optional<std::string_view> tier);
    // A turn was committed.
    void learn(const AgentKey &key, std::int64_t began_ms);
    void forget(const AgentKey &key);
    void rename(const AgentKey &key, std::string_view new_id);

    struct Counts {
        ManagerStats::Preloads asked, learned;
    };
    Counts counts();

  private:
    struct Job {
        AgentKey key;
        std::optional<std::promise<Result<void>>> asked;  // by whom; nobody: a guess
        std::int64_t until_ms = 0;                        // when it isn't expected any more
        std::vector<std::string> kept;
    };
    // What was brought in, and whether that was of use isn't known yet.
    struct Waiting {
        bool asked = false;
        std::int64_t until_ms = 0;
        std::vector<PartKey> parts;
    };
    using Lock = std::unique_lock<std::mutex>;

    void run(const std::stop_token &stop);
    void restore_habits();
    Lock when_restored();
    std::optional<Job> next_job(const Lock &held);
    std::optional<Job> best_guess(const Lock &held, std::int64_t now_ms);
    std::vector<std::string> kept_beside(const Lock &held, const AgentKey &key, double probability, std::int64_t now_ms) const;
    void wait_for_work(Lock &held, const std::stop_token &stop);
    void serve(Job job, const std::stop_token &stop);
    Result<void> preload(Job &job, const std::stop_token &stop);
    bool go_on(const std::stop_token &stop);
    void settle(const Lock &held, const AgentKey &key, bool used);
    void settle_old(const Lock &held);
    ManagerStats::Preloads &counts_of(const Waiting &waiting) { return waiting.asked ? counts_.asked : counts_.learned; }
    void write_habits();

    const Parts parts_;
    const Settings settings_;
    const Committed committed_;

    std::mutex mutex_;
    std::condition_variable_any changed_;
    // All below are guarded by mutex_
    std::map<std::string, TurnPredictor, std::less<>> predictors_;  // by tenant
    std::map<AgentKey, int> running_;                               // turns under way
    std::map<AgentKey, Waiting> waiting_;
    std::set<AgentKey> tried_;  // guesses that were made since the last turn of their tenant
    std::deque<Job> asked_;
    std::optional<AgentKey> reading_;
    bool overtaken_ = false;                          // a turn of the agent that is being read for has begun
    bool restored_ = false;                           // what was learned is back from the registry
    bool look_ = false;                               // a turn has been learned since the last look
    std::optional<std::int64_t> last_part_us_;        // when the last part of what is being read was begun
    std::optional<std::int64_t> unwritten_since_us_;  // habits that the registry doesn't have yet
    Counts counts_;

    std::jthread thread_;  // last: it uses all of the above
};

}  // namespace engram
