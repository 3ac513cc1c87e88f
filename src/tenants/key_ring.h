// The keys and quotas that were read last, for looking things up without touching the file.
//
// Immutable, so that any thread may use one that another thread is about to replace. Keys are found by their hash. How long that
// takes can only tell something about hashes, and who wants to use that must choose what his guesses hash to: no key comes nearer
// by it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "tenants/tenant_store.h"

namespace engram {

class KeyRing {
  public:
    explicit KeyRing(TenantTables tables, bool locked_before = false);

    // Whether there are keys at all, be they valid, revoked or damaged, or were in the ring before this one. Then nobody is let
    // in without one: neither the last key's end nor a file that was moved away may open the door.
    bool locked() const { return locked_; }

    // The key with this text, when it is valid now and its tenant is known; else null. The row lives as long as the ring.
    const KeyRow *find(std::string_view text, std::int64_t now_ms) const;

    // No limits for a tenant that isn't known: the default tenant of a file without rows, or one that only commands without a
    // server use.
    Quota quota(std::string_view tenant) const;

    std::vector<std::string> tenants() const;  // those with a quota
    const std::vector<std::string> &problems() const { return problems_; }

  private:
    std::map<KeyHash, KeyRow> keys_;
    std::map<std::string, Quota, std::less<>> quotas_;
    std::vector<std::string> problems_;
    bool locked_ = false;
};

}  // namespace engram
