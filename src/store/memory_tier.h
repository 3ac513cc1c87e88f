// The warm tier: images in host memory, least recently used out first, within a byte budget that is never exceeded.
// Not thread-safe; the store's mutex guards it.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>

#include "store/block_store.h"

namespace engram {

class MemoryTier {
  public:
    explicit MemoryTier(std::uint64_t budget_bytes) : budget_bytes_(budget_bytes) {}

    // Replaces an image of the same key. One that is larger than the whole budget isn't kept.
    void insert(const PartKey &key, const PartImage &image);
    std::optional<PartImage> use(const PartKey &key);  // makes it the most recently used one
    bool contains(const PartKey &key) const { return places_.contains(key); }
    std::uint64_t bytes_of(const PartKey &key) const;  // 0 when it isn't here
    void erase(const PartKey &key);

    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t parts() const { return places_.size(); }
    std::uint64_t evicted_parts() const { return evicted_parts_; }

  private:
    struct Kept {
        PartKey key;
        PartImage image;
    };

    const std::uint64_t budget_bytes_;
    std::uint64_t bytes_ = 0;
    std::uint64_t evicted_parts_ = 0;
    std::list<Kept> order_;  // most recently used first
    std::unordered_map<PartKey, std::list<Kept>::iterator> places_;
};

}  // namespace engram
