// What the store's files are: whose they are, and what they would take in other element types.
//
// Everything is read from the registry and from the files' own headers; nothing is changed, and no lock is taken.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engram/agents.h"
#include "engram/error.h"
#include "store/block_store.h"

namespace engram::cli {

inline constexpr std::array kStoredTypes{KvType::f16, KvType::q8_0, KvType::q4_0};

struct AgentBytes {
    std::string tenant, id;
    bool pinned = false;
    std::uint64_t parts = 0, bytes = 0, exclusive_bytes = 0;
};

struct TenantBytes {
    std::string tenant;
    std::uint64_t agents = 0, parts = 0, bytes = 0;  // each part counted once
};

struct StoreSurvey {
    StoreStats stats;
    RecoveryReport recovery;
    std::array<std::uint64_t, kPartKinds> bytes_by_kind{};
    std::vector<AgentBytes> agents;    // by tenant, then id
    std::vector<TenantBytes> tenants;  // by name
    std::vector<std::string> unreadable_manifests;
    // Payload bytes of all parts now, and if their attention and window rows were stored in each of kStoredTypes (state stays as
    // it is).
    std::uint64_t payload_bytes = 0;
    std::array<std::uint64_t, kStoredTypes.size()> payload_bytes_as{};
    std::uint64_t unreadable_parts = 0;  // whose header can't be read; `store verify` says why
};

// A home without a store is an empty survey.
Result<StoreSurvey> survey_store(const ManagerOptions &options);

// Bytes of a part of this layout when its rows are stored as `type`. State, and rows that the type doesn't divide, stay as they
// are.
std::uint64_t payload_bytes_as(const PartLayout &layout, KvType type);

}  // namespace engram::cli
