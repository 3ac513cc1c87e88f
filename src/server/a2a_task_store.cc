#include "server/a2a_task_store.h"

#include <array>
#include <charconv>
#include <format>

#include "protocol/a2a/read.h"
#include "protocol/a2a/write.h"
#include "sqlite/database_file.h"
#include "sqlite/row_checksum.h"

namespace engram::server {
namespace {

using namespace protocol::a2a;
using protocol::Field;
using protocol::a2a::Message;  // not the transcript's

const std::array<std::string, 2> kMigrations{R"(
    CREATE TABLE tasks (
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        agent TEXT NOT NULL,
        context TEXT NOT NULL,
        memory TEXT NOT NULL,
        state TEXT NOT NULL,
        status_ms INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        body TEXT NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (tenant, id)
    ) STRICT;
    CREATE INDEX tasks_by_change ON tasks (tenant, status_ms, id);
    CREATE INDEX tasks_by_context ON tasks (tenant, context, status_ms, id);
    CREATE TABLE messages (
        tenant TEXT NOT NULL,
        task TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        message TEXT NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (tenant, task, ordinal)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE hooks (
        tenant TEXT NOT NULL,
        task TEXT NOT NULL,
        id TEXT NOT NULL,
        version TEXT NOT NULL,
        hook TEXT NOT NULL,
        PRIMARY KEY (tenant, task, id)
    ) STRICT, WITHOUT ROWID;
)",
                                             R"(
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        task TEXT NOT NULL,
        hook TEXT NOT NULL,
        version TEXT NOT NULL,
        config TEXT NOT NULL,
        body TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX outbox_by_hook ON outbox (tenant, task, hook);
)"};

constexpr std::size_t kMaxJsonBytes = 256UZ << 20U;
constexpr std::string_view kColumns = "tenant, id, agent, context, memory, state, status_ms, created_ms, body, checksum";
constexpr std::string_view kIdle = "state NOT IN ('TASK_STATE_SUBMITTED', 'TASK_STATE_WORKING')";

std::string dump(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

std::string body_of(const StoredTask &stored) {
    const Task &task = stored.task;
    OrderedJson body{{"artifacts", OrderedJson::array()}, {"metadata", task.metadata}, {"pending", stored.pending}};
    if (task.status.message) body["message"] = message_json(*task.status.message, WireVersion::v1_0);
    if (!stored.output_modes.empty()) body["outputModes"] = stored.output_modes;
    for (const Artifact &artifact : task.artifacts) body["artifacts"].push_back(artifact_json(artifact, WireVersion::v1_0));
    return dump(body);
}

std::int64_t checksum_of(const StoredTask &stored, std::string_view body) {
    return RowChecksum()
        .text(stored.tenant)
        .text(stored.task.id)
        .text(stored.agent)
        .text(stored.task.context_id)
        .text(stored.memory)
        .text(state_name(stored.task.status.state, WireVersion::v1_0))
        .integer(stored.task.status.time_ms)
        .integer(stored.created_ms)
        .text(body)
        .value();
}

std::int64_t checksum_of(std::string_view tenant, std::string_view task, std::int64_t ordinal, std::string_view message) {
    return RowChecksum().text(tenant).text(task).integer(ordinal).text(message).value();
}

std::string_view version_of(const PushConfig &hook) { return hook.dialect == WireVersion::v1_0 ? "1.0" : "0.3"; }

// Of a stored configuration; nothing: it is damaged.
std::optional<PushConfig> hook_of(std::string_view version, std::string_view config) {
    const auto json = parse_bounded_json(config, kMaxJsonBytes);
    if (!json) return std::nullopt;
    auto hook = read_new_push_config(Field(*json), version == "1.0" ? WireVersion::v1_0 : WireVersion::v0_3);
    if (!hook) return std::nullopt;
    return std::move(*hook);
}

// A row of the outbox.
struct OutboxRow {
    std::string_view tenant, task, hook, version, config, body;
    std::int64_t created_ms = 0;

    std::int64_t checksum() const {
        return RowChecksum().text(tenant).text(task).text(hook).text(version).text(config).text(body).integer(created_ms).value();
    }
};

Error damaged(std::string_view id) {
    return {
        .code = ErrorCode::corrupt,
        .message = std::format("what is stored of the task \"{}\" is damaged: it can't be shown; others are not affected", id)};
}

A2aResult<void> read_body(const Field &body, StoredTask &stored) {
    ENGRAM_ASSIGN(stored.pending, body["pending"].text_or(""));
    ENGRAM_ASSIGN(stored.task.metadata, body["metadata"].text_or(""));
    if (body["message"].present()) {
        ENGRAM_ASSIGN(stored.task.status.message, read_message(body["message"], WireVersion::v1_0));
    }
    if (body["outputModes"].present()) {
        for (const Field &element : body["outputModes"].elements()) {
            ENGRAM_ASSIGN(std::string mode, element.text());
            stored.output_modes.push_back(std::move(mode));
        }
    }
    for (const Field &element : body["artifacts"].elements()) {
        ENGRAM_ASSIGN(Artifact artifact, read_artifact(element, WireVersion::v1_0));
        stored.task.artifacts.push_back(std::move(artifact));
    }
    return {};
}

// Where a page ended: "status_ms.id".
struct Place {
    std::int64_t status_ms = INT64_MAX;
    std::string id;
};
Result<Place> place_of(const std::string &token) {
    if (token.empty()) return Place{};
    const std::size_t dot = token.find('.');
    Place place;
    const char *end = token.data() + std::min(dot, token.size());
    const auto [stopped, error] = std::from_chars(token.data(), end, place.status_ms);
    if (dot == std::string::npos || error != std::errc() || stopped != end) {
        return fail(ErrorCode::invalid_argument, "pageToken: must be a token that an earlier page ended with");
    }
    place.id = token.substr(dot + 1);
    return place;
}

}  // namespace

Result<std::unique_ptr<A2aTaskStore>> A2aTaskStore::open(const std::filesystem::path &file) {
    const sqlite::FileKind kind{.name = "the file of A2A tasks",
                                .holds = "tasks and their history",
                                .application_id = 0x456e6761,  // "Enga"
                                .migrations = kMigrations};
    ENGRAM_ASSIGN(sqlite::Database database, sqlite::open_file(file, kind));
    std::unique_ptr<A2aTaskStore> store(new A2aTaskStore(std::move(database)));
    ENGRAM_TRY(store->prepare());
    return store;
}

Result<void> A2aTaskStore::prepare() {
    const auto make = [this](sqlite::Statement &statement, const std::string &sql) -> Result<void> {
        ENGRAM_ASSIGN(statement, database_.prepare(sql));
        return {};
    };
    ENGRAM_TRY(make(create_, std::format("INSERT INTO tasks ({}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)", kColumns)));
    ENGRAM_TRY(make(update_,
                    "UPDATE tasks SET state = ?3, status_ms = ?4, body = ?5, checksum = ?6, memory = ?7"
                    " WHERE tenant = ?1 AND id = ?2"));
    ENGRAM_TRY(make(find_, std::format("SELECT {} FROM tasks WHERE tenant = ?1 AND id = ?2", kColumns)));
    ENGRAM_TRY(
        make(history_, "SELECT message, checksum, ordinal FROM messages WHERE tenant = ?1 AND task = ?2 ORDER BY ordinal"));
    ENGRAM_TRY(make(put_message_,
                    "INSERT OR REPLACE INTO messages (tenant, task, ordinal, message, checksum) VALUES (?1, ?2, ?3, ?4, ?5)"));
    ENGRAM_TRY(make(put_hook_, "INSERT OR REPLACE INTO hooks (tenant, task, id, version, hook) VALUES (?1, ?2, ?3, ?4, ?5)"));
    ENGRAM_TRY(make(hooks_, "SELECT version, hook FROM hooks WHERE tenant = ?1 AND task = ?2 ORDER BY id"));
    ENGRAM_TRY(make(remove_hook_, "DELETE FROM hooks WHERE tenant = ?1 AND task = ?2 AND id = ?3"));
    ENGRAM_TRY(make(put_notification_,
                    "INSERT INTO outbox (tenant, task, hook, version, config, body, created_ms, checksum)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id"));
    ENGRAM_TRY(make(waiting_, "SELECT id, tenant, task, hook, length(CAST(body AS BLOB)), created_ms FROM outbox ORDER BY id"));
    ENGRAM_TRY(
        make(notification_, "SELECT tenant, task, hook, version, config, body, created_ms, checksum FROM outbox WHERE id = ?1"));
    ENGRAM_TRY(make(remove_notification_, "DELETE FROM outbox WHERE id = ?1"));
    ENGRAM_TRY(make(remove_notifications_, "DELETE FROM outbox WHERE tenant = ?1 AND task = ?2 AND hook = ?3"));
    return make(unfinished_, std::format("SELECT {} FROM tasks WHERE state IN ('TASK_STATE_SUBMITTED', 'TASK_STATE_WORKING')"
                                         " ORDER BY status_ms, rowid",
                                         kColumns));
}

Result<void> A2aTaskStore::put_messages(const StoredTask &stored, std::size_t known) {
    const std::vector<Message> &history = stored.task.history;
    for (std::size_t i = known; i < history.size(); ++i) {
        const std::string text = dump(message_json(history[i], WireVersion::v1_0));
        const auto ordinal = static_cast<std::int64_t>(i);
        ENGRAM_TRY(
            put_message_
                .run(stored.tenant, stored.task.id, ordinal, text, checksum_of(stored.tenant, stored.task.id, ordinal, text))
                .finish());
    }
    return {};
}

Result<void> A2aTaskStore::create(const StoredTask &stored) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    const Task &task = stored.task;
    const std::string body = body_of(stored);
    ENGRAM_TRY(create_
                   .run(stored.tenant, task.id, stored.agent, task.context_id, stored.memory,
                        state_name(task.status.state, WireVersion::v1_0), task.status.time_ms, stored.created_ms, body,
                        checksum_of(stored, body))
                   .finish());
    ENGRAM_TRY(put_messages(stored, 0));
    return transaction.commit();
}

Result<void> A2aTaskStore::update(const StoredTask &stored, std::size_t known, std::span<A2aNotification> notifications) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    const std::string body = body_of(stored);
    ENGRAM_TRY(update_
                   .run(stored.tenant, stored.task.id, state_name(stored.task.status.state, WireVersion::v1_0),
                        stored.task.status.time_ms, body, checksum_of(stored, body), stored.memory)
                   .finish());
    ENGRAM_TRY(put_messages(stored, known));
    for (A2aNotification &notification : notifications) ENGRAM_TRY(put_notification(notification));
    return transaction.commit();
}

