#include "registry/agent_table.h"

#include <algorithm>
#include <format>

#include "sqlite/row_checksum.h"

namespace engram {
namespace {

std::string_view kind_name(AgentKind kind) { return kind == AgentKind::conversation ? "conversation" : "agent"; }

std::int64_t checksum_of(const StoredAgent &agent) {
    const AgentRow &row = agent.row;
    RowChecksum checksum;
    checksum.integer(agent.rowid)
        .text(row.key.tenant)
        .text(row.key.id)
        .integer(row.created_ms)
        .integer(row.updated_ms)
        .integer(row.last_used_ms)
        .integer(row.pinned ? 1 : 0)
        .integer(static_cast<std::int64_t>(row.n_tokens))
        .integer(static_cast<std::int64_t>(row.n_messages))
        .integer(static_cast<std::int64_t>(row.n_turns))
        .text(row.model)
        .text(row.vocabulary)
        .text(row.forked_from)
        .text(row.description)
        .text(row.system_prompt)
        .text(row.tools)
        .text(kind_name(row.kind))
        .text(row.session)
        .integer(row.expires_ms);
    // Rows from before these columns have a checksum without them.
    if (row.retention != Retention::standard) checksum.text(retention_name(row.retention));
    if (!row.card.empty()) checksum.text("card").text(row.card);
    if (row.forked_at != kForkedBefore) checksum.text("forked at").integer(row.forked_at);
    return checksum.value();
}

// For insert_ and update_, which number their parameters alike.
Result<void> write_row(sqlite::Statement &statement, const StoredAgent &agent) {
    const AgentRow &row = agent.row;
    return statement
        .run(row.key.tenant, row.key.id, row.created_ms, row.updated_ms, row.last_used_ms, row.pinned ? 1 : 0, row.n_tokens,
             row.n_messages, row.n_turns, checksum_of(agent), row.model, row.vocabulary, row.forked_from, row.description,
             row.system_prompt, row.tools, kind_name(row.kind), row.session, row.expires_ms, retention_name(row.retention),
             row.card, row.forked_at, agent.rowid)
        .finish();
}

}  // namespace

Error damaged(const AgentKey &key, std::string_view what, std::string_view advice) {
    return Error{.code = ErrorCode::corrupt,
                 .message = std::format("agent {} of tenant {}: {}; {}", key.id, key.tenant, what, advice)};
}

ReadAgent agent_of(const sqlite::Run &run) {
    ReadAgent read;
    read.agent.rowid = run.integer(0);
    AgentRow &row = read.agent.row;
    row.key = {.tenant = std::string(run.text(1)), .id = std::string(run.text(2))};
    row.created_ms = run.integer(3);
    row.updated_ms = run.integer(4);
    row.last_used_ms = run.integer(5);
    row.pinned = run.integer(6) != 0;
    row.n_tokens = static_cast<std::uint64_t>(run.integer(7));
    row.n_messages = static_cast<std::uint64_t>(run.integer(8));
    row.n_turns = static_cast<std::uint64_t>(run.integer(9));
    row.model = run.text(11);
    row.vocabulary = run.text(12);
    row.forked_from = run.text(13);
    row.description = run.text(14);
    row.system_prompt = run.text(15);
    row.tools = run.text(16);
    row.kind = run.text(17) == kind_name(AgentKind::conversation) ? AgentKind::conversation : AgentKind::agent;
    row.session = run.text(18);
    row.expires_ms = run.integer(19);
    const auto retention = retention_from_name(run.text(20));
    row.retention = retention.value_or(Retention::standard);
    row.card = run.text(21);
    row.forked_at = run.integer(22);
    read.intact = checksum_of(read.agent) == run.integer(10) && run.text(17) == kind_name(row.kind) && retention.has_value();
    return read;
}

Result<AgentTable> AgentTable::open(sqlite::Database &database) {
    AgentTable table;
    // The name is looked up in the index, and compared with the row that the index leads to.
    ENGRAM_ASSIGN(table.indexed_, database.prepare("SELECT i.key, a.tenant, a.id FROM agents AS i LEFT JOIN agents AS a"
                                                   " ON a.key = i.key WHERE i.tenant = ?1 AND i.id = ?2"));
    ENGRAM_ASSIGN(table.scanned_, database.prepare("SELECT key FROM agents NOT INDEXED WHERE tenant = ?1 AND id = ?2"));
    ENGRAM_ASSIGN(table.read_, database.prepare(std::format("SELECT {} FROM agents AS a WHERE a.key = ?1", kAgentColumns)));
    ENGRAM_ASSIGN(table.next_rowid_, database.prepare("SELECT ifnull(max(key), 0) + 1 FROM agents"));
    ENGRAM_ASSIGN(
        table.insert_,
        database.prepare(
            "INSERT INTO agents (tenant, id, created_ms, updated_ms, last_used_ms, pinned, n_tokens,"
            " n_messages, n_turns, checksum, model, vocabulary, forked_from, description,"
            " system_prompt, tools, kind, session, expires_ms, retention, card, forked_at, key) VALUES (?1,?2,?3,?4,?5,?6,?7,"
            " ?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23)"));
    ENGRAM_ASSIGN(table.update_,
                  database.prepare("UPDATE agents SET tenant = ?1, id = ?2, created_ms = ?3, updated_ms = ?4,"
                                   " last_used_ms = ?5, pinned = ?6, n_tokens = ?7, n_messages = ?8, n_turns = ?9,"
                                   " checksum = ?10, model = ?11, vocabulary = ?12, forked_from = ?13,"
                                   " description = ?14, system_prompt = ?15, tools = ?16, kind = ?17, session = ?18,"
                                   " expires_ms = ?19, retention = ?20, card = ?21, forked_at = ?22 WHERE key = ?23"));
    ENGRAM_ASSIGN(table.remove_, database.prepare("DELETE FROM agents WHERE key = ?1"));
    ENGRAM_ASSIGN(table.list_,
                  database.prepare(std::format("SELECT {} FROM agents AS a NOT INDEXED WHERE ?1 = '' OR a.tenant = ?1"
                                               " ORDER BY a.id, a.tenant",
                                               kAgentColumns)));
    ENGRAM_ASSIGN(table.count_, database.prepare("SELECT count(*) FROM agents INDEXED BY sqlite_autoindex_agents_1"
                                                 " WHERE ?1 = '' OR tenant = ?1"));
    ENGRAM_ASSIGN(table.expired_,
                  database.prepare("SELECT tenant, id FROM agents WHERE kind = 'conversation' AND pinned = 0 AND expires_ms > 0"
                                   " AND expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2"));
    ENGRAM_ASSIGN(table.used_last_,
                  database.prepare(std::format("SELECT {} FROM agents AS a INDEXED BY agents_by_use WHERE a.tenant = ?1"
                                               " AND a.vocabulary = ?2 AND a.n_tokens > 0 AND (?3 = 0 OR a.kind = 'conversation')"
                                               " ORDER BY a.last_used_ms DESC LIMIT ?4",
                                               kAgentColumns)));
    return table;
}

Result<std::optional<std::int64_t>> AgentTable::look_up(const AgentKey &key) {
    bool indexed = false;
    for (auto run = indexed_.run(key.tenant, key.id);;) {
        ENGRAM_ASSIGN(const bool found, run.next());
        if (!found) break;
        if (run.text(1) == key.tenant && run.text(2) == key.id) return run.integer(0);
        indexed = true;
    }
    // A name that isn't free must never look free, nor lead to another agent: the index is only believed when it finds something.
    auto run = scanned_.run(key.tenant, key.id);
    ENGRAM_ASSIGN(const bool found, run.next());
    if (found) return run.integer(0);
    if (indexed) return std::unexpected(damaged(key, "its row in the registry is missing", kFileAdvice));
    return std::nullopt;
}

Result<std::int64_t> AgentTable::rowid(const AgentKey &key) {
    ENGRAM_ASSIGN(const std::optional<std::int64_t> found, look_up(key));
    if (found) return *found;
    ENGRAM_TRY(validate_tenant_id(key.tenant));
    ENGRAM_TRY(validate_agent_id(key.id));
    return fail(ErrorCode::not_found, std::format("there is no agent {} of tenant {}", key.id, key.tenant));
}

Result<StoredAgent> AgentTable::find(const AgentKey &key) {
    ENGRAM_ASSIGN(const std::int64_t rowid, this->rowid(key));
    auto run = read_.run(rowid);
    ENGRAM_ASSIGN(const bool found, run.next());
    if (!found) return std::unexpected(damaged(key, "its row in the registry is missing", kFileAdvice));
    ReadAgent read = agent_of(run);
    if (!read.intact || read.agent.row.key != key) {
        return std::unexpected(damaged(key, "its row in the registry doesn't match its checksum", kTruthAdvice));
    }
    return std::move(read.agent);
}

Result<void> AgentTable::check_free(const AgentKey &key) {
    ENGRAM_TRY(validate_tenant_id(key.tenant));
    ENGRAM_TRY(validate_agent_id(key.id));
    ENGRAM_ASSIGN(const std::optional<std::int64_t> taken, look_up(key));
    if (!taken) return {};
    return fail(ErrorCode::already_exists,
                std::format("there is already an agent {} of tenant {}; choose another id", key.id, key.tenant));
}

Result<std::int64_t> AgentTable::insert(const AgentRow &row) {
    ENGRAM_TRY(check_free(row.key));
    auto next = next_rowid_.run();
    ENGRAM_TRY(next.next());
    const StoredAgent agent{.rowid = next.integer(0), .row = row};
    ENGRAM_TRY(write_row(insert_, agent));
    return agent.rowid;
}

Result<void> AgentTable::update(const StoredAgent &agent) { return write_row(update_, agent); }

Result<void> AgentTable::rename(StoredAgent &agent, std::string_view new_id) {
    AgentKey key{.tenant = agent.row.key.tenant, .id = std::string(new_id)};
    ENGRAM_TRY(check_free(key));
    agent.row.key = std::move(key);
    return update(agent);
}

Result<void> AgentTable::remove(std::int64_t rowid) { return remove_.run(rowid).finish(); }

Result<std::vector<AgentRow>> AgentTable::list(std::string_view tenant) {
    std::vector<AgentRow> rows;
    for (auto run = list_.run(tenant);;) {
        ENGRAM_ASSIGN(const bool row, run.next());
        if (!row) break;
        ReadAgent read = agent_of(run);
        rows.push_back(read.intact ? std::move(read.agent.row) : damaged_row(std::move(read.agent.row.key)));
    }
    auto count = count_.run(tenant);
    ENGRAM_TRY(count.next());
    const bool twice = std::ranges::adjacent_find(rows, {}, &AgentRow::key) != rows.end();
    if (twice || count.integer(0) != static_cast<std::int64_t>(rows.size())) {
        return fail(ErrorCode::corrupt,
                    std::format("the registry's list of agents and its index of their names differ; {}", kFileAdvice));
    }
    return rows;
}

Result<std::vector<AgentKey>> AgentTable::expired(std::int64_t now_ms, std::size_t limit) {
    std::vector<AgentKey> keys;
    for (auto run = expired_.run(now_ms, static_cast<std::uint64_t>(limit));;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) return keys;
        keys.push_back({.tenant = std::string(run.text(0)), .id = std::string(run.text(1))});
    }
}

// A damaged row, or one that a damaged index leads to, is left out.
Result<std::vector<AgentRow>> AgentTable::used_last(std::string_view tenant, const Registry::UsedLast &which) {
    std::vector<AgentRow> rows;
    const std::int64_t unnamed = which.unnamed_only ? 1 : 0;
    for (auto run = used_last_.run(tenant, which.vocabulary, unnamed, static_cast<std::uint64_t>(which.limit));;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) return rows;
        ReadAgent read = agent_of(run);
        if (read.intact && read.agent.row.key.tenant == tenant) rows.push_back(std::move(read.agent.row));
    }
}

AgentRow damaged_row(AgentKey key) {
    AgentRow row{.key = std::move(key)};
    row.description = "(damaged in the registry; delete it, or delete it and import it from an export)";
    return row;
}

}  // namespace engram
