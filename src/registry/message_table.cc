#include "registry/message_table.h"

#include <algorithm>
#include <format>
#include <ranges>

#include "sqlite/row_checksum.h"

namespace engram {
namespace {

std::int64_t checksum_of(std::int64_t agent, std::int64_t ordinal, const MessageRow &message) {
    return RowChecksum()
        .integer(agent)
        .integer(ordinal)
        .integer(message.created_ms)
        .integer(static_cast<std::int64_t>(message.n_tokens))
        .text(message.prefix)
        .text(message.public_id)
        .text(message.role)
        .text(message.tool_call_id)
        .text(message.content)
        .text(message.tool_calls)
        .text(message.thinking)
        .value();
}

// An index that is damaged can only fail to find a message, or find one that its reader then sees to be another.
std::string find_by(std::string_view column) {
    return std::format(
        "SELECT a.id, m.ordinal FROM messages AS m JOIN agents AS a ON a.key = m.agent"
        " WHERE m.{0} = ?1 AND m.{0} <> '' AND a.tenant = ?2"
        " ORDER BY m.ordinal + 1 = a.n_messages DESC, a.last_used_ms DESC LIMIT 1",
        column);
}

}  // namespace

Result<MessageTable> MessageTable::open(sqlite::Database &database) {
    MessageTable table;
    ENGRAM_ASSIGN(
        table.read_,
        database.prepare("SELECT ordinal, created_ms, checksum, n_tokens, prefix, public_id, role, tool_call_id, content,"
                         " tool_calls, thinking FROM messages WHERE agent = ?1 ORDER BY ordinal"));
    ENGRAM_ASSIGN(table.insert_,
                  database.prepare("INSERT INTO messages (agent, ordinal, created_ms, checksum, n_tokens, prefix, public_id,"
                                   " role, tool_call_id, content, tool_calls, thinking)"
                                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"));
    ENGRAM_ASSIGN(table.by_prefix_, database.prepare(find_by("prefix")));
    ENGRAM_ASSIGN(table.by_public_id_, database.prepare(find_by("public_id")));
    ENGRAM_ASSIGN(table.truncate_, database.prepare("DELETE FROM messages WHERE agent = ?1 AND ordinal >= ?2"));
    return table;
}

Result<std::vector<MessageRow>> MessageTable::read(const StoredAgent &agent) {
    std::vector<MessageRow> rows;
    for (auto run = read_.run(agent.rowid);;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) break;
        const std::int64_t ordinal = run.integer(0);
        MessageRow message{.role = std::string(run.text(6)),
                           .content = std::string(run.text(8)),
                           .created_ms = run.integer(1),
                           .tool_calls = std::string(run.text(9)),
                           .tool_call_id = std::string(run.text(7)),
                           .thinking = std::string(run.text(10)),
                           .n_tokens = static_cast<std::uint64_t>(run.integer(3)),
                           .prefix = std::string(run.text(4)),
                           .public_id = std::string(run.text(5))};
        if (ordinal != static_cast<std::int64_t>(rows.size()) || checksum_of(agent.rowid, ordinal, message) != run.integer(2)) {
            return std::unexpected(
                damaged(agent.row.key, std::format("message {} of its transcript is damaged", rows.size()), kTruthAdvice));
        }
        rows.push_back(std::move(message));
    }
    // What ended before a compaction ended after other tokens than the agent has now.
    const auto compaction = std::ranges::find_last(rows, kCompactionRole, &MessageRow::role);
    if (!compaction.empty()) {
        for (MessageRow &message : std::ranges::subrange(rows.begin(), compaction.begin())) message.n_tokens = 0;
    }
    if (rows.size() == agent.row.n_messages) return rows;
    return std::unexpected(damaged(
        agent.row.key, std::format("its transcript has {} messages, {} were committed", rows.size(), agent.row.n_messages),
        kTruthAdvice));
}

Result<std::optional<MessagePlace>> MessageTable::find(sqlite::Statement &statement, std::string_view tenant,
                                                       std::string_view value) {
    auto run = statement.run(value, tenant);
    ENGRAM_ASSIGN(const bool found, run.next());
    if (!found) return std::nullopt;
    return MessagePlace{.key = {.tenant = std::string(tenant), .id = std::string(run.text(0))},
                        .ordinal = static_cast<std::uint64_t>(run.integer(1))};
}

Result<void> MessageTable::replace_tail(StoredAgent &agent, std::uint64_t keep, std::span<const MessageRow> added) {
    if (keep < agent.row.n_messages) ENGRAM_TRY(truncate_.run(agent.rowid, keep).finish());
    auto ordinal = static_cast<std::int64_t>(keep);
    for (const MessageRow &message : added) {
        ENGRAM_TRY(insert_
                       .run(agent.rowid, ordinal, message.created_ms, checksum_of(agent.rowid, ordinal, message),
                            message.n_tokens, message.prefix, message.public_id, message.role, message.tool_call_id,
                            message.content, message.tool_calls, message.thinking)
                       .finish());
        ++ordinal;
    }
    agent.row.n_messages = static_cast<std::uint64_t>(ordinal);
    return {};
}

}  // namespace engram
