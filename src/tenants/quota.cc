#include "tenants/quota.h"

#include <format>
#include <string>

namespace engram {
namespace {

struct HeldLimit {
    std::optional<std::uint64_t> Quota::*limit;
    std::uint64_t Holdings::*amount;
    std::string_view what;
    std::string_view advice;
};

constexpr std::array<HeldLimit, 3> kHeldLimits{{
    {&Quota::disk_bytes, &Holdings::disk_bytes, "bytes on disk", "delete agents, or ask the operator for a larger quota"},
    {&Quota::memory_bytes, &Holdings::memory_bytes, "bytes in memory",
     "wait for other agents, or ask the operator for a larger quota"},
    {&Quota::agents, &Holdings::agents, "agents", "delete one, or ask the operator for a larger quota"},
}};

}  // namespace

Result<void> validate_quota(const Quota &quota) {
    for (const QuotaField &field : kQuotaFields) {
        const auto limit = quota.*field.limit;
        if (limit && *limit > field.most) {
            return fail(ErrorCode::invalid_argument,
                        std::format("the limit of {} is {}; it can be {} at most", field.name, *limit, field.most));
        }
    }
    return {};
}

Result<void> check_quota(const Quota &quota, std::string_view tenant, const Holdings &held, const Holdings &more) {
    for (const HeldLimit &entry : kHeldLimits) {
        const auto limit = quota.*entry.limit;
        const std::uint64_t has = held.*entry.amount;
        const std::uint64_t wants = more.*entry.amount;
        if (!limit || wants == 0) continue;
        if (has > *limit || wants > *limit - has) {
            return fail(ErrorCode::over_budget, std::format("tenant {} has {} of {} {} and can't have {} more; {}", tenant, has,
                                                            *limit, entry.what, wants, entry.advice));
        }
    }
    return {};
}

}  // namespace engram
