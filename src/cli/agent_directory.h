// Agents without a model: what the registry and the store's files say. No weights are loaded, so that looking and tidying up are
// instantaneous, and possible where the model isn't.
//
// Reading takes no lock and works beside a running manager. Changes take the store's lock first: with a manager alive in another
// process they are refused (`locked`) and change nothing. A home that isn't there yet is an empty directory; reading never makes
// it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engram/agents.h"
#include "registry/registry.h"
#include "store/block_store.h"

namespace engram::cli {

struct PartKeyHash {
    std::size_t operator()(const PartKey &key) const noexcept {
        return std::hash<BlockId>{}(key.id) ^ static_cast<std::size_t>(key.kind);
    }
};

// How the store is opened for the options, as far as that doesn't need a model.
StoreOptions store_options(const ManagerOptions &options, bool read_only);

// Tells the store what every agent's manifest needs. Returns the agents ("tenant/id: reason") whose manifest can't be read.
Result<std::vector<std::string>> claim_all(const Registry &registry, BlockStore &store);

class AgentDirectory {
  public:
    enum class Access : std::uint8_t { read, change };
    static Result<AgentDirectory> open(const ManagerOptions &options, Access access);

    Result<std::vector<AgentInfo>> list() const;       // of the tenant, by id
    Result<AgentInfo> get(std::string_view id) const;  // invalid_argument, not_found
    Result<std::vector<Message>> transcript(std::string_view id) const;

    Result<AgentInfo> create(const AgentSpec &spec);
    Result<AgentInfo> change(std::string_view id, const AgentChange &change);  // as AgentManager::change
    Result<AgentInfo> fork(std::string_view id, std::string_view new_id);
    Result<AgentInfo> rename(std::string_view id, std::string_view new_id);
    Result<void> pin(std::string_view id, bool pinned);
    Result<void> retain(std::string_view id, Retention retention);
    Result<std::uint64_t> remove(std::string_view id);  // bytes freed on disk

  private:
    AgentDirectory() = default;
    struct StoredPart {
        std::uint64_t file_bytes = 0;
        std::uint32_t agents = 0;  // whose manifests name it
    };
    using StoredParts = std::unordered_map<PartKey, StoredPart, PartKeyHash>;
    Result<StoredParts> stored_parts() const;
    AgentInfo info(const AgentRow &row, const StoredParts &stored) const;
    Result<AgentRow> row(std::string_view id) const;

    std::string tenant_;
    std::unique_ptr<Registry> registry_;  // null when the home has none yet
    std::unique_ptr<BlockStore> store_;   // likewise
};

}  // namespace engram::cli
