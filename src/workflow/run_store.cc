#include "workflow/run_store.h"

#include <algorithm>
#include <array>
#include <format>

#include "sqlite/database_file.h"
#include "workflow/approval.h"

namespace engram::workflow {
namespace {

const std::array<std::string, 1> kMigrations{R"(
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        file TEXT NOT NULL,
        definition TEXT NOT NULL,
        inputs TEXT NOT NULL,
        state TEXT NOT NULL,
        error TEXT NOT NULL,
        outputs TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        ended_ms INTEGER NOT NULL,
        cancel_asked INTEGER NOT NULL,
        UNIQUE (tenant, id)
    ) STRICT;
    CREATE TABLE steps (
        tenant TEXT NOT NULL,
        run TEXT NOT NULL,
        node TEXT NOT NULL,
        item INTEGER NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        agent TEXT NOT NULL,
        text TEXT NOT NULL,
        error TEXT NOT NULL,
        started_ms INTEGER NOT NULL,
        ended_ms INTEGER NOT NULL,
        PRIMARY KEY (tenant, run, node, item)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE events (
        tenant TEXT NOT NULL,
        run TEXT NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        node TEXT NOT NULL,
        item INTEGER NOT NULL,
        agent TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        text TEXT NOT NULL,
        error TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (tenant, run, seq)
    ) STRICT, WITHOUT ROWID;
)"};

constexpr auto kRunStates = std::to_array<std::pair<RunState, std::string_view>>({{RunState::running, "running"},
                                                                                  {RunState::interrupted, "interrupted"},
                                                                                  {RunState::waiting, "waiting"},
                                                                                  {RunState::finished, "finished"},
                                                                                  {RunState::failed, "failed"},
                                                                                  {RunState::cancelled, "cancelled"}});
constexpr auto kStepStates = std::to_array<std::pair<StepState, std::string_view>>({{StepState::running, "running"},
                                                                                    {StepState::answered, "answered"},
                                                                                    {StepState::waiting, "waiting"},
                                                                                    {StepState::finished, "finished"},
                                                                                    {StepState::failed, "failed"},
                                                                                    {StepState::skipped, "skipped"}});
constexpr auto kEventKinds = std::to_array<std::pair<EventKind, std::string_view>>({{EventKind::run, "run"},
                                                                                    {EventKind::started, "started"},
                                                                                    {EventKind::text, "text"},
                                                                                    {EventKind::waiting, "waiting"},
                                                                                    {EventKind::attempt_failed, "attempt_failed"},
                                                                                    {EventKind::finished, "finished"},
                                                                                    {EventKind::failed, "failed"},
                                                                                    {EventKind::skipped, "skipped"}});

template <typename Table, typename Value>
std::string_view name_in(const Table &table, Value value) {
    for (const auto &[known, name] : table) {
        if (known == value) return name;
    }
    return {};
}

template <typename Table>
auto value_in(const Table &table, std::string_view name) -> Result<decltype(table.front().first)> {
    for (const auto &[value, known] : table) {
        if (known == name) return value;
    }
    return fail(ErrorCode::corrupt, "the file of workflow runs holds a state that there isn't; restore the file from a backup");
}

Error no_run(const RunKey &key) {
    return {.code = ErrorCode::not_found,
            .message = std::format("there is no workflow run {}; `engram workflow list` shows those there are", key.id)};
}

Result<RunRow> run_at(const sqlite::Run &at) {
    RunRow row;
    row.key = {.tenant = std::string(at.text(0)), .id = std::string(at.text(1))};
    row.name = at.text(2);
    row.file = at.text(3);
    ENGRAM_ASSIGN(row.state, value_in(kRunStates, at.text(4)));
    row.error = at.text(5);
    row.created_ms = at.integer(6);
    row.ended_ms = at.integer(7);
    row.cancel_asked = at.integer(8) != 0;
    row.definition = at.text(9);
    row.inputs = at.text(10);
    row.outputs = at.text(11);
    return row;
}

OrderedJson json_or_null(const std::string &text) {
    if (text.empty()) return nullptr;
    OrderedJson json = OrderedJson::parse(text, nullptr, false);
    return json.is_discarded() ? OrderedJson(nullptr) : json;
}

}  // namespace

std::string_view run_state_name(RunState state) { return name_in(kRunStates, state); }
std::string_view step_state_name(StepState state) { return name_in(kStepStates, state); }
std::string_view event_kind_name(EventKind kind) { return name_in(kEventKinds, kind); }

OrderedJson event_json(const Event &event) {
    OrderedJson json{{"event", event_kind_name(event.kind)}};
    if (event.seq > 0) json["seq"] = event.seq;
    if (!event.node.empty()) json["node"] = event.node;
    if (event.item != kWholeNode) json["item"] = event.item;
    if (!event.agent.empty()) json["agent"] = event.agent;
    if (event.attempt > 0) json["attempt"] = event.attempt;
    if (event.kind == EventKind::run) {
        json["state"] = event.text;
    } else if (event.kind == EventKind::text) {
        json["text"] = event.text;
    }
    if (!event.error.empty()) json["error"] = event.error;
    json["at_ms"] = event.at_ms;
    return json;
}

OrderedJson run_json(const RunRow &run) {
    return {{"id", run.key.id},
            {"workflow", run.name},
            {"file", run.file},
            {"state", run_state_name(run.state)},
            {"error", run.error.empty() ? OrderedJson(nullptr) : OrderedJson(run.error)},
            {"inputs", json_or_null(run.inputs)},
            {"outputs", json_or_null(run.outputs)},
            {"created_ms", run.created_ms},
            {"ended_ms", run.ended_ms == 0 ? OrderedJson(nullptr) : OrderedJson(run.ended_ms)}};
}

OrderedJson step_json(const StepRow &step) {
    OrderedJson json{{"node", step.node}};
    if (step.item != kWholeNode) json["item"] = step.item;
    json["state"] = step_state_name(step.state);
    json["attempts"] = step.attempts;
    if (!step.agent.empty()) json["agent"] = step.agent;
    const bool waits = step.state == StepState::waiting;
    json["text"] = waits ? std::string() : step.text;
    if (waits) json["calls"] = calls_of(step);
    if (!step.error.empty()) json["error"] = step.error;
    json["started_ms"] = step.started_ms;
    json["ended_ms"] = step.ended_ms == 0 ? OrderedJson(nullptr) : OrderedJson(step.ended_ms);
    return json;
}

Result<std::unique_ptr<RunStore>> RunStore::open(const std::filesystem::path &file) {
    const sqlite::FileKind kind{.name = "the file of workflow runs",
                                .holds = "runs of workflows and their results",
                                .application_id = 0x456e6777,
                                .migrations = kMigrations};
    ENGRAM_ASSIGN(sqlite::Database database, sqlite::open_file(file, kind));
    std::unique_ptr<RunStore> store(new RunStore(std::move(database)));
    ENGRAM_TRY(store->prepare());
    return store;
}

Result<void> RunStore::prepare() {
    const std::pair<sqlite::Statement *, std::string_view> statements[] = {
        {&insert_,
         "INSERT INTO runs (tenant, id, name, file, definition, inputs, state, error, outputs, created_ms, ended_ms,"
         " cancel_asked) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '', '', ?8, 0, 0) ON CONFLICT DO NOTHING RETURNING 1"},
        {&get_,
         "SELECT tenant, id, name, file, state, error, created_ms, ended_ms, cancel_asked, definition, inputs, outputs"
         " FROM runs WHERE tenant = ?1 AND id = ?2"},
        {&list_,
         "SELECT tenant, id, name, file, state, error, created_ms, ended_ms, cancel_asked, '', '', '' FROM runs"
         " WHERE tenant = ?1 ORDER BY number DESC LIMIT ?2"},
        {&unfinished_, "SELECT tenant, id FROM runs WHERE state IN ('running', 'interrupted') ORDER BY number"},
        {&steps_,
         "SELECT node, item, state, attempts, agent, text, error, started_ms, ended_ms FROM steps"
         " WHERE tenant = ?1 AND run = ?2 ORDER BY started_ms, node, item"},
        {&events_,
         "SELECT seq, kind, node, item, agent, attempt, text, error, at_ms FROM events"
         " WHERE tenant = ?1 AND run = ?2 AND seq > ?3 ORDER BY seq"},
        {&put_step_,
         "INSERT OR REPLACE INTO steps (tenant, run, node, item, state, attempts, agent, text, error, started_ms,"
         " ended_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"},
        {&last_event_, "SELECT ifnull(max(seq), 0) FROM events WHERE tenant = ?1 AND run = ?2"},
        {&put_event_,
         "INSERT INTO events (tenant, run, seq, kind, node, item, agent, attempt, text, error, at_ms)"
         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"},
        {&put_state_, "UPDATE runs SET state = ?3, error = ?4, outputs = ?5, ended_ms = ?6 WHERE tenant = ?1 AND id = ?2"},
        {&cancel_, "UPDATE runs SET cancel_asked = 1 WHERE tenant = ?1 AND id = ?2 RETURNING 1"},
        {&reopen_,
         "UPDATE runs SET cancel_asked = 0, state = 'running', error = '', ended_ms = 0"
         " WHERE tenant = ?1 AND id = ?2 AND state IN ('cancelled', 'failed')"},
        {&cancel_asked_, "SELECT cancel_asked FROM runs WHERE tenant = ?1 AND id = ?2"},
        {&old_,
         "SELECT id FROM runs WHERE tenant = ?1 AND state NOT IN ('running', 'interrupted', 'waiting') ORDER BY number DESC"
         " LIMIT -1 OFFSET ?2"},
        {&remove_, "DELETE FROM runs WHERE tenant = ?1 AND id = ?2"},
        {&remove_steps_, "DELETE FROM steps WHERE tenant = ?1 AND run = ?2"},
        {&remove_events_, "DELETE FROM events WHERE tenant = ?1 AND run = ?2"},
    };
    for (const auto &[statement, sql] : statements) {
        ENGRAM_ASSIGN(*statement, database_.prepare(sql));
    }
    return {};
}

Result<void> RunStore::create(const RunRow &run) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    {
        auto at = insert_.run(run.key.tenant, run.key.id, run.name, run.file, run.definition, run.inputs,
                              run_state_name(run.state), run.created_ms);
        ENGRAM_ASSIGN(const bool is_new, at.next());
        if (!is_new) return fail(ErrorCode::already_exists, std::format("there is already a workflow run {}", run.key.id));
        ENGRAM_TRY(at.finish());
    }
    std::vector<std::string> old;
    for (auto at = old_.run(run.key.tenant, kKeptRuns);;) {
        ENGRAM_ASSIGN(const bool more, at.next());
        if (!more) break;
        old.emplace_back(at.text(0));
    }
    for (const std::string &id : old) {
        ENGRAM_TRY(remove_steps_.run(run.key.tenant, id).finish());
        ENGRAM_TRY(remove_events_.run(run.key.tenant, id).finish());
        ENGRAM_TRY(remove_.run(run.key.tenant, id).finish());
    }
    return transaction.commit();
}

Result<RunRow> RunStore::get(const RunKey &key) {
    const std::scoped_lock lock(mutex_);
    auto at = get_.run(key.tenant, key.id);
    ENGRAM_ASSIGN(const bool found, at.next());
    if (!found) return std::unexpected(no_run(key));
    return run_at(at);
}

Result<std::vector<RunRow>> RunStore::list(std::string_view tenant, std::size_t limit) {
    const std::scoped_lock lock(mutex_);
    std::vector<RunRow> rows;
    for (auto at = list_.run(tenant, static_cast<std::int64_t>(limit));;) {
        ENGRAM_ASSIGN(const bool more, at.next());
        if (!more) return rows;
        ENGRAM_ASSIGN(RunRow row, run_at(at));
        rows.push_back(std::move(row));
    }
}

Result<std::vector<RunKey>> RunStore::unfinished() {
    const std::scoped_lock lock(mutex_);
    std::vector<RunKey> keys;
    for (auto at = unfinished_.run();;) {
        ENGRAM_ASSIGN(const bool more, at.next());
        if (!more) return keys;
        keys.push_back({.tenant = std::string(at.text(0)), .id = std::string(at.text(1))});
    }
}

Result<std::vector<StepRow>> RunStore::steps(const RunKey &key) {
    const std::scoped_lock lock(mutex_);
    std::vector<StepRow> rows;
    for (auto at = steps_.run(key.tenant, key.id);;) {
        ENGRAM_ASSIGN(const bool more, at.next());
        if (!more) return rows;
        StepRow row;
        row.node = at.text(0);
        row.item = at.integer(1);
        ENGRAM_ASSIGN(row.state, value_in(kStepStates, at.text(2)));
        row.attempts = static_cast<std::uint32_t>(at.integer(3));
        row.agent = at.text(4);
        row.text = at.text(5);
        row.error = at.text(6);
        row.started_ms = at.integer(7);
        row.ended_ms = at.integer(8);
        rows.push_back(std::move(row));
    }
}

Result<std::vector<Event>> RunStore::events(const RunKey &key, std::int64_t after_seq) {
    const std::scoped_lock lock(mutex_);
    std::vector<Event> events;
    for (auto at = events_.run(key.tenant, key.id, after_seq);;) {
        ENGRAM_ASSIGN(const bool more, at.next());
        if (!more) return events;
        Event event;
        event.seq = at.integer(0);
        ENGRAM_ASSIGN(event.kind, value_in(kEventKinds, at.text(1)));
        event.node = at.text(2);
        event.item = at.integer(3);
        event.agent = at.text(4);
        event.attempt = static_cast<std::uint32_t>(at.integer(5));
        event.text = at.text(6);
        event.error = at.text(7);
        event.at_ms = at.integer(8);
        events.push_back(std::move(event));
    }
}

Result<void> RunStore::put_events(const RunKey &key, std::span<Event> events) {
    std::int64_t last = 0;
    {
        auto at = last_event_.run(key.tenant, key.id);
        ENGRAM_TRY(at.next());
        last = at.integer(0);
    }
    for (Event &event : events) {
        if (last >= kMaxEvents) return {};
        event.seq = ++last;
        ENGRAM_TRY(put_event_
                       .run(key.tenant, key.id, event.seq, event_kind_name(event.kind), event.node, event.item, event.agent,
                            event.attempt, event.text, event.error, event.at_ms)
                       .finish());
    }
    return {};
}

Result<void> RunStore::put(const RunKey &key, std::span<const StepRow> steps, std::span<Event> events) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    for (const StepRow &step : steps) {
        ENGRAM_TRY(put_step_
                       .run(key.tenant, key.id, step.node, step.item, step_state_name(step.state), step.attempts, step.agent,
                            step.text, step.error, step.started_ms, step.ended_ms)
                       .finish());
    }
    ENGRAM_TRY(put_events(key, events));
    return transaction.commit();
}

Result<void> RunStore::put_state(const RunRow &run, Event &event) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    ENGRAM_TRY(
        put_state_.run(run.key.tenant, run.key.id, run_state_name(run.state), run.error, run.outputs, run.ended_ms).finish());
    ENGRAM_TRY(put_events(run.key, std::span(&event, 1)));
    return transaction.commit();
}

Result<void> RunStore::ask_to_cancel(const RunKey &key) {
    const std::scoped_lock lock(mutex_);
    auto at = cancel_.run(key.tenant, key.id);
    ENGRAM_ASSIGN(const bool found, at.next());
    if (!found) return std::unexpected(no_run(key));
    return at.finish();
}

Result<void> RunStore::reopen(const RunKey &key) {
    const std::scoped_lock lock(mutex_);
    return reopen_.run(key.tenant, key.id).finish();
}

Result<bool> RunStore::cancel_asked(const RunKey &key) {
    const std::scoped_lock lock(mutex_);
    auto at = cancel_asked_.run(key.tenant, key.id);
    ENGRAM_ASSIGN(const bool found, at.next());
    return found && at.integer(0) != 0;
}

}  // namespace engram::workflow