// The task of the row; nothing where it is damaged.
Result<std::optional<StoredTask>> A2aTaskStore::read(sqlite::Run &run, bool whole) {
    StoredTask stored{.tenant = std::string(run.text(0)),
                      .agent = std::string(run.text(2)),
                      .memory = std::string(run.text(4)),
                      .created_ms = run.integer(7)};
    stored.task.id = run.text(1);
    stored.task.context_id = run.text(3);
    stored.task.status.time_ms = run.integer(6);
    const auto state = state_from_name(run.text(5), WireVersion::v1_0);
    if (!state) return std::nullopt;
    stored.task.status.state = *state;
    const std::string_view text = run.text(8);
    if (run.integer(9) != checksum_of(stored, text)) return std::nullopt;
    const auto body = parse_bounded_json(text, kMaxJsonBytes);
    if (!body || !read_body(Field(*body), stored)) return std::nullopt;
    if (whole) {
        const auto read = read_history(stored);
        if (!read && read.error().code == ErrorCode::corrupt) return std::nullopt;
        ENGRAM_TRY(read);
    }
    return stored;
}

Result<void> A2aTaskStore::read_history(StoredTask &stored) {
    std::int64_t expected = 0;
    for (auto run = history_.run(stored.tenant, stored.task.id);; ++expected) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) return {};
        const std::string_view text = run.text(0);
        if (run.integer(2) != expected || run.integer(1) != checksum_of(stored.tenant, stored.task.id, expected, text)) {
            return std::unexpected(damaged(stored.task.id));
        }
        const auto json = parse_bounded_json(text, kMaxJsonBytes);
        if (!json) return std::unexpected(damaged(stored.task.id));
        auto message = read_message(Field(*json), WireVersion::v1_0);
        if (!message) return std::unexpected(damaged(stored.task.id));
        stored.task.history.push_back(std::move(*message));
    }
}

