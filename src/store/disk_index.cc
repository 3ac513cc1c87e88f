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
    const auto found = entries_.find(key);
    AccountNumber account = found == entries_.end() ? 0 : found->second.account;
    if (!tenant.empty() && tenants_[accounts_[account].tenant].tenant != tenant) account = account_number(tenant, {});
    erase(key);
    Entry &entry = entries_[key];
    entry.account = account;
    count_bytes(account, file);
    if (entry.claims == 0) enter_unclaimed(key, file);
    entry.file = file;
}

void DiskIndex::erase(const PartKey &key) {
    const auto found = entries_.find(key);
    if (found == entries_.end() || !found->second.file.has_value()) return;
    Entry &entry = found->second;
    uncount_bytes(entry.account, *entry.file);
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
    Claimant &claimant = claimants_[claim.claimant];
    const AccountNumber before = std::exchange(claimant.account, account_number(claim.tenant, claim.account));
    claimant.pinned = claim.pinned;
    claimant.last_used_ms = claim.last_used_ms;
    claimant.kept_until_ms = claim.kept_until_ms;
    claimant.recompute_ms_per_token = claim.recompute_ms_per_token;
    std::vector<PartKey> parts;
    parts.reserve(claim.parts.size());
    std::unordered_set<PartKey> seen(claim.parts.size());
    for (const PartKey &key : claim.parts) {
        if (seen.insert(key).second) parts.push_back(key);
    }
    // Count the new list before the old one is forgotten, so that what stays is never unclaimed in between.
    for (const PartKey &key : parts) count_claim(key, claimant.account);
    std::swap(claimant.parts, parts);
    for (const PartKey &key : parts) uncount_claim(key, before, before == claimant.account && seen.contains(key));
}

void DiskIndex::hold(const PartKey &key, std::string_view claimant, std::string_view tenant, std::int64_t now_ms) {
    const auto [place, made] = claimants_.try_emplace(std::string(claimant));
    Claimant &holder = place->second;
    if (made) {
        holder.account = account_number(tenant, {});
        holder.last_used_ms = now_ms;
    }
    if (std::ranges::contains(holder.parts, key)) return;
    holder.parts.push_back(key);
    count_claim(key, holder.account);
}

void DiskIndex::release(std::string_view claimant) {
    const auto found = claimants_.find(std::string(claimant));
    if (found == claimants_.end()) return;
    for (const PartKey &key : found->second.parts) uncount_claim(key, found->second.account, false);
    claimants_.erase(found);
}

std::uint32_t DiskIndex::claims(const PartKey &key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? 0 : found->second.claims;
}

std::span<const PartKey> DiskIndex::claimed_by(const std::string &claimant) const {
    const auto found = claimants_.find(claimant);
    return found == claimants_.end() ? std::span<const PartKey>() : found->second.parts;
}

// Takes a tenant's claimed parts from the ends of the claimants' lists: without a promise first, then least valuable first.
class DiskIndex::ClaimedVictims {
  public:
    ClaimedVictims(const DiskIndex &index, TenantNumber tenant, std::string_view spared, std::int64_t now_ms)
        : index_(index), now_ms_(now_ms) {
        for (const auto &[name, claimant] : index.claimants_) {
            // Pinned claimants, the spared one and other tenants never offer a part, so none that they hold has all its
            // claimants' consent.
            if (claimant.pinned || name == spared || index.accounts_[claimant.account].tenant != tenant) continue;
            offer_last({.claimant = &claimant, .left = claimant.parts.size()});
        }
    }

    std::optional<PartKey> next() {
        if (ready_.empty()) return std::nullopt;
        const PartKey key = std::get<PartKey>(ready_.top());
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
        bool kept = false;            // one of them was promised to keep it
        double score = 0;
    };
    using Ready = std::tuple<bool, double, PartKey>;  // kept, score
    struct LessValuableFirst {
        static auto order(const Ready &ready) {
            const auto &[kept, score, key] = ready;
            return std::tie(kept, score, key.id, key.kind);
        }
        bool operator()(const Ready &a, const Ready &b) const { return order(a) > order(b); }
    };

    void offer_last(Cursor cursor) {
        while (cursor.left > 0) {
            const PartKey &key = cursor.claimant->parts[--cursor.left];
            const Entry &entry = index_.entries_.at(key);
            if (!entry.file.has_value()) continue;
            Offer &offer = offers_[key];
            offer.cursors.push_back(cursor);
            offer.kept |= cursor.claimant->kept_until_ms > now_ms_;
            offer.score += eviction_score({.recompute_ms_per_token = cursor.claimant->recompute_ms_per_token,
                                           .tokens = entry.file->tokens == 0 ? kAssumedTokens : entry.file->tokens,
                                           .bytes = entry.file->bytes,
                                           .age_ms = now_ms_ - cursor.claimant->last_used_ms});
            if (offer.cursors.size() == entry.claims) ready_.emplace(offer.kept, offer.score, key);
            return;
        }
    }

    const DiskIndex &index_;
    const std::int64_t now_ms_;
    std::unordered_map<PartKey, Offer> offers_;
    std::priority_queue<Ready, std::vector<Ready>, LessValuableFirst> ready_;
};

void DiskIndex::take_unclaimed(Choice &choice, std::uint64_t bytes, TenantNumber tenant) const {
    for (auto place = unclaimed_.begin(); place != unclaimed_.end() && choice.freed < bytes; ++place) {
        const PartKey key{.id = std::get<1>(*place), .kind = std::get<2>(*place)};
        const Entry &entry = entries_.at(key);
        if (tenant_of(entry) != tenant) continue;
        choice.parts.push_back(key);
        choice.freed += entry.file->bytes;
    }
}

