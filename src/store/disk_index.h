// What is on disk, who needs it, and what goes first when room is needed. Pure bookkeeping: no files, no clock, no threads (the
// store's mutex guards it).
//
// A part is *claimed* while at least one claimant lists it. A claimant's list is in order of position; its parts leave from the
// end, so that what remains is always a usable prefix. A part that several claimants share can leave only when it is the last one
// of all of them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "store/block_store.h"

namespace engram {

class DiskIndex {
  public:
    struct File {
        std::uint64_t bytes = 0;
        std::int64_t last_used_ms = 0;
        std::uint32_t tokens = 0;  // of the segment; 0 when not known (the file was found, not written)
        std::optional<BlockStore::PartRows> rows;
    };

    // Records a file, or replaces what was recorded. An empty tenant leaves the one that is known.
    void add(const PartKey &key, const File &file, std::string_view tenant = {});
    void erase(const PartKey &key);
    const File *find(const PartKey &key) const;  // nullptr when not on disk; valid until the next change
    void use(const PartKey &key, std::int64_t now_ms);

    void claim(const Claim &claim);
    // Adds one part to what `claimant` claims, until its next claim() or release(): a part that was written for an agent is
    // needed before the agent's turn is committed.
    void hold(const PartKey &key, std::string_view claimant, std::string_view tenant, std::int64_t now_ms);
    void release(std::string_view claimant);
    bool claimed(const PartKey &key) const { return claims(key) > 0; }
    std::uint32_t claims(const PartKey &key) const;  // claimants that list it

    struct Writer {
        std::string_view claimant;
        std::string_view tenant;
    };
    // Parts to remove, first one first, so that at least `bytes` become free; empty when that much can't be freed for this
    // writer.
    std::vector<PartKey> victims(std::uint64_t bytes, const Writer &writer, std::int64_t now_ms) const;

    std::vector<PartKey> unclaimed() const;  // on disk; oldest use first
    std::vector<PartKey> keys() const;       // on disk

    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t parts() const { return parts_; }
    std::uint64_t unclaimed_bytes() const { return unclaimed_bytes_; }
    std::uint64_t unclaimed_parts() const { return unclaimed_.size(); }

  private:
    using TenantNumber = std::uint32_t;  // 0: not known

    struct Entry {
        std::optional<File> file;
        std::uint32_t claims = 0;  // claimants that list it
        TenantNumber tenant = 0;
    };
    struct Claimant {
        TenantNumber tenant = 0;
        bool pinned = false;
        std::int64_t last_used_ms = 0;
        double recompute_ms_per_token = 1.0;
        std::vector<PartKey> parts;  // no part twice
    };
    using UnclaimedKey = std::tuple<std::int64_t, BlockId, PartKind>;

    class ClaimedVictims;

    TenantNumber tenant_number(std::string_view tenant);
    void count_claim(const PartKey &key, TenantNumber tenant);
    void uncount_claim(const PartKey &key);
    void enter_unclaimed(const PartKey &key, const File &file);
    void leave_unclaimed(const PartKey &key, const File &file);
    void forget_if_empty(const PartKey &key);

    std::unordered_map<PartKey, Entry> entries_;
    std::unordered_map<std::string, Claimant> claimants_;
    std::unordered_map<std::string, TenantNumber> tenants_;
    std::set<UnclaimedKey> unclaimed_;
    std::uint64_t bytes_ = 0;
    std::uint64_t parts_ = 0;
    std::uint64_t unclaimed_bytes_ = 0;
};

}  // namespace engram
