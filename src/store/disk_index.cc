#include "store/disk_index.h"

#include <algorithm>
#include <queue>
#include <unordered_set>
#include <utility>

#include "core/eviction_score.h"

namespace engram {

namespace {

// Stands in for a segment's tokens while they aren't known: the default block size.
constexpr std::uint32_t kAssumedTokens = 256;

}  // namespace

void DiskIndex::add(const PartKey &key, const File &file, std::string_view tenant) {
    erase(key);
    Entry &entry = entries_[key];
    if (!tenant.empty()) entry.tenant = tenant_number(tenant);
    bytes_ += file.bytes;
    ++parts_;
    if (entry.claims == 0) enter_unclaimed(key, file);
    entry.file = file;
}

void DiskIndex::erase(const PartKey &key) {
    const auto found = entries_.find(key);
    if (found == entries_.end() || !found->second.file.has_value()) return;
    Entry &entry = found->second;
    bytes_ -= entry.file->bytes;
    --parts_;
    if (entry.claims == 0) leave_unclaimed(key, *entry.file);
    entry.file.reset();
    forget_if_empty(key);
}

const DiskIndex::File *DiskIndex::find(const PartKey &key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() || !found->second.file.has_value() ? nullptr : &*found->second.file;
}

void DiskIndex::use(const PartKey &key, std::int64_t now_ms) {
    const auto found = entries_.find(key);
    if (found == entries_.end() || !found->second.file.has_value()) return;
    Entry &entry = found->second;
    if (entry.claims == 0) leave_unclaimed(key, *entry.file);
    entry.file->last_used_ms = now_ms;
    if (entry.claims == 0) enter_unclaimed(key, *entry.file);
}

void DiskIndex::claim(const Claim &claim) {
    const TenantNumber tenant = tenant_number(claim.tenant);
    Claimant &claimant = claimants_[claim.claimant];
    claimant.tenant = tenant;
    claimant.pinned = claim.pinned;
    claimant.last_used_ms = claim.last_used_ms;
    claimant.recompute_ms_per_token = claim.recompute_ms_per_token;
    std::vector<PartKey> parts;
    parts.reserve(claim.parts.size());
    std::unordered_set<PartKey> seen(claim.parts.size());
    for (const PartKey &key : claim.parts) {
        if (seen.insert(key).second) parts.push_back(key);
    }
    // Count the new list before the old one is forgotten, so that what stays is never unclaimed in between.
    for (const PartKey &key : parts) count_claim(key, tenant);
    std::swap(claimant.parts, parts);
    for (const PartKey &key : parts) uncount_claim(key);
}

void DiskIndex::hold(const PartKey &key, std::string_view claimant, std::string_view tenant, std::int64_t now_ms) {
    const auto [place, made] = claimants_.try_emplace(std::string(claimant));
    Claimant &holder = place->second;
    holder.tenant = tenant_number(tenant);
    if (made) holder.last_used_ms = now_ms;
    if (std::ranges::contains(holder.parts, key)) return;
    holder.parts.push_back(key);
    count_claim(key, holder.tenant);
}

void DiskIndex::release(std::string_view claimant) {
    const auto found = claimants_.find(std::string(claimant));
    if (found == claimants_.end()) return;
    for (const PartKey &key : found->second.parts) uncount_claim(key);
    claimants_.erase(found);
}

std::uint32_t DiskIndex::claims(const PartKey &key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? 0 : found->second.claims;
}

// Takes claimed parts from the ends of the claimants' lists, least valuable first.
class DiskIndex::ClaimedVictims {
  public:
    ClaimedVictims(const DiskIndex &index, const Writer &writer, TenantNumber tenant, std::int64_t now_ms)
        : index_(index), now_ms_(now_ms) {
        for (const auto &[name, claimant] : index.claimants_) {
            // Pinned claimants, the writer and other tenants never offer a part, so none that they hold has all its claimants'
            // consent.
            if (claimant.pinned || name == writer.claimant || claimant.tenant != tenant) continue;
            offer_last({.claimant = &claimant, .left = claimant.parts.size()});
        }
    }

    std::optional<PartKey> next() {
        if (ready_.empty()) return std::nullopt;
        const PartKey key = ready_.top().second;
        ready_.pop();
        for (const Cursor &cursor : offers_.extract(key).mapped().cursors) offer_last(cursor);
        return key;
    }

