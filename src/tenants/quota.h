// How much a tenant may have and do. Values and the decision about them; no I/O.
//
// Whoever creates agents asks before he does so:
//
//     ENGRAM_TRY(check_agents(tenants.quota(tenant), tenant, agents));
//
// Bytes are the store's limits (AgentManager::limit_storage); tokens and concurrent requests are decided on when a request comes
// in (request_quotas.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "engram/error.h"

namespace engram {

// A limit that isn't there limits nothing; one of 0 allows nothing.
struct Quota {
    std::optional<std::uint64_t> disk_bytes;    // of stored KV; parts that agents share count once
    std::optional<std::uint64_t> memory_bytes;  // of KV in host memory
    std::optional<std::uint64_t> agents;
    std::optional<std::uint64_t> tokens_per_minute;  // of prompts, as far as they are computed, and of answers
    std::optional<std::uint64_t> concurrent_requests;
    bool operator==(const Quota &) const = default;
};

inline constexpr std::uint64_t kMaxLimit = 1ULL << 62;                  // of bytes and agents
inline constexpr std::uint64_t kMaxTokensPerMinute = 1'000'000'000;     // keeps a minute's arithmetic within 64 bits
inline constexpr std::uint64_t kMaxConcurrentRequests = 1'000'000'000;  // more than there are connections

// The limits by name, for everything that goes through all of them.
struct QuotaField {
    std::string_view name;
    std::optional<std::uint64_t> Quota::*limit;
    std::uint64_t most;
};
inline constexpr std::array<QuotaField, 5> kQuotaFields{{
    {"disk_bytes", &Quota::disk_bytes, kMaxLimit},
    {"memory_bytes", &Quota::memory_bytes, kMaxLimit},
    {"agents", &Quota::agents, kMaxLimit},
    {"tokens_per_minute", &Quota::tokens_per_minute, kMaxTokensPerMinute},
    {"concurrent_requests", &Quota::concurrent_requests, kMaxConcurrentRequests},
}};

Result<void> validate_quota(const Quota &quota);  // invalid_argument: a limit is above the most that it can be

// over_budget when a tenant that has so many agents may not have `more` in addition. That there are more than the limit (which
// was lowered then) is no error in itself.
Result<void> check_agents(const Quota &quota, std::string_view tenant, std::uint64_t agents, std::uint64_t more = 1);

}  // namespace engram