Result<std::optional<StoredTask>> A2aTaskStore::find(std::string_view tenant, std::string_view id) {
    const std::scoped_lock lock(mutex_);
    auto run = find_.run(tenant, id);
    ENGRAM_ASSIGN(const bool found, run.next());
    if (!found) return std::nullopt;
    ENGRAM_ASSIGN(auto stored, read(run, true));
    if (!stored) return std::unexpected(damaged(id));
    return stored;
}

Result<A2aTaskStore::Page> A2aTaskStore::list(const Query &query) {
    ENGRAM_ASSIGN(const Place from, place_of(query.list.page_token));
    const std::string state(query.list.state ? state_name(*query.list.state, WireVersion::v1_0) : "");
    const std::string which =
        "FROM tasks WHERE tenant = ?1 AND (?2 = 0 OR agent = ?3) AND (?4 = '' OR context = ?4) AND (?5 = '' OR state = ?5)"
        " AND status_ms >= ?6";
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::read));
    ENGRAM_ASSIGN(auto count, database_.prepare("SELECT count(*) " + which));
    ENGRAM_ASSIGN(auto select,
                  database_.prepare(std::format(
                      "SELECT {} {} AND (status_ms, id) < (?7, ?8) ORDER BY status_ms DESC, id DESC LIMIT ?9", kColumns, which)));
    const int by_agent = query.agent ? 1 : 0;
    const std::string agent = query.agent.value_or("");
    Page page;
    {
        auto run = count.run(query.tenant, by_agent, agent, query.list.context_id, state, query.list.changed_from_ms);
        ENGRAM_TRY(run.next());
        page.total = static_cast<std::uint64_t>(run.integer(0));
    }
    auto run = select.run(query.tenant, by_agent, agent, query.list.context_id, state, query.list.changed_from_ms, from.status_ms,
                          from.id, query.list.page_size + 1);
    for (std::uint32_t seen = 0;; ++seen) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) {
            page.next_token.clear();
            return page;
        }
        if (seen == query.list.page_size) return page;
        page.next_token = std::format("{}.{}", run.integer(6), run.text(1));
        ENGRAM_ASSIGN(auto stored, read(run, query.list.history_length != 0U));
        if (stored) page.tasks.push_back(std::move(*stored));
    }
}

