#include "store/memory_tier.h"

#include <algorithm>
#include <ranges>
#include <vector>

namespace engram {

void MemoryTier::insert(const PartKey &key, const PartImage &image, std::string_view tenant) {
    erase(key);
    const std::uint64_t bytes = image.layout->image_bytes;
    Share &share = shares_.try_emplace(std::string(tenant)).first->second;
    const std::uint64_t limit = std::min(budget_bytes_, share.limit.value_or(budget_bytes_));
    if (bytes > limit) return;
    while (share.bytes + bytes > limit) evict_last(share);
    while (bytes_ + bytes > budget_bytes_) evict_last(loser_to(share, bytes));
    order_.push_front({.key = key, .image = image, .share = &share});
    places_.emplace(key, order_.begin());
    share.bytes += bytes;
    bytes_ += bytes;
}

MemoryTier::Share &MemoryTier::loser_to(Share &share, std::uint64_t bytes) {
    const auto others =
        std::ranges::count_if(shares_, [&](const auto &entry) { return &entry.second != &share && entry.second.bytes > 0; });
    const std::uint64_t fair = budget_bytes_ / (static_cast<std::uint64_t>(others) + 1);
    if (share.bytes > 0 && share.bytes + bytes > fair) return share;
    return std::ranges::max_element(shares_, {}, [](const auto &entry) { return entry.second.bytes; })->second;
}

void MemoryTier::evict_last(const Share &share) {
    const auto last = std::ranges::find(std::views::reverse(order_), &share, &Kept::share);
    erase(PartKey(last->key));
    ++evicted_parts_;
}

bool MemoryTier::insert_behind(const PartKey &key, const PartImage &image, std::string_view tenant, const Gate &may_leave) {
    if (contains(key)) return true;
    const std::uint64_t bytes = image.layout->image_bytes;
    Share &share = shares_.try_emplace(std::string(tenant)).first->second;
    std::vector<PartKey> leaving;  // least recently used first
    auto place = order_.end();     // behind the last of those that stay
    std::uint64_t room = free_bytes(share);
    bool stays_behind = false;
    for (auto at = order_.end(); at != order_.begin() && (room < bytes || !stays_behind);) {
        --at;
        if (at->share != &share || !may_leave(at->key)) {
            stays_behind = true;
        } else if (room < bytes) {
            leaving.push_back(at->key);
            room += at->image.layout->image_bytes;
        }
        if (!stays_behind) place = at;
    }
    if (room < bytes) return false;
    while (place != order_.end() && std::ranges::contains(leaving, place->key)) ++place;
    for (const PartKey &gone : leaving) erase(gone);
    evicted_parts_ += leaving.size();
    places_.emplace(key, order_.insert(place, {.key = key, .image = image, .share = &share}));
    share.bytes += bytes;
    bytes_ += bytes;
    return true;
}

std::uint64_t MemoryTier::room(std::string_view tenant, const Gate &may_leave) const {
    const auto share = shares_.find(tenant);
    if (share == shares_.end()) return budget_bytes_ - bytes_;
    std::uint64_t bytes = free_bytes(share->second);
    for (const Kept &kept : order_) {
        if (kept.share == &share->second && may_leave(kept.key)) bytes += kept.image.layout->image_bytes;
    }
    return bytes;
}

std::uint64_t MemoryTier::free_bytes(const Share &share) const {
    return std::min(budget_bytes_ - bytes_, share.limit.value_or(budget_bytes_) - share.bytes);
}

std::optional<PartImage> MemoryTier::use(const PartKey &key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return std::nullopt;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->image;
}

std::uint64_t MemoryTier::bytes_of(const PartKey &key) const {
    const auto found = places_.find(key);
    return found == places_.end() ? 0 : found->second->image.layout->image_bytes;
}

void MemoryTier::erase(const PartKey &key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return;
    const std::uint64_t bytes = found->second->image.layout->image_bytes;
    bytes_ -= bytes;
    found->second->share->bytes -= bytes;
    order_.erase(found->second);
    places_.erase(found);
}

void MemoryTier::limit(std::string_view tenant, std::optional<std::uint64_t> bytes) {
    Share &share = shares_.try_emplace(std::string(tenant)).first->second;
    share.limit = bytes;
    while (bytes && share.bytes > *bytes) evict_last(share);
}

std::map<std::string, std::uint64_t> MemoryTier::bytes_by_tenant() const {
    std::map<std::string, std::uint64_t> list;
    for (const auto &[tenant, share] : shares_) {
        if (share.bytes > 0) list.emplace(tenant, share.bytes);
    }
    return list;
}

}  // namespace engram
