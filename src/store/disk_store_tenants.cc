// What tenants have in a DiskStore, and may have.
#include <format>
#include <utility>

#include "store/disk_store.h"

namespace engram {

Result<bool> DiskStore::admit(const PublishLock &held, std::uint64_t bytes, const DiskIndex::Writer &writer) {
    std::vector<PartKey> victims;
    {
        const std::scoped_lock lock(mutex_);
        const auto found = tenants_.find(writer.tenant);
        if (found == tenants_.end() || !found->second.limits.disk_bytes.has_value()) return true;
        Tenant &tenant = found->second;
        const std::uint64_t limit = *tenant.limits.disk_bytes;
        const std::uint64_t used = index_.bytes_of(writer.tenant);
        if (used + bytes <= limit) return true;
        const std::uint64_t needed = used + bytes - limit;
        std::uint64_t freed = 0;
        if (bytes <= limit) {
            // Some room more than needed, as under the budget of all.
            victims = index_.own_victims(needed + limit / 64, writer, clock_.wall_ms());
            for (const PartKey &key : victims) freed += index_.find(key)->bytes;
        }
        if (freed < needed) {
            ++tenant.refused_parts;
            tenant.refused_bytes = bytes;
            tenant.refusal = std::format(
                "tenant {} may have {} bytes on disk, of which {} are in use: {} bytes more don't fit; delete agents, or ask the "
                "operator for a larger quota",
                writer.tenant, limit, used, bytes);
            return false;
        }
        forget(victims);
    }
    ENGRAM_TRY(evict(held, victims));
    return true;
}

Result<void> DiskStore::limit(std::string_view tenant, const TenantLimits &limits) {
    wait_for_scan();
    const PublishLock publishing(publish_mutex_);
    std::vector<PartKey> victims;
    {
        const std::scoped_lock lock(mutex_);
        Tenant &limited = tenants_[std::string(tenant)];
        if (std::exchange(limited.limits, limits) != limits) limited.refusal.clear();
        memory_.limit(tenant, limits.memory_bytes);
        const std::uint64_t used = index_.bytes_of(tenant);
        if (options_.read_only || !limits.disk_bytes.has_value() || used <= *limits.disk_bytes) return {};
        victims = index_.own_victims(used - *limits.disk_bytes, {.claimant = {}, .tenant = tenant}, clock_.wall_ms());
        forget(victims);
    }
    return evict(publishing, victims);
}

std::vector<TenantUse> DiskStore::tenants() const {
    wait_for_scan();
    std::map<std::string, TenantUse> uses;
    const std::scoped_lock lock(mutex_);
    for (const auto &[name, tenant] : tenants_) {
        TenantUse &use = uses[name];
        use.limits = tenant.limits;
        use.refused_parts = tenant.refused_parts;
        use.evicted_parts = tenant.evicted_parts;
    }
    for (const DiskIndex::TenantBytes &tenant : index_.tenants()) {
        TenantUse &use = uses[tenant.tenant];
        use.disk_bytes += tenant.bytes;
        use.disk_parts += tenant.parts;
    }
    for (const auto &[name, bytes] : memory_.bytes_by_tenant()) uses[name].memory_bytes = bytes;
    std::vector<TenantUse> list;
    for (auto &[name, use] : uses) {
        if (name.empty() && use.disk_bytes == 0 && use.memory_bytes == 0) continue;
        use.tenant = name;
        list.push_back(std::move(use));
    }
    return list;
}

std::vector<StoredBytes> DiskStore::stored() const {
    wait_for_scan();
    const std::scoped_lock lock(mutex_);
    return index_.stored();
}

std::string DiskStore::refusal(std::string_view tenant) const {
    const std::scoped_lock lock(mutex_);
    const auto found = tenants_.find(tenant);
    return found == tenants_.end() ? std::string() : found->second.refusal;
}

}  // namespace engram
