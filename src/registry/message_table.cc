#include "registry/message_table.h"

#include <format>

#include "registry/row_checksum.h"

namespace engram {
namespace {

std::int64_t checksum_of(std::int64_t agent, std::int64_t ordinal, const MessageRow &message) {
    return RowChecksum()
        .integer(agent)
        .integer(ordinal)
        .integer(message.created_ms)
        .text(message.role)
        .text(message.content)
        .text(message.tool_calls)
        .value();
}

}  // namespace

Result<MessageTable> MessageTable::open(sqlite::Database &database) {
    MessageTable table;
    ENGRAM_ASSIGN(
        table.read_,
        database.prepare("SELECT ordinal, created_ms, checksum, role, content, tool_calls FROM messages WHERE agent = ?1"
                         " ORDER BY ordinal"));
    ENGRAM_ASSIGN(table.insert_, database.prepare("INSERT INTO messages (agent, ordinal, created_ms, checksum, role, content,"
                                                  " tool_calls) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
    ENGRAM_ASSIGN(table.truncate_, database.prepare("DELETE FROM messages WHERE agent = ?1 AND ordinal >= ?2"));
    return table;
}

Result<std::vector<MessageRow>> MessageTable::read(const StoredAgent &agent) {
    std::vector<MessageRow> rows;
    for (auto run = read_.run(agent.rowid);;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) break;
        const std::int64_t ordinal = run.integer(0);
        MessageRow message{.role = std::string(run.text(3)),
                           .content = std::string(run.text(4)),
                           .created_ms = run.integer(1),
                           .tool_calls = std::string(run.text(5))};
        if (ordinal != static_cast<std::int64_t>(rows.size()) || checksum_of(agent.rowid, ordinal, message) != run.integer(2)) {
            return std::unexpected(
                damaged(agent.row.key, std::format("message {} of its transcript is damaged", rows.size()), kTruthAdvice));
        }
        rows.push_back(std::move(message));
    }
    if (rows.size() == agent.row.n_messages) return rows;
    return std::unexpected(damaged(
        agent.row.key, std::format("its transcript has {} messages, {} were committed", rows.size(), agent.row.n_messages),
        kTruthAdvice));
}

Result<void> MessageTable::replace_tail(StoredAgent &agent, std::uint64_t keep, std::span<const MessageRow> added) {
    if (keep < agent.row.n_messages) ENGRAM_TRY(truncate_.run(agent.rowid, keep).finish());
    auto ordinal = static_cast<std::int64_t>(keep);
    for (const MessageRow &message : added) {
        ENGRAM_TRY(insert_
                       .run(agent.rowid, ordinal, message.created_ms, checksum_of(agent.rowid, ordinal, message), message.role,
                            message.content, message.tool_calls)
                       .finish());
        ++ordinal;
    }
    agent.row.n_messages = static_cast<std::uint64_t>(ordinal);
    return {};
}

}  // namespace engram
