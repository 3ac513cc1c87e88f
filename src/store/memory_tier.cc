#include "store/memory_tier.h"

namespace engram {

void MemoryTier::insert(const PartKey &key, const PartImage &image) {
    erase(key);
    const std::uint64_t bytes = image.layout->image_bytes;
    if (bytes > budget_bytes_) return;
    while (bytes_ + bytes > budget_bytes_) {
        erase(PartKey(order_.back().key));
        ++evicted_parts_;
    }
    order_.push_front({.key = key, .image = image});
    places_.emplace(key, order_.begin());
    bytes_ += bytes;
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
    bytes_ -= found->second->image.layout->image_bytes;
    order_.erase(found->second);
    places_.erase(found);
}

}  // namespace engram
