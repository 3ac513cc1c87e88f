// The rows of table `messages`: transcripts.
//
// Threads: as sqlite::Statement. Callers open the transaction, and store the agent's row with its new n_messages.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "registry/agent_table.h"
#include "registry/registry.h"
#include "registry/sqlite_statement.h"

namespace engram {

class MessageTable {
  public:
    static Result<MessageTable> open(sqlite::Database &database);

    // The whole transcript; corrupt when a message doesn't match its checksum, or when they aren't the agent's n_messages.
    Result<std::vector<MessageRow>> read(const StoredAgent &agent);
    // Replaces what stands after the first `keep` messages by `added`; sets agent.row.n_messages.
    Result<void> replace_tail(StoredAgent &agent, std::uint64_t keep, std::span<const MessageRow> added);

  private:
    sqlite::Statement read_, insert_, truncate_;
};

}  // namespace engram