  private:
    struct Cursor {
        const Claimant *claimant;
        std::size_t left;  // parts of its list that haven't been looked at
    };
    struct Offer {
        std::vector<Cursor> cursors;  // claimants whose last part on disk this is
        double score = 0;
    };
    struct LessValuableFirst {
        bool operator()(const std::pair<double, PartKey> &a, const std::pair<double, PartKey> &b) const {
            return std::tie(a.first, a.second.id, a.second.kind) > std::tie(b.first, b.second.id, b.second.kind);
        }
    };

    void offer_last(Cursor cursor) {
        while (cursor.left > 0) {
            const PartKey &key = cursor.claimant->parts[--cursor.left];
            const Entry &entry = index_.entries_.at(key);
            if (!entry.file.has_value()) continue;
            Offer &offer = offers_[key];
            offer.cursors.push_back(cursor);
            offer.score += eviction_score({.recompute_ms_per_token = cursor.claimant->recompute_ms_per_token,
                                           .tokens = entry.file->tokens == 0 ? kAssumedTokens : entry.file->tokens,
                                           .bytes = entry.file->bytes,
                                           .age_ms = now_ms_ - cursor.claimant->last_used_ms});
            if (offer.cursors.size() == entry.claims) ready_.emplace(offer.score, key);
            return;
        }
    }

    const DiskIndex &index_;
    const std::int64_t now_ms_;
    std::unordered_map<PartKey, Offer> offers_;
    std::priority_queue<std::pair<double, PartKey>, std::vector<std::pair<double, PartKey>>, LessValuableFirst> ready_;
};

std::vector<PartKey> DiskIndex::victims(std::uint64_t bytes, const Writer &writer, std::int64_t now_ms) const {
    const auto known = tenants_.find(std::string(writer.tenant));
    const TenantNumber tenant = known == tenants_.end() ? 0 : known->second;
    std::vector<PartKey> chosen;
    std::uint64_t freed = 0;
    for (auto place = unclaimed_.begin(); place != unclaimed_.end() && freed < bytes; ++place) {
        const PartKey key{.id = std::get<1>(*place), .kind = std::get<2>(*place)};
        const Entry &entry = entries_.at(key);
        if (entry.tenant != 0 && entry.tenant != tenant) continue;
        chosen.push_back(key);
        freed += entry.file->bytes;
    }
    if (freed < bytes && tenant != 0) {
        ClaimedVictims claimed(*this, writer, tenant, now_ms);
        while (freed < bytes) {
            const std::optional<PartKey> key = claimed.next();
            if (!key.has_value()) break;
            chosen.push_back(*key);
            freed += entries_.at(*key).file->bytes;
        }
    }
    if (freed < bytes) chosen.clear();
    return chosen;
}

std::vector<PartKey> DiskIndex::unclaimed() const {
    std::vector<PartKey> keys;
    keys.reserve(unclaimed_.size());
    for (const auto &[last_used_ms, id, kind] : unclaimed_) keys.push_back({.id = id, .kind = kind});
    return keys;
}

std::vector<PartKey> DiskIndex::keys() const {
    std::vector<PartKey> keys;
    keys.reserve(parts_);
    for (const auto &[key, entry] : entries_) {
        if (entry.file.has_value()) keys.push_back(key);
    }
    return keys;
}

DiskIndex::TenantNumber DiskIndex::tenant_number(std::string_view tenant) {
    return tenants_.try_emplace(std::string(tenant), static_cast<TenantNumber>(tenants_.size() + 1)).first->second;
}

void DiskIndex::count_claim(const PartKey &key, TenantNumber tenant) {
    Entry &entry = entries_[key];
    if (entry.claims++ == 0 && entry.file.has_value()) leave_unclaimed(key, *entry.file);
    entry.tenant = tenant;
}

void DiskIndex::uncount_claim(const PartKey &key) {
    Entry &entry = entries_.at(key);
    if (--entry.claims == 0 && entry.file.has_value()) enter_unclaimed(key, *entry.file);
    forget_if_empty(key);
}

void DiskIndex::enter_unclaimed(const PartKey &key, const File &file) {
    unclaimed_.emplace(file.last_used_ms, key.id, key.kind);
    unclaimed_bytes_ += file.bytes;
}

void DiskIndex::leave_unclaimed(const PartKey &key, const File &file) {
    unclaimed_.erase({file.last_used_ms, key.id, key.kind});
    unclaimed_bytes_ -= file.bytes;
}

void DiskIndex::forget_if_empty(const PartKey &key) {
    const auto found = entries_.find(key);
    if (found != entries_.end() && found->second.claims == 0 && !found->second.file.has_value()) entries_.erase(found);
}

}  // namespace engram
