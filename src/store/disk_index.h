// What is on disk, who needs it, and what goes first when room is needed. Pure bookkeeping: no files, no clock, no threads (the
// store's mutex guards it).
//
// A part is *claimed* while at least one claimant lists it. A claimant's list is in order of position; its parts leave from the
// end, so that what remains is always a usable prefix. A part that several claimants share can leave only when it is the last one
// of all of them.
//
// A part belongs to an *account* of its tenant: that of the first claimant that listed it and still does, else the one without a
// name. So every byte is counted once, for a tenant and for an account.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
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
    std::uint32_t claims(const PartKey &key) const;                          // claimants that list it
    std::span<const PartKey> claimed_by(const std::string &claimant) const;  // valid until the next change

    struct Writer {
        std::string_view claimant;
        std::string_view tenant;
    };
    // Parts to remove, first one first, so that at least `bytes` become free of a budget that all tenants share and that
    // `incoming` bytes are to be written under; empty when that much can't be freed for this writer.
    struct Pressure {
        std::uint64_t bytes = 0, incoming = 0, budget = 0;
    };
    std::vector<PartKey> victims(const Pressure &pressure, const Writer &writer, std::int64_t now_ms) const;
    // Parts of the writer's own tenant, so that `bytes` of what it has become free, or as much of that as can.
    std::vector<PartKey> own_victims(std::uint64_t bytes, const Writer &writer, std::int64_t now_ms) const;

    std::string_view tenant_of(const PartKey &key) const;  // empty: not known
    std::uint64_t bytes_of(std::string_view tenant) const;
    struct TenantBytes {
        std::string tenant;
        std::uint64_t bytes = 0, parts = 0;
    };
    const std::vector<TenantBytes> &tenants() const { return tenants_; }  // the first one is nobody: ""
    std::vector<StoredBytes> stored() const;                              // accounts that have something

    std::vector<PartKey> unclaimed() const;  // on disk; oldest use first
    std::vector<PartKey> keys() const;       // on disk

    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t parts() const { return parts_; }
    std::uint64_t unclaimed_bytes() const { return unclaimed_bytes_; }
    std::uint64_t unclaimed_parts() const { return unclaimed_.size(); }

  private:
    using TenantNumber = std::uint32_t;   // index in tenants_; 0: not known
    using AccountNumber = std::uint32_t;  // index in accounts_; 0: of nobody who is known

    struct Entry {
        std::optional<File> file;
        std::uint32_t claims = 0;  // claimants that list it
        AccountNumber account = 0;
    };
    struct Claimant {
        AccountNumber account = 0;
        bool pinned = false;
        std::int64_t last_used_ms = 0;
        std::int64_t kept_until_ms = 0;
        double recompute_ms_per_token = 1.0;
        std::vector<PartKey> parts;  // no part twice
    };
    struct Account {
        TenantNumber tenant = 0;
        std::string name;
        std::uint64_t bytes = 0;
    };
    using UnclaimedKey = std::tuple<std::int64_t, BlockId, PartKind>;

    class ClaimedVictims;

    // Parts that are to go, and what that frees.
    struct Choice {
        std::vector<PartKey> parts;
        std::uint64_t freed = 0;
    };
    void take_unclaimed(Choice &choice, std::uint64_t bytes, TenantNumber tenant) const;
    void take_claimed(Choice &choice, std::uint64_t bytes, TenantNumber tenant, std::string_view spared,
                      std::int64_t now_ms) const;

    std::optional<TenantNumber> known_tenant(std::string_view tenant) const;
    AccountNumber account_number(std::string_view tenant, std::string_view name);
    TenantNumber tenant_of(const Entry &entry) const { return accounts_[entry.account].tenant; }
    void count_bytes(AccountNumber account, const File &file);
    void uncount_bytes(AccountNumber account, const File &file);
    void assign(Entry &entry, AccountNumber account);
    void count_claim(const PartKey &key, AccountNumber account);
    // `stays`: the claimant goes on listing it.
    void uncount_claim(const PartKey &key, AccountNumber account, bool stays);
    void enter_unclaimed(const PartKey &key, const File &file);
    void leave_unclaimed(const PartKey &key, const File &file);
    void forget_if_empty(const PartKey &key);

    std::unordered_map<PartKey, Entry> entries_;
    std::unordered_map<std::string, Claimant> claimants_;
    std::vector<TenantBytes> tenants_{TenantBytes{}};
    std::map<std::string, TenantNumber, std::less<>> tenant_numbers_;
    std::vector<Account> accounts_{Account{}};
    std::map<std::pair<TenantNumber, std::string>, AccountNumber> account_numbers_;
    std::set<UnclaimedKey> unclaimed_;
    std::uint64_t bytes_ = 0;
    std::uint64_t parts_ = 0;
    std::uint64_t unclaimed_bytes_ = 0;
};

}  // namespace engram
