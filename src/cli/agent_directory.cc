#include "cli/agent_directory.h"

#include <format>
#include <unordered_set>

#include "agents/agent_query.h"
#include "agents/paths.h"
#include "chat/agent_card.h"
#include "chat/tool_call.h"
#include "cli/home.h"

namespace engram::cli {
namespace {

using PartKeys = std::unordered_set<PartKey, PartKeyHash>;

PartKeys keys_of(const Manifest &manifest) {
    PartKeys keys;
    for (const ManifestPart &part : manifest.parts) {
        keys.insert({.id = part.id, .kind = part.kind});
    }
    return keys;
}

Result<void> validate_ids(std::string_view id, std::string_view new_id) {
    ENGRAM_TRY(validate_agent_id(id));
    return validate_agent_id(new_id);
}

}  // namespace

StoreOptions store_options(const ManagerOptions &options, bool read_only) {
    StoreOptions store;
    store.root = store_path(options.home);
    store.disk_budget_bytes = options.storage.disk_budget_bytes;
    store.memory_budget_bytes = options.storage.memory_budget_bytes;
    store.read_only = read_only;
    return store;
}

Result<std::vector<std::string>> claim_all(const Registry &registry, BlockStore &store) {
    std::vector<std::string> unreadable;
    ENGRAM_TRY(registry.for_each_manifest([&](const AgentRow &row, const Result<Manifest> &manifest) {
        const std::string name = std::format("{}/{}", row.key.tenant, row.key.id);
        if (!manifest) {
            unreadable.push_back(std::format("{}: {}", name, manifest.error().message));
            return;
        }
        Claim claim{
            .claimant = name, .tenant = row.key.tenant, .pinned = row.pinned, .last_used_ms = row.last_used_ms, .parts = {}};
        for (const ManifestPart &part : manifest->parts) {
            claim.parts.push_back({.id = part.id, .kind = part.kind});
        }
        store.claim(std::move(claim));
    }));
    return unreadable;
}

Result<AgentDirectory> AgentDirectory::open(const ManagerOptions &options, Access access) {
    AgentDirectory directory;
    directory.tenant_ = options.tenant;
    const bool change = access == Access::change;
    std::error_code error;
    if (change) {
        ENGRAM_TRY(ensure_home(options.home));
    }
    // The store first: its lock keeps the registry from changing under a running manager.
    if (change || std::filesystem::exists(store_path(options.home), error)) {
        ENGRAM_ASSIGN(directory.store_,
                      BlockStore::open(store_options(options, !change), posix_file_system(), system_clock(), nullptr));
    }
    if (change || std::filesystem::exists(registry_path(options.home), error)) {
        ENGRAM_ASSIGN(directory.registry_, Registry::open(registry_path(options.home)));
    }
    return directory;
}

Result<AgentDirectory::StoredParts> AgentDirectory::stored_parts() const {
    StoredParts stored;
    if (store_ != nullptr) {
        for (const PartInfo &part : store_->parts()) {
            stored[part.key] = {.file_bytes = part.file_bytes, .agents = 0};
        }
    }
    ENGRAM_TRY(registry_->for_each_manifest([&stored](const AgentRow &, const Result<Manifest> &manifest) {
        if (!manifest) {
            return;
        }
        for (const PartKey &key : keys_of(*manifest)) {
            if (auto part = stored.find(key); part != stored.end()) {
                ++part->second.agents;
            }
        }
    }));
    return stored;
}

AgentInfo AgentDirectory::info(const AgentRow &row, const StoredParts &stored) const {
    AgentInfo info;
    info.id = row.key.id;
    info.tenant = row.key.tenant;
    info.system_prompt = row.system_prompt;
    info.description = row.description;
    info.forked_from = row.forked_from;
    info.model = row.model;
    info.tools = row.tools;
    info.n_tokens = row.n_tokens;
    info.n_messages = row.n_messages;
    info.n_turns = row.n_turns;
    info.created_ms = row.created_ms;
    info.updated_ms = row.updated_ms;
    info.last_used_ms = row.last_used_ms;
    info.pinned = row.pinned;
    info.retention = row.retention;
    info.card = parse_card(row.card).value_or(AgentCard());
    info.tier = "none";
    // A manifest that can't be read is an agent without memory; its tokens make up for it at the next turn.
    const auto manifest = registry_->manifest(row.key);
    if (!manifest || !*manifest || (*manifest)->parts.empty()) {
        return info;
    }
    for (const PartKey &key : keys_of(**manifest)) {
        if (auto part = stored.find(key); part != stored.end()) {
            info.disk_bytes += part->second.file_bytes;
            info.disk_bytes_exclusive += part->second.agents == 1 ? part->second.file_bytes : 0;
        }
    }
    info.tier = info.disk_bytes > 0 ? "disk" : "none";
    return info;
}

Result<AgentRow> AgentDirectory::row(std::string_view id) const {
    ENGRAM_TRY(validate_agent_id(id));
    if (registry_ == nullptr) {
        return fail(ErrorCode::not_found, std::format("there is no agent \"{}\"", id));
    }
    return registry_->get({.tenant = tenant_, .id = std::string(id)});
}

Result<std::vector<AgentInfo>> AgentDirectory::list() const {
    std::vector<AgentInfo> agents;
    if (registry_ == nullptr) {
        return agents;
    }
    ENGRAM_ASSIGN(std::vector<AgentRow> rows, registry_->list(tenant_));
    ENGRAM_ASSIGN(StoredParts stored, stored_parts());
    for (const AgentRow &row : rows) {
        agents.push_back(info(row, stored));
    }
    return agents;
}

Result<AgentInfo> AgentDirectory::get(std::string_view id) const {
    ENGRAM_ASSIGN(AgentRow found, row(id));
    ENGRAM_ASSIGN(StoredParts stored, stored_parts());
    return info(found, stored);
}

Result<std::vector<Message>> AgentDirectory::transcript(std::string_view id) const {
    ENGRAM_ASSIGN(AgentRow found, row(id));
    ENGRAM_ASSIGN(std::vector<MessageRow> rows, registry_->messages(found.key));
    std::vector<Message> messages;
    if (!found.system_prompt.empty()) {
        messages.push_back({.role = "system", .content = found.system_prompt, .created_ms = found.created_ms});
    }
    for (MessageRow &message : rows) {
        messages.push_back({.role = std::move(message.role),
                            .content = std::move(message.content),
                            .created_ms = message.created_ms,
                            .tool_calls = std::move(message.tool_calls)});
    }
    return messages;
}

Result<AgentInfo> AgentDirectory::create(const AgentSpec &spec) {
    ENGRAM_TRY(validate_agent_id(spec.id));
    AgentRow fresh;
    fresh.key = {.tenant = tenant_, .id = spec.id};
    fresh.system_prompt = spec.system_prompt;
    fresh.description = spec.description;
    ENGRAM_ASSIGN(fresh.tools, checked_tools(spec.tools));
    fresh.retention = spec.retention;
    fresh.card = card_text(spec.card);
    fresh.created_ms = fresh.updated_ms = now_ms();
    ENGRAM_ASSIGN(AgentRow made, registry_->create(fresh));
    return info(made, {});
}

Result<AgentInfo> AgentDirectory::change(std::string_view id, const AgentChange &change) {
    ENGRAM_ASSIGN(const AgentRow before, row(id));
    ENGRAM_ASSIGN(const Registry::Description description, description_of(before, change));
    ENGRAM_TRY(registry_->describe(before.key, description, now_ms()));
    return get(id);
}

Result<AgentInfo> AgentDirectory::fork(std::string_view id, std::string_view new_id) {
    ENGRAM_TRY(validate_ids(id, new_id));
    const AgentKey source{.tenant = tenant_, .id = std::string(id)};
    ENGRAM_ASSIGN(const AgentRow from, registry_->get(source));
    ENGRAM_TRY(registry_->fork(source, new_id, now_ms(), UINT64_MAX, {.card = card_of_fork(from.card)}));
    return get(new_id);
}

Result<AgentInfo> AgentDirectory::rename(std::string_view id, std::string_view new_id) {
    ENGRAM_TRY(validate_ids(id, new_id));
    ENGRAM_TRY(registry_->rename({.tenant = tenant_, .id = std::string(id)}, new_id));
    return get(new_id);
}

Result<void> AgentDirectory::pin(std::string_view id, bool pinned) {
    ENGRAM_TRY(validate_agent_id(id));
    return registry_->set_pinned({.tenant = tenant_, .id = std::string(id)}, pinned);
}

Result<void> AgentDirectory::retain(std::string_view id, Retention retention) {
    ENGRAM_TRY(validate_agent_id(id));
    return registry_->set_retention({.tenant = tenant_, .id = std::string(id)}, retention);
}

Result<std::uint64_t> AgentDirectory::remove(std::string_view id) {
    ENGRAM_ASSIGN(AgentRow found, row(id));
    const auto manifest = registry_->manifest(found.key);  // unreadable: nothing can be said about its parts, gc finds them
    const std::uint64_t before = store_->stats().disk_bytes;
    // From here on the agent is gone, whatever happens to its files: those that stay are unclaimed and go first.
    ENGRAM_TRY(registry_->remove(found.key));
    if (manifest && *manifest) {
        const PartKeys keys = keys_of(**manifest);
        ENGRAM_ASSIGN(auto unreadable, claim_all(*registry_, *store_));
        if (unreadable.empty()) {  // else a part may be needed by an agent that can't say so
            const std::vector<PartKey> list(keys.begin(), keys.end());
            ENGRAM_TRY(store_->remove(list));
        }
    }
    return before - std::min(before, store_->stats().disk_bytes);
}

}  // namespace engram::cli
