#include "tenants/key_ring.h"

#include <ranges>
#include <utility>

namespace engram {

KeyRing::KeyRing(TenantTables tables, bool locked_before)
    : problems_(std::move(tables.problems)), locked_(locked_before || !tables.keys.empty() || !problems_.empty()) {
    for (TenantRow &row : tables.tenants) quotas_.emplace(std::move(row.name), row.quota);
    for (KeyRow &row : tables.keys) keys_.emplace(row.hash, std::move(row));
}

const KeyRow *KeyRing::find(std::string_view text, std::int64_t now_ms) const {
    if (text.size() != kKeyBytes) return nullptr;  // nothing that somebody sends is hashed because of its length alone
    const auto found = keys_.find(hash_of_key(text));
    if (found == keys_.end() || !found->second.valid_at(now_ms) || !quotas_.contains(found->second.tenant)) return nullptr;
    return &found->second;
}

Quota KeyRing::quota(std::string_view tenant) const {
    const auto found = quotas_.find(tenant);
    return found == quotas_.end() ? Quota() : found->second;
}

std::vector<std::string> KeyRing::tenants() const { return std::views::keys(quotas_) | std::ranges::to<std::vector>(); }

}  // namespace engram
