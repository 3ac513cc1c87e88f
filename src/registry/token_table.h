// The rows of table `token_runs`: an agent's tokens, one run for each turn (little-endian int32), so that a turn writes only its
// own.
//
// Threads: as sqlite::Statement. Callers open the transaction, and store the agent's row with its new n_tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "registry/agent_table.h"
#include "registry/registry.h"
#include "sqlite/database.h"

namespace engram {

class TokenTable {
  public:
    static constexpr std::int64_t kMaxRuns = 256;  // of one agent; with more they are joined to one

    static Result<TokenTable> open(sqlite::Database &database);

    // All tokens; corrupt when a run doesn't match its checksum, or when the runs aren't the agent's n_tokens without a gap.
    Result<std::vector<Token>> read(const StoredAgent &agent);
    // Replaces what stands after the first `keep` tokens by `added`; sets agent.row.n_tokens. corrupt when the run that ends the
    // kept prefix is damaged.
    Result<void> replace_tail(StoredAgent &agent, std::uint64_t keep, std::span<const Token> added);

  private:
    Result<void> truncate(const StoredAgent &agent, std::uint64_t keep);
    Result<void> append(const StoredAgent &agent, std::uint64_t first, std::span<const Token> tokens);
    Result<void> join_runs(const StoredAgent &agent);

    sqlite::Statement read_, last_before_, insert_, truncate_, count_;
};

}  // namespace engram
