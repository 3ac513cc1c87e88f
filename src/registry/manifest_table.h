// The rows of table `manifests`: at most one for each agent.
//
// Threads: as sqlite::Statement. Callers open the transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "registry/agent_table.h"
#include "registry/registry.h"
#include "sqlite/database.h"

namespace engram {

class ManifestTable {
  public:
    static Result<ManifestTable> open(sqlite::Database &database);

    Result<std::optional<Manifest>> read(const StoredAgent &agent);  // corrupt, incompatible; nullopt when there is none
    // invalid_argument when the manifest can't be stored or holds more tokens than the agent has.
    Result<void> replace(const StoredAgent &agent, const Manifest &manifest);
    Result<void> clear(std::int64_t rowid);
    Result<void> copy(const StoredAgent &from, std::int64_t to_rowid);  // none when it can't be read: it is made anew from tokens

    // The next agents with a manifest after `rowid`, at most kPage, in order of rowid; empty at the end.
    struct Entry {
        std::int64_t rowid = 0;
        AgentRow agent;
        Result<Manifest> manifest;
    };
    static constexpr std::int64_t kPage = 256;
    Result<std::vector<Entry>> page_after(std::int64_t rowid);

  private:
    Result<void> write(std::int64_t rowid, const Manifest &manifest);

    sqlite::Statement read_, replace_, clear_, page_;
};

}  // namespace engram
