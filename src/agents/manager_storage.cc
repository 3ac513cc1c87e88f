// AgentManager: how much tenants may store, and what they have.
#include <utility>

#include "agents/manager_impl.h"

namespace engram {

Result<void> AgentManager::limit_storage(std::string_view tenant, const StorageLimits &limits) {
    ENGRAM_TRY(validate_tenant_id(tenant));
    if (!impl_->store) return {};
    return impl_->store->limit(tenant, {.disk_bytes = limits.disk_bytes, .memory_bytes = limits.memory_bytes});
}

std::vector<TenantStorage> AgentManager::storage_by_tenant() const {
    std::vector<TenantStorage> list;
    if (!impl_->store) return list;
    for (TenantUse &use : impl_->store->tenants()) {
        list.push_back({.tenant = std::move(use.tenant),
                        .limits = {.disk_bytes = use.limits.disk_bytes, .memory_bytes = use.limits.memory_bytes},
                        .disk_bytes = use.disk_bytes,
                        .memory_bytes = use.memory_bytes,
                        .refused_parts = use.refused_parts,
                        .evicted_parts = use.evicted_parts});
    }
    return list;
}

std::vector<AgentStorage> AgentManager::storage_by_agent() const {
    std::vector<AgentStorage> list;
    if (!impl_->store) return list;
    for (StoredBytes &stored : impl_->store->stored()) {
        list.push_back({.tenant = std::move(stored.tenant), .agent = std::move(stored.account), .disk_bytes = stored.bytes});
    }
    return list;
}

}  // namespace engram
