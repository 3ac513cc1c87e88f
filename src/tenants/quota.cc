#include "tenants/quota.h"

#include <format>

namespace engram {

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

Result<void> check_agents(const Quota &quota, std::string_view tenant, std::uint64_t agents, std::uint64_t more) {
    if (!quota.agents || more == 0 || (agents < *quota.agents && more <= *quota.agents - agents)) return {};
    return fail(
        ErrorCode::over_budget,
        std::format("tenant {} has {} of {} agents and can't have {}; delete {}, or ask the operator for a larger quota", tenant,
                    agents, *quota.agents, more == 1 ? "another" : std::format("{} more", more), more == 1 ? "one" : "some"));
}

}  // namespace engram