Result<void> A2aTaskStore::put_hook(std::string_view tenant, const PushConfig &hook) {
    const std::scoped_lock lock(mutex_);
    return put_hook_.run(tenant, hook.task_id, hook.id, version_of(hook), dump(push_config_json(hook))).finish();
}

Result<std::vector<PushConfig>> A2aTaskStore::hooks(std::string_view tenant, std::string_view task) {
    const std::scoped_lock lock(mutex_);
    std::vector<PushConfig> list;
    for (auto run = hooks_.run(tenant, task);;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) return list;
        auto hook = hook_of(run.text(0), run.text(1));  // a damaged one is left out
        if (hook) list.push_back(std::move(*hook));
    }
}

Result<void> A2aTaskStore::remove_hook(std::string_view tenant, std::string_view task, std::string_view id) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    ENGRAM_TRY(remove_hook_.run(tenant, task, id).finish());
    ENGRAM_TRY(remove_notifications_.run(tenant, task, id).finish());
    return transaction.commit();
}

// --- what webhooks are to be told ---

Result<void> A2aTaskStore::put_notification(A2aNotification &notification) {
    const PushConfig &hook = notification.hook;
    const std::string config = dump(push_config_json(hook));
    const OutboxRow row{.tenant = notification.tenant,
                        .task = hook.task_id,
                        .hook = hook.id,
                        .version = version_of(hook),
                        .config = config,
                        .body = notification.body,
                        .created_ms = notification.created_ms};
    auto run =
        put_notification_.run(row.tenant, row.task, row.hook, row.version, row.config, row.body, row.created_ms, row.checksum());
    ENGRAM_TRY(run.next());
    notification.id = run.integer(0);
    return run.finish();
}

