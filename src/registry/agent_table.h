// The rows of table `agents`: one for each agent, with its counters.
//
// Threads: as sqlite::Statement. Callers open the transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "registry/registry.h"
#include "sqlite/database.h"

namespace engram {

struct StoredAgent {
    std::int64_t rowid = 0;  // names the agent in the other tables
    AgentRow row;
};

// The error for a damaged row of an agent: `what` was found wrong, `advice` is what the user can do.
Error damaged(const AgentKey &key, std::string_view what, std::string_view advice);

// The advice where the agent's own truth (row, messages, tokens) is damaged.
inline constexpr std::string_view kTruthAdvice =
    "other agents are not affected; delete this one, or delete it and import it from an export";

// The advice where rows can't be found, so that deleting and importing an agent wouldn't help.
inline constexpr std::string_view kFileAdvice = "restore the file from a backup, or try `sqlite3 FILE .recover`";

// Columns of an agent, in the order that agent_of reads them, for queries over `agents AS a`.
inline constexpr std::string_view kAgentColumns =
    "a.key, a.tenant, a.id, a.created_ms, a.updated_ms, a.last_used_ms, a.pinned, a.n_tokens, a.n_messages, a.n_turns, "
    "a.checksum,"
    " a.model, a.vocabulary, a.forked_from, a.description, a.system_prompt, a.tools, a.kind, a.session, a.expires_ms, "
    "a.retention, a.card, a.forked_at";
inline constexpr int kAgentColumnCount = 23;

// The agent at the query's current row. `intact` is false when the checksum doesn't match; then only the key means something.
struct ReadAgent {
    StoredAgent agent;
    bool intact = false;
};
ReadAgent agent_of(const sqlite::Run &run);

// What is shown of a damaged row: its key, zeros, and a description that says so. What is listed can be removed.
AgentRow damaged_row(AgentKey key);

class AgentTable {
  public:
    static Result<AgentTable> open(sqlite::Database &database);

    Result<std::int64_t> rowid(const AgentKey &key);  // not_found, or invalid_argument for a name that no agent can have
    Result<StoredAgent> find(const AgentKey &key);    // the same, and corrupt

    Result<std::int64_t> insert(const AgentRow &row);                  // already_exists, invalid_argument
    Result<void> update(const StoredAgent &agent);                     // its whole row; its key must be unchanged
    Result<void> rename(StoredAgent &agent, std::string_view new_id);  // already_exists, invalid_argument
    Result<void> remove(std::int64_t rowid);                           // and all rows of other tables that belong to it

    // By id, then tenant; an empty tenant means all. A damaged row is listed as damaged_row; corrupt when one is missing.
    Result<std::vector<AgentRow>> list(std::string_view tenant);
    Result<std::vector<AgentKey>> expired(std::int64_t now_ms, std::size_t limit);
    Result<std::vector<AgentRow>> used_last(std::string_view tenant, const Registry::UsedLast &which);

  private:
    Result<std::optional<std::int64_t>> look_up(const AgentKey &key);
    Result<void> check_free(const AgentKey &key);

    sqlite::Statement indexed_, scanned_, read_, next_rowid_, insert_, update_, remove_, list_, count_, expired_, used_last_;
};

}  // namespace engram
