// Runs of workflows, durable: what was asked for, what each node has come to, and what happened when; in a SQLite file of its own
// (`workflows.db`) in the home folder. What `put` has been given is on disk when it returns.
//
// Thread-safe. Several processes may have the file open: whoever looks, and whoever asks for a run's end, needs no lock.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bounded_json.h"
#include "engram/error.h"
#include "sqlite/database.h"

namespace engram::workflow {

inline constexpr std::int64_t kKeptRuns = 1000;     // of a tenant, that have ended
inline constexpr std::int64_t kMaxEvents = 20'000;  // of a run; later ones aren't stored

struct RunKey {
    std::string tenant, id;
    auto operator<=>(const RunKey &) const = default;
};

enum class RunState : std::uint8_t {
    running,      // or its process died
    interrupted,  // its process was asked to stop
    waiting,      // for approvals, and for nothing else (approval.h)
    finished,
    failed,
    cancelled,
};
std::string_view run_state_name(RunState state);

struct RunRow {
    RunKey key;
    std::string name;        // of the workflow
    std::string file;        // by which messages name the definition
    std::string definition;  // YAML
    std::string inputs;      // a JSON object, complete
    RunState state = RunState::running;
    std::string error;    // of a failed one
    std::string outputs;  // a JSON object, of a finished one
    std::int64_t created_ms = 0, ended_ms = 0;
    bool cancel_asked = false;
};

enum class StepState : std::uint8_t {
    running,
    answered,  // the result is there, and the agent hasn't gone on from its fork yet
    waiting,   // in its fork, for a person's approval (approval.h)
    finished,
    failed,
    skipped,
};
std::string_view step_state_name(StepState state);

inline constexpr std::int64_t kWholeNode = -1;

// A node, or one element of a node with for_each.
struct StepRow {
    std::string node;
    std::int64_t item = kWholeNode;
    StepState state = StepState::running;
    std::uint32_t attempts = 0;
    std::string agent;  // who has it
    std::string text;   // the result
    std::string error;
    std::int64_t started_ms = 0, ended_ms = 0;
};

enum class EventKind : std::uint8_t { run, started, text, waiting, attempt_failed, finished, failed, skipped };
std::string_view event_kind_name(EventKind kind);

struct Event {
    EventKind kind = EventKind::run;
    std::string node = {};
    std::int64_t item = kWholeNode;
    std::string agent = {};
    std::uint32_t attempt = 0;
    std::string text = {};  // a piece of an answer; of kind `run`: the state
    std::string error = {};
    std::int64_t at_ms = 0;
    std::int64_t seq = 0;  // within the run, from 1; 0: it isn't stored
};
OrderedJson event_json(const Event &event);
OrderedJson run_json(const RunRow &run);  // without the definition
OrderedJson step_json(const StepRow &step);

class RunStore {
  public:
    // Creates the file when absent (0600). io, corrupt, incompatible, locked.
    static Result<std::unique_ptr<RunStore>> open(const std::filesystem::path &file);

    // Also removes the tenant's oldest ended runs beyond kKeptRuns. already_exists.
    Result<void> create(const RunRow &run);
    Result<RunRow> get(const RunKey &key);  // not_found
    // Newest first; definition, inputs and outputs are left out.
    Result<std::vector<RunRow>> list(std::string_view tenant, std::size_t limit);
    Result<std::vector<RunKey>> unfinished();  // of all tenants: running and interrupted ones, oldest first

    Result<std::vector<StepRow>> steps(const RunKey &key);
    Result<std::vector<Event>> events(const RunKey &key, std::int64_t after_seq);

    // Steps and events together; the events get their numbers. Steps replace those of the same node and item.
    Result<void> put(const RunKey &key, std::span<const StepRow> steps, std::span<Event> events);
    // The run's state, error, outputs and end, with its event.
    Result<void> put_state(const RunRow &run, Event &event);

    Result<void> ask_to_cancel(const RunKey &key);  // not_found
    Result<bool> cancel_asked(const RunKey &key);
    // One that was cancelled or has failed runs again, and what was asked for is taken back. Nothing happens to others.
    Result<void> reopen(const RunKey &key);

  private:
    explicit RunStore(sqlite::Database database) : database_(std::move(database)) {}
    Result<void> prepare();
    Result<void> put_events(const RunKey &key, std::span<Event> events);

    std::mutex mutex_;  // for all that follows
    sqlite::Database database_;
    sqlite::Statement insert_, get_, list_, unfinished_, steps_, events_, put_step_, last_event_, put_event_, put_state_, cancel_,
        cancel_asked_, reopen_, old_, remove_, remove_steps_, remove_events_;
};

}  // namespace engram::workflow