void DiskIndex::take_claimed(Choice &choice, std::uint64_t bytes, TenantNumber tenant, std::string_view spared,
                             std::int64_t now_ms) const {
    if (choice.freed >= bytes) return;
    for (ClaimedVictims claimed(*this, tenant, spared, now_ms); choice.freed < bytes;) {
        const std::optional<PartKey> key = claimed.next();
        if (!key.has_value()) return;
        choice.parts.push_back(*key);
        choice.freed += entries_.at(*key).file->bytes;
    }
}

std::vector<PartKey> DiskIndex::own_victims(std::uint64_t bytes, const Writer &writer, std::int64_t now_ms) const {
    Choice choice;
    if (const auto tenant = known_tenant(writer.tenant)) {
        take_unclaimed(choice, bytes, *tenant);
        take_claimed(choice, bytes, *tenant, writer.claimant, now_ms);
    }
    return std::move(choice.parts);
}

std::vector<PartKey> DiskIndex::victims(const Pressure &pressure, const Writer &writer, std::int64_t now_ms) const {
    const std::optional<TenantNumber> own = known_tenant(writer.tenant);
    Choice choice;
    take_unclaimed(choice, pressure.bytes, 0);  // a leftover of nobody who is known
    if (own) take_unclaimed(choice, pressure.bytes, *own);
    std::vector<TenantNumber> holders;
    for (TenantNumber number = 1; number < tenants_.size(); ++number) {
        if (tenants_[number].bytes > 0 && number != own) holders.push_back(number);
    }
    const std::uint64_t share = pressure.budget / (holders.size() + 1);
    const std::uint64_t own_bytes = own ? tenants_[*own].bytes : 0;
    if (own_bytes + pressure.incoming <= share) {
        std::ranges::stable_sort(holders, std::ranges::greater(), [&](TenantNumber number) { return tenants_[number].bytes; });
        for (const TenantNumber number : holders) {
            if (choice.freed >= pressure.bytes || tenants_[number].bytes <= share) break;
            const std::uint64_t above = tenants_[number].bytes - share;
            const std::uint64_t until = std::min(pressure.bytes, choice.freed + above);
            take_unclaimed(choice, until, number);
            take_claimed(choice, until, number, {}, now_ms);
        }
    }
    if (own) take_claimed(choice, pressure.bytes, *own, writer.claimant, now_ms);
    if (choice.freed < pressure.bytes) choice.parts.clear();
    return std::move(choice.parts);
}

std::string_view DiskIndex::tenant_of(const PartKey &key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? std::string_view() : std::string_view(tenants_[tenant_of(found->second)].tenant);
}

std::uint64_t DiskIndex::bytes_of(std::string_view tenant) const {
    const auto number = known_tenant(tenant);
    return number ? tenants_[*number].bytes : 0;
}

std::vector<StoredBytes> DiskIndex::stored() const {
    std::vector<StoredBytes> list;
    for (const Account &account : accounts_) {
        if (account.bytes == 0) continue;
        list.push_back({.tenant = tenants_[account.tenant].tenant, .account = account.name, .bytes = account.bytes});
    }
    return list;
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

std::optional<DiskIndex::TenantNumber> DiskIndex::known_tenant(std::string_view tenant) const {
    const auto found = tenant_numbers_.find(tenant);
    return found == tenant_numbers_.end() ? std::nullopt : std::optional(found->second);
}

DiskIndex::AccountNumber DiskIndex::account_number(std::string_view tenant, std::string_view name) {
    std::optional<TenantNumber> number = known_tenant(tenant);
    if (!number) {
        number = static_cast<TenantNumber>(tenants_.size());
        tenants_.push_back({.tenant = std::string(tenant)});
        tenant_numbers_.emplace(tenant, *number);
    }
    const auto [place, made] =
        account_numbers_.try_emplace({*number, std::string(name)}, static_cast<AccountNumber>(accounts_.size()));
    if (made) accounts_.push_back({.tenant = *number, .name = std::string(name)});
    return place->second;
}

void DiskIndex::count_bytes(AccountNumber account, const File &file) {
    bytes_ += file.bytes;
    ++parts_;
    accounts_[account].bytes += file.bytes;
    TenantBytes &tenant = tenants_[accounts_[account].tenant];
    tenant.bytes += file.bytes;
    ++tenant.parts;
}

void DiskIndex::uncount_bytes(AccountNumber account, const File &file) {
    bytes_ -= file.bytes;
    --parts_;
    accounts_[account].bytes -= file.bytes;
    TenantBytes &tenant = tenants_[accounts_[account].tenant];
    tenant.bytes -= file.bytes;
    --tenant.parts;
}

void DiskIndex::assign(Entry &entry, AccountNumber account) {
    if (entry.file.has_value()) {
        uncount_bytes(entry.account, *entry.file);
        count_bytes(account, *entry.file);
    }
    entry.account = account;
}

void DiskIndex::count_claim(const PartKey &key, AccountNumber account) {
    Entry &entry = entries_[key];
    if (entry.claims++ == 0 && entry.file.has_value()) leave_unclaimed(key, *entry.file);
    const Account &owner = accounts_[entry.account];
    if (owner.name.empty() || owner.tenant != accounts_[account].tenant) assign(entry, account);
}

void DiskIndex::uncount_claim(const PartKey &key, AccountNumber account, bool stays) {
    Entry &entry = entries_.at(key);
    if (--entry.claims == 0 && entry.file.has_value()) enter_unclaimed(key, *entry.file);
    if (!stays && entry.account == account) assign(entry, account_number(tenants_[accounts_[account].tenant].tenant, {}));
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
