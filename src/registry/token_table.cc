#include "registry/token_table.h"

#include <bit>
#include <cstring>
#include <format>

#include "sqlite/row_checksum.h"

namespace engram {
namespace {

static_assert(std::endian::native == std::endian::little, "token runs hold little-endian integers");

std::int64_t checksum_of(std::int64_t agent, std::int64_t first, std::span<const std::byte> tokens) {
    return RowChecksum().integer(agent).integer(first).blob(tokens).value();
}

// A run of the agent as a query's current row has it: first, checksum, tokens.
bool intact(const StoredAgent &agent, const sqlite::Run &run) {
    const auto bytes = run.blob(2);
    return !bytes.empty() && bytes.size() % sizeof(Token) == 0 &&
           checksum_of(agent.rowid, run.integer(0), bytes) == run.integer(1);
}

void append_tokens(std::vector<Token> &tokens, std::span<const std::byte> bytes) {
    const std::size_t before = tokens.size();
    tokens.resize(before + bytes.size() / sizeof(Token));
    std::memcpy(tokens.data() + before, bytes.data(), bytes.size());
}

Error damaged_run(const StoredAgent &agent, std::uint64_t first) {
    return damaged(agent.row.key, std::format("its tokens from {} on are damaged or missing", first), kTruthAdvice);
}

}  // namespace

Result<TokenTable> TokenTable::open(sqlite::Database &database) {
    TokenTable table;
    ENGRAM_ASSIGN(table.read_,
                  database.prepare("SELECT first, checksum, tokens FROM token_runs WHERE agent = ?1 ORDER BY first"));
    ENGRAM_ASSIGN(table.last_before_,
                  database.prepare("SELECT first, checksum, tokens FROM token_runs WHERE agent = ?1 AND first < ?2"
                                   " ORDER BY first DESC LIMIT 1"));
    ENGRAM_ASSIGN(table.insert_,
                  database.prepare("INSERT INTO token_runs (agent, first, checksum, tokens) VALUES (?1, ?2, ?3, ?4)"));
    ENGRAM_ASSIGN(table.truncate_, database.prepare("DELETE FROM token_runs WHERE agent = ?1 AND first >= ?2"));
    ENGRAM_ASSIGN(table.count_, database.prepare("SELECT count(*) FROM token_runs WHERE agent = ?1"));
    return table;
}

Result<std::vector<Token>> TokenTable::read(const StoredAgent &agent) {
    std::vector<Token> tokens;
    for (auto run = read_.run(agent.rowid);;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) break;
        if (!intact(agent, run) || run.integer(0) != static_cast<std::int64_t>(tokens.size())) {
            return std::unexpected(damaged_run(agent, tokens.size()));
        }
        append_tokens(tokens, run.blob(2));
    }
    if (tokens.size() == agent.row.n_tokens) return tokens;
    return std::unexpected(damaged(
        agent.row.key, std::format("it has {} tokens, {} were committed", tokens.size(), agent.row.n_tokens), kTruthAdvice));
}

Result<void> TokenTable::replace_tail(StoredAgent &agent, std::uint64_t keep, std::span<const Token> added) {
    ENGRAM_TRY(truncate(agent, keep));
    if (!added.empty()) ENGRAM_TRY(append(agent, keep, added));
    agent.row.n_tokens = keep + added.size();
    auto run = count_.run(agent.rowid);
    ENGRAM_TRY(run.next());
    return run.integer(0) > kMaxRuns ? join_runs(agent) : Result<void>();
}

Result<void> TokenTable::truncate(const StoredAgent &agent, std::uint64_t keep) {
    std::vector<Token> kept;  // of the run that the cut goes through
    std::uint64_t first = keep;
    if (keep > 0) {
        auto run = last_before_.run(agent.rowid, keep);
        ENGRAM_ASSIGN(const bool found, run.next());
        if (!found || !intact(agent, run))
            return std::unexpected(damaged_run(agent, found ? static_cast<std::uint64_t>(run.integer(0)) : 0));
        first = static_cast<std::uint64_t>(run.integer(0));
        append_tokens(kept, run.blob(2));
        if (first + kept.size() < keep) return std::unexpected(damaged_run(agent, first + kept.size()));
    }
    const bool cut = first + kept.size() > keep;
    if (keep < agent.row.n_tokens) ENGRAM_TRY(truncate_.run(agent.rowid, cut ? first : keep).finish());
    return cut ? append(agent, first, std::span(kept).first(keep - first)) : Result<void>();
}

Result<void> TokenTable::append(const StoredAgent &agent, std::uint64_t first, std::span<const Token> tokens) {
    const auto bytes = std::as_bytes(tokens);
    return insert_.run(agent.rowid, first, checksum_of(agent.rowid, static_cast<std::int64_t>(first), bytes), bytes).finish();
}

Result<void> TokenTable::join_runs(const StoredAgent &agent) {
    ENGRAM_ASSIGN(const std::vector<Token> tokens, read(agent));
    ENGRAM_TRY(truncate_.run(agent.rowid, 0).finish());
    return append(agent, 0, tokens);
}

}  // namespace engram
