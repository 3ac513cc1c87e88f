// AgentManager: where agents' KV is; moving and comparing it.
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <format>
#include <memory>

#include "agents/manager_impl.h"
#include "chat/agent_card.h"

namespace engram {

namespace {

// Whether the agent's next turn needs the part, or only one that goes back to a checkpoint.
bool is_of_the_end(const ManifestPart &part, const Manifest &manifest, const Context &context) {
    const auto end = static_cast<std::int64_t>(manifest.n_kv);
    switch (part.kind) {
        case PartKind::attention: return true;
        case PartKind::window: return part.first_position + std::int64_t{part.rows} > end - std::int64_t{context.window()};
        case PartKind::state: return part.first_position == end;
    }
    return true;
}

}  // namespace

std::set<AgentKey> AgentManager::Impl::hot_agents() {
    return engine->call([&] {
        std::set<AgentKey> hot;
        for (const auto &resident : engine->residents()) {
            if (!resident->kv.empty()) hot.insert(resident->key);
        }
        return hot;
    });
}

bool AgentManager::Impl::usable(const Manifest &manifest) const {
    return manifest.fingerprint == context->fingerprint() && manifest.block_tokens == options.storage.block_tokens;
}

std::string AgentManager::Impl::tier_below_context(const Result<std::optional<Manifest>> &manifest) const {
    if (!store || !manifest || !*manifest || (*manifest)->n_kv == 0 || !usable(**manifest)) return "none";
    Tier slowest = Tier::memory;
    for (const ManifestPart &part : (*manifest)->parts) {
        const auto tier = store->find({.id = part.id, .kind = part.kind});
        if (!tier) return "none";
        if (is_of_the_end(part, **manifest, *context)) slowest = std::max(slowest, *tier);
    }
    return std::string(tier_name(slowest));
}

AgentInfo AgentManager::Impl::info(const AgentRow &row, const std::set<AgentKey> &hot) const {
    AgentInfo info{.id = row.key.id,
                   .tenant = row.key.tenant,
                   .system_prompt = row.system_prompt,
                   .description = row.description,
                   .forked_from = row.forked_from,
                   .model = row.model,
                   .tools = row.tools,
                   .n_tokens = row.n_tokens,
                   .n_messages = row.n_messages,
                   .n_turns = row.n_turns,
                   .created_ms = row.created_ms,
                   .updated_ms = row.updated_ms,
                   .last_used_ms = row.last_used_ms,
                   .pinned = row.pinned,
                   .retention = row.retention,
                   .conversation = row.kind == AgentKind::conversation,
                   .session = row.session,
                   .expires_ms = row.expires_ms,
                   .card = parse_card(row.card).value_or(AgentCard())};
    const auto manifest = newest_manifest(row.key);
    info.tier = hot.contains(row.key) ? std::string(tier_name(Tier::hot)) : tier_below_context(manifest);
    if (store && manifest && *manifest) {
        for (const ManifestPart &part : (*manifest)->parts) {
            const auto stored = store->info({.id = part.id, .kind = part.kind});
            if (!stored) continue;
            info.disk_bytes += stored->file_bytes;
            if (stored->claims <= 1) info.disk_bytes_exclusive += stored->file_bytes;
            info.memory_bytes += stored->memory_bytes;
        }
    }
    return info;
}

Result<SegmentIdentity> AgentManager::Impl::segment_of_part(const AgentKey &key, const Manifest &manifest,
                                                            const ManifestPart &part, std::span<const Token> tokens) const {
    const SegmentGrid grid = grid_of(manifest);
    const BlockId root = chain_root(key.tenant, manifest.fingerprint, grid.block_tokens);
    const auto held = tokens.first(std::min<std::size_t>(tokens.size(), manifest.n_kv));
    const std::vector<BlockId> chain = chain_of(root, held, grid);
    const auto found = std::ranges::find(chain, part.id);
    if (found == chain.end()) {
        return fail(ErrorCode::corrupt, std::format("agent {}'s manifest names block {}, which its tokens don't lead to", key.id,
                                                    part.id.hex().substr(0, 16)));
    }
    const auto index = static_cast<std::size_t>(found - chain.begin());
    return segment_of(root, chain, held, index, grid, manifest.fingerprint);
}

Result<void> AgentManager::Impl::load(const AgentKey &key) {
    ENGRAM_ASSIGN(TurnPlan plan, committed_plan(key));
    const std::size_t stored = plan.stored_tokens.size();
    plan.load_only = true;
    // One token more than is to come back: a plan never reuses its last token.
    plan.tokens.push_back(0);
    ENGRAM_ASSIGN(const TurnEnd end, run_one(std::move(plan)));
    if (end.result.reused_tokens == 0 && stored == 0) {
        return fail(ErrorCode::not_found,
                    std::format("agent {} has no stored KV for this model: its next turn computes it", key.id));
    }
    if (end.result.miss && end.result.reused_tokens < stored) {
        return fail(ErrorCode::corrupt,
                    std::format("only {} of agent {}'s {} tokens came back ({}): its next turn computes the rest",
                                end.result.reused_tokens, key.id, stored, end.result.miss->reason));
    }
    return {};
}

Result<void> AgentManager::load(std::string_view id) {
    ENGRAM_TRY(validate_agent_id(id));
    const auto hold = impl_->gates.take(key_of(id));
    return impl_->load(key_of(id));
}

Result<void> AgentManager::prewarm(std::string_view id) {
    ENGRAM_TRY(validate_agent_id(id));
    ENGRAM_TRY(impl_->registry->get(key_of(id)));
    if (!impl_->preloader) return fail(ErrorCode::not_found, std::format("agent {} has no stored KV that could be read", id));
    return impl_->preloader->ask(key_of(id));
}

bool AgentManager::Impl::on_disk(const ManifestPart &part) const {
    const auto stored = store->info({.id = part.id, .kind = part.kind});
    return stored && stored->file_bytes > 0;
}

Result<void> AgentManager::Impl::write_missing_parts(const AgentKey &key) {
    if (!store) return {};
    wait_for_manifests();
    const auto manifest = newest_manifest(key);
    if (!manifest || !*manifest) return {};
    store->wait_until_written();
    std::vector<Token> tokens;
    for (const ManifestPart &part : (*manifest)->parts) {
        if (on_disk(part)) continue;
        auto image = store->memory_image({.id = part.id, .kind = part.kind});
        if (!image) continue;
        if (tokens.empty()) {
            ENGRAM_ASSIGN(tokens, registry->tokens(key));
        }
        ENGRAM_ASSIGN(SegmentIdentity segment, segment_of_part(key, **manifest, part, tokens));
        ENGRAM_TRY(store->write(
            {.segment = std::move(segment), .image = std::move(*image), .claimant = claimant(key), .tenant = key.tenant}));
    }
    publisher->retry(key);
    wait_for_manifests();
    const std::string refusal = store->refusal(key.tenant);
    const auto is_on_disk = [&](const ManifestPart &part) { return on_disk(part); };
    if (!refusal.empty() && !std::ranges::all_of((*manifest)->parts, is_on_disk)) return fail(ErrorCode::over_budget, refusal);
    return {};
}

Result<void> AgentManager::save(std::string_view id) {
    ENGRAM_TRY(validate_agent_id(id));
    const auto hold = impl_->gates.take(key_of(id));
    ENGRAM_TRY(impl_->registry->get(key_of(id)));
    return impl_->write_missing_parts(key_of(id));
}

Result<void> AgentManager::save_all() {
    ENGRAM_ASSIGN(const std::vector<AgentRow> rows, impl_->registry->list(tenant_));
    for (const AgentRow &row : rows) ENGRAM_TRY(save(row.key.id));
    return {};
}

Result<void> AgentManager::save_everything() {
    if (!impl_->store) return {};
    if (impl_->store->drain()) {
        impl_->wait_for_manifests();
        return {};
    }
    // Something could not be written since the last time. What is still in memory gets another chance; a budget that leaves no
    // room is kept, and no failure.
    ENGRAM_ASSIGN(const std::vector<AgentRow> rows, impl_->registry->list({}));
    Result<void> first_failure;
    for (const AgentRow &row : rows) {
        const auto hold = impl_->gates.take(row.key);
        Result<void> written = impl_->write_missing_parts(row.key);
        if (!written && written.error().code != ErrorCode::over_budget && first_failure) first_failure = std::move(written);
    }
    return first_failure;
}

Result<void> AgentManager::evict(std::string_view id, EvictTo to) {
    ENGRAM_TRY(save(id));
    const auto hold = impl_->gates.take(key_of(id));
    const AgentKey key = key_of(id);
    impl_->engine->call([&] { impl_->engine->drop(key); });
    if (!impl_->store) return {};
    const auto manifest = impl_->registry->manifest(key);
    if (!manifest || !*manifest) return {};
    if (to == EvictTo::disk) {
        impl_->store->drop_from_memory(Impl::parts_of(**manifest));
        return {};
    }
    if (!impl_->usable(**manifest)) return {};  // nobody here would take it from memory
    ENGRAM_ASSIGN(const std::vector<Token> tokens, impl_->registry->tokens(key));
    for (const ManifestPart &part : (*manifest)->parts) {
        const PartKey part_key{.id = part.id, .kind = part.kind};
        if (impl_->store->memory_image(part_key)) continue;
        ENGRAM_ASSIGN(const SegmentIdentity segment, impl_->segment_of_part(key, **manifest, part, tokens));
        ENGRAM_ASSIGN(PartImage image, impl_->context->compose(part.kind, part.first_position, part.rows));
        ENGRAM_TRY(impl_->store->read(segment, part.kind, part.first_position, part.rows, image, 0));
        impl_->store->keep_in_memory(part_key, image);
    }
    return {};
}

Result<std::vector<float>> AgentManager::next_logits(std::string_view id) {
    ENGRAM_ASSIGN(std::vector<std::vector<float>> logits, logits_along(id, {}));
    return std::move(logits.front());
}

Result<std::vector<std::vector<float>>> AgentManager::logits_along(std::string_view id, std::span<const std::int32_t> following) {
    ENGRAM_TRY(validate_agent_id(id));
    const auto hold = impl_->gates.take(key_of(id));
    const AgentKey key = key_of(id);
    ENGRAM_ASSIGN(TurnPlan plan, impl_->committed_plan(key));
    const auto before = impl_->engine->call([&] {
        const Resident *resident = impl_->engine->find(key);
        return resident == nullptr ? plan.stored_tokens.size() : resident->kv.size();
    });
    const std::size_t needed = plan.tokens.size() + following.size();
    if (needed > impl_->context->cells()) {
        return fail(ErrorCode::too_long, std::format("{} tokens and {} that follow are more than the context's {} cells",
                                                     plan.tokens.size(), following.size(), impl_->context->cells()));
    }
    plan.probe = true;
    plan.following.assign(following.begin(), following.end());
    plan.max_tokens = static_cast<std::uint32_t>(following.size());
    ENGRAM_ASSIGN(TurnEnd end, impl_->run_one(std::move(plan)));
    // The agent is left as it was, so that its next turn computes what it would have computed without the probe.
    impl_->engine->call([&] {
        Resident *resident = impl_->engine->find(key);
        if (resident == nullptr || resident->kv.size() <= before) return;
        if (before > 0 && impl_->context->cut(resident->sequence, static_cast<Position>(before))) {
            resident->kv.resize(before);
        } else {
            impl_->engine->drop(key);
        }
    });
    return std::move(end.logits);
}

Result<std::string> AgentManager::kv_digest(std::string_view id) {
    ENGRAM_TRY(validate_agent_id(id));
    const auto hold = impl_->gates.take(key_of(id));
    const AgentKey key = key_of(id);
    const bool hot = impl_->engine->call([&] { return impl_->engine->find(key) != nullptr; });
    if (!hot) ENGRAM_TRY(impl_->load(key));
    return impl_->engine->call([&]() -> Result<std::string> {
        const Resident *resident = impl_->engine->find(key);
        if (resident == nullptr || resident->kv.empty()) return fail(ErrorCode::not_found, "the agent has no KV in the context");
        Context &context = *impl_->context;
        const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> hash(XXH3_createState(), &XXH3_freeState);
        XXH3_128bits_reset(hash.get());
        const auto n = static_cast<Position>(resident->kv.size());
        const auto add = [&](PartKind kind, Position first, Position rows) -> Result<void> {
            ENGRAM_ASSIGN(const PartImage image, context.take(resident->sequence, kind, first, static_cast<std::uint32_t>(rows)));
            for (std::size_t i = 0; i < image.layout->tensors.size(); ++i) {
                XXH3_128bits_update(hash.get(), image.tensor(i).data(), image.tensor(i).size());
            }
            return {};
        };
        if (context.has_attention()) {
            const auto block = static_cast<Position>(impl_->options.storage.block_tokens);
            for (Position first = 0; first < n; first += block)
                ENGRAM_TRY(add(PartKind::attention, first, std::min(block, n - first)));
        }
        if (context.has_window()) {
            const Position from = std::max<Position>(0, n - static_cast<Position>(context.window()));
            ENGRAM_TRY(add(PartKind::window, from, n - from));
        }
        if (context.has_state()) ENGRAM_TRY(add(PartKind::state, n, 1));
        const XXH128_hash_t digest = XXH3_128bits_digest(hash.get());
        return std::format("{:016x}{:016x}", digest.high64, digest.low64);
    });
}

ManagerStats AgentManager::stats() const {
    ManagerStats stats;
    if (const auto rows = impl_->registry->list(tenant_)) stats.agents = rows->size();
    impl_->engine->call([&] {
        stats.hot_agents = impl_->engine->residents().size();
        stats.context_cells_used = impl_->engine->cells_used();
        stats.batches = impl_->engine->batches();
    });
    stats.context_cells = impl_->context->cells();
    stats.memory_class = memory_class_name(impl_->context->memory_class());
    stats.memory_class_note = impl_->context->memory_class_note();
    stats.fingerprint = impl_->context->fingerprint().hex();
    if (impl_->store) {
        const StoreStats store = impl_->store->stats();
        const RecoveryReport recovery = impl_->store->recovery();
        stats.disk_bytes = store.disk_bytes;
        stats.disk_budget_bytes = store.disk_budget_bytes;
        stats.memory_bytes = store.memory_bytes;
        stats.memory_budget_bytes = store.memory_budget_bytes;
        stats.queue_bytes = store.queue_bytes;
        stats.quarantined_parts = store.quarantine_parts;
        stats.failed_writes = store.failed_writes;
        stats.evictions = store.evicted_disk_parts;
        stats.written_bytes = store.written_bytes;
        stats.deduplicated_parts = store.deduplicated_parts;
        stats.last_error = impl_->unstored(tenant_);
        stats.recovered_temporary_files = recovery.temporary_files_removed;
    }
    if (impl_->preloader) {
        const Preloader::Counts preloads = impl_->preloader->counts();
        stats.preloads_asked = preloads.asked;
        stats.preloads_learned = preloads.learned;
    }
    const std::scoped_lock lock(impl_->totals_mutex);
    stats.restored_tokens = impl_->totals.restored_tokens;
    stats.computed_tokens = impl_->totals.computed_tokens;
    stats.restores_from_memory = impl_->totals.from_memory;
    stats.restores_from_disk = impl_->totals.from_disk;
    stats.refused_corrupt = impl_->totals.corrupt;
    stats.refused_incompatible = impl_->totals.incompatible;
    stats.recovered_orphans = impl_->totals.orphans;
    if (impl_->totals.prefill_ms > 0) {
        stats.prefill_tokens_per_s = static_cast<double>(impl_->totals.prefill_tokens) * 1000.0 / impl_->totals.prefill_ms;
    }
    return stats;
}

}  // namespace engram
