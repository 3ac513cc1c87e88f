// The warm tier: images in host memory, within a byte budget that is never exceeded.
//
// Each tenant's images leave in the order of their last use, oldest first. A tenant above his fair share of the budget (the
// budget divided by the tenants that have something here), or at his own limit, makes room with his own images; one below it
// takes the room from whoever has most.
//
// Not thread-safe; the store's mutex guards it.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "store/block_store.h"

namespace engram {

class MemoryTier {
  public:
    explicit MemoryTier(std::uint64_t budget_bytes) : budget_bytes_(budget_bytes) {}

    // Replaces an image of the same key. One that is larger than the whole budget, or than its tenant's limit, isn't kept.
    void insert(const PartKey &key, const PartImage &image, std::string_view tenant);
    using Gate = std::function<bool(const PartKey &)>;
    // Takes the room from those images of the tenant's that `may_leave`, and stands behind all others: it will go before them.
    // False, and nothing was changed, when there isn't so much room.
    bool insert_behind(const PartKey &key, const PartImage &image, std::string_view tenant, const Gate &may_leave);
    // What such an image may take: free bytes, and those of the tenant's images that may leave.
    std::uint64_t room(std::string_view tenant, const Gate &may_leave) const;
    std::optional<PartImage> use(const PartKey &key);  // makes it the most recently used one
    bool contains(const PartKey &key) const { return places_.contains(key); }
    std::uint64_t bytes_of(const PartKey &key) const;  // 0 when it isn't here
    void erase(const PartKey &key);

    // Replaces the tenant's limit; what is above it leaves.
    void limit(std::string_view tenant, std::optional<std::uint64_t> bytes);

    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t parts() const { return places_.size(); }
    std::uint64_t evicted_parts() const { return evicted_parts_; }
    std::map<std::string, std::uint64_t> bytes_by_tenant() const;  // of those that have something

  private:
    struct Share {
        std::uint64_t bytes = 0;
        std::optional<std::uint64_t> limit;
    };
    struct Kept {
        PartKey key;
        PartImage image;
        Share *share;  // its tenant's
    };

    void evict_last(const Share &share);
    std::uint64_t free_bytes(const Share &share) const;  // that its tenant may take without anybody's leaving
    // Whose image leaves for one of `bytes` more bytes in `share`.
    Share &loser_to(Share &share, std::uint64_t bytes);

    const std::uint64_t budget_bytes_;
    std::uint64_t bytes_ = 0;
    std::uint64_t evicted_parts_ = 0;
    std::list<Kept> order_;  // most recently used first
    std::unordered_map<PartKey, std::list<Kept>::iterator> places_;
    std::map<std::string, Share, std::less<>> shares_;  // of every tenant that was ever here
};

}  // namespace engram
