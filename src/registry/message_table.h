// The rows of table `messages`: transcripts.
//
// Threads: as sqlite::Statement. Callers open the transaction, and store the agent's row with its new n_messages.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "registry/agent_table.h"
#include "registry/registry.h"
#include "sqlite/database.h"

namespace engram {

class MessageTable {
  public:
    static Result<MessageTable> open(sqlite::Database &database);

    // The whole transcript; corrupt when a message doesn't match its checksum, or when they aren't the agent's n_messages.
    Result<std::vector<MessageRow>> read(const StoredAgent &agent);
    // Replaces what stands after the first `keep` messages by `added`; sets agent.row.n_messages.
    Result<void> replace_tail(StoredAgent &agent, std::uint64_t keep, std::span<const MessageRow> added);

    // As Registry's functions of these names.
    Result<std::optional<MessagePlace>> find_prefix(std::string_view tenant, std::string_view prefix) {
        return find(by_prefix_, tenant, prefix);
    }
    Result<std::optional<MessagePlace>> find_public_id(std::string_view tenant, std::string_view public_id) {
        return find(by_public_id_, tenant, public_id);
    }

  private:
    static Result<std::optional<MessagePlace>> find(sqlite::Statement &statement, std::string_view tenant,
                                                    std::string_view value);

    sqlite::Statement read_, insert_, truncate_, by_prefix_, by_public_id_;
};

}  // namespace engram