Result<std::vector<WaitingNotification>> A2aTaskStore::waiting_notifications() {
    const std::scoped_lock lock(mutex_);
    std::vector<WaitingNotification> all;
    for (auto run = waiting_.run();;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) return all;
        all.push_back({.id = run.integer(0),
                       .tenant = std::string(run.text(1)),
                       .task = std::string(run.text(2)),
                       .hook = std::string(run.text(3)),
                       .body_bytes = static_cast<std::uint64_t>(run.integer(4)),
                       .created_ms = run.integer(5)});
    }
}

Result<std::optional<A2aNotification>> A2aTaskStore::notification(std::int64_t id) {
    const std::scoped_lock lock(mutex_);
    auto run = notification_.run(id);
    ENGRAM_ASSIGN(const bool found, run.next());
    if (!found) return std::nullopt;
    const OutboxRow row{.tenant = run.text(0),
                        .task = run.text(1),
                        .hook = run.text(2),
                        .version = run.text(3),
                        .config = run.text(4),
                        .body = run.text(5),
                        .created_ms = run.integer(6)};
    auto hook = hook_of(row.version, row.config);
    if (run.integer(7) != row.checksum() || !hook) {
        return fail(ErrorCode::corrupt, std::format("a notification of the task \"{}\" is damaged: it can't be sent", row.task));
    }
    return A2aNotification{.id = id,
                           .tenant = std::string(row.tenant),
                           .hook = std::move(*hook),
                           .body = std::string(row.body),
                           .created_ms = row.created_ms};
}

Result<void> A2aTaskStore::remove_notification(std::int64_t id) {
    const std::scoped_lock lock(mutex_);
    return remove_notification_.run(id).finish();
}

Result<std::vector<StoredTask>> A2aTaskStore::unfinished() {
    const std::scoped_lock lock(mutex_);
    std::vector<StoredTask> tasks;
    for (auto run = unfinished_.run();;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) return tasks;
        ENGRAM_ASSIGN(auto stored, read(run, true));
        if (stored) tasks.push_back(std::move(*stored));
    }
}

Result<void> A2aTaskStore::remove_rows(const std::string &which) {
    ENGRAM_TRY(
        database_.execute(std::format("DELETE FROM messages WHERE (tenant, task) IN ({0});"
                                      " DELETE FROM hooks WHERE (tenant, task) IN ({0});"
                                      " DELETE FROM tasks WHERE (tenant, id) IN ({0});",
                                      which)));
    return {};
}

Result<void> A2aTaskStore::remove_old(std::int64_t status_before_ms) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    ENGRAM_TRY(remove_rows(std::format("SELECT tenant, id FROM tasks WHERE {} AND status_ms < {}", kIdle, status_before_ms)));
    ENGRAM_TRY(
        remove_rows(std::format("SELECT tenant, id FROM (SELECT tenant, id, row_number() OVER (PARTITION BY tenant"
                                " ORDER BY status_ms DESC, id DESC) AS place FROM tasks WHERE {}) WHERE place > {}",
                                kIdle, kMaxTasks)));
    return transaction.commit();
}

}  // namespace engram::server
