#include "agents/manifest_publisher.h"

#include <algorithm>
#include <ranges>
#include <unordered_set>

#include "core/retention.h"

namespace engram {

namespace {

// So many tokens of context double what computing one more costs, which is taken as a millisecond at the beginning: attention
// looks at all of them. A rough figure; what counts is that a long conversation is worth more for each byte than short ones that
// came after it.
constexpr double kDoublingTokens = 4096;

}  // namespace

Claim claim_of(const AgentRow &row, const Manifest &manifest, const Manifest *older) {
    Claim claim{.claimant = row.key.tenant + "/" + row.key.id,
                .tenant = row.key.tenant,
                .pinned = row.pinned || row.retention == Retention::forever,
                .last_used_ms = row.last_used_ms,
                .kept_until_ms = kept_until_ms(row.retention, row.last_used_ms),
                // Conversations come and go; what they hold counts for their tenant.
                .account = row.kind == AgentKind::agent ? row.key.id : std::string(),
                .recompute_ms_per_token = 1.0 + static_cast<double>(manifest.n_kv) / kDoublingTokens};
    std::unordered_set<PartKey> named;
    for (const Manifest *source : {&manifest, older}) {
        if (source == nullptr) continue;
        for (const ManifestPart &part : source->parts) {
            const PartKey key{.id = part.id, .kind = part.kind};
            if (named.insert(key).second) claim.parts.push_back(key);
        }
    }
    return claim;
}

ManifestPublisher::ManifestPublisher(Registry &registry, BlockStore &store)
    : registry_(registry), store_(store), thread_([this](const std::stop_token &stop) { run(stop); }) {}

ManifestPublisher::~ManifestPublisher() {
    thread_.request_stop();
    changed_.notify_all();
}

void ManifestPublisher::publish(AgentRow row, Manifest manifest, std::optional<Manifest> older) {
    {
        const std::scoped_lock lock(mutex_);
        // What is superseded is what the registry has, not a manifest that never came to be there.
        if (const auto held = std::ranges::find(held_back_, row.key, [](const Item &item) { return item.row.key; });
            held != held_back_.end()) {
            older = std::move(held->older);
            held_back_.erase(held);
        }
        store_.claim(claim_of(row, manifest, older ? &*older : nullptr));
        items_.push_back(
            {.row = std::move(row), .manifest = std::move(manifest), .older = std::move(older), .number = ++last_number_});
    }
    changed_.notify_all();
}

std::optional<Manifest> ManifestPublisher::newest(const AgentKey &key) const {
    const std::scoped_lock lock(mutex_);
    for (const Item &item : std::ranges::reverse_view(items_)) {
        if (item.row.key == key) return item.manifest;
    }
    for (const Item &item : held_back_) {
        if (item.row.key == key) return item.manifest;
    }
    return std::nullopt;
}

void ManifestPublisher::retry(const AgentKey &key) {
    {
        const std::scoped_lock lock(mutex_);
        const auto held = std::ranges::find(held_back_, key, [](const Item &item) { return item.row.key; });
        if (held == held_back_.end()) return;
        Item item = std::move(*held);
        held_back_.erase(held);
        item.number = ++last_number_;
        items_.push_back(std::move(item));
    }
    changed_.notify_all();
}

void ManifestPublisher::wait() const {
    std::unique_lock lock(mutex_);
    const std::uint64_t number = last_number_;
    changed_.wait(lock, [&] { return items_.empty() || items_.front().number > number; });
}

std::string ManifestPublisher::last_error(std::string_view tenant) const {
    const std::scoped_lock lock(mutex_);
    const auto found = last_errors_.find(tenant);
    return found == last_errors_.end() ? std::string() : found->second;
}

void ManifestPublisher::run(const std::stop_token &stop) {
    for (;;) {
        Item item;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, stop, [this] { return !items_.empty(); });
            if (items_.empty()) return;
            item = items_.front();
        }
        commit(std::move(item));
        {
            const std::scoped_lock lock(mutex_);
            items_.pop_front();
        }
        changed_.notify_all();
    }
}

bool ManifestPublisher::all_written(const Manifest &manifest) const {
    return std::ranges::all_of(manifest.parts, [this](const ManifestPart &part) {
        const auto stored = store_.info({.id = part.id, .kind = part.kind});
        return stored && stored->file_bytes > 0;
    });
}

void ManifestPublisher::commit(Item item) {
    store_.wait_until_written();
    std::string error;
    if (!all_written(item.manifest)) {
        error = store_.last_write_error();
        if (error.empty()) error = store_.refusal(item.row.key.tenant);
        if (error.empty()) error = "parts of the agent's KV were evicted before they were all written: the budget is too small";
    } else if (const auto set = registry_.set_manifest(item.row.key, item.manifest); !set) {
        // An agent that was removed meanwhile needs no manifest.
        if (set.error().code == ErrorCode::not_found) return;
        error = set.error().message;
    }
    {
        const std::scoped_lock lock(mutex_);
        // A later turn of the agent has made its own claim, and supersedes this manifest, whatever became of it.
        const bool later = std::ranges::any_of(
            items_, [&](const Item &other) { return other.number > item.number && other.row.key == item.row.key; });
        if (!error.empty() && later) return;
        last_errors_[item.row.key.tenant] = error;
        if (!error.empty()) {
            held_back_.push_back(std::move(item));
            return;
        }
        if (!later) store_.claim(claim_of(item.row, item.manifest, nullptr));
    }
    if (!item.older) return;
    std::unordered_set<PartKey> kept;
    for (const ManifestPart &part : item.manifest.parts) kept.insert({.id = part.id, .kind = part.kind});
    std::vector<PartKey> superseded;
    for (const ManifestPart &part : item.older->parts) {
        if (!kept.contains({.id = part.id, .kind = part.kind})) superseded.push_back({.id = part.id, .kind = part.kind});
    }
    // Parts that somebody claims stay; what can't be deleted now is deleted at the next start.
    static_cast<void>(store_.remove(superseded));
}

}  // namespace engram
