#include <algorithm>
#include <format>
#include <system_error>

#include "agents/agent_query.h"
#include "agents/manager_impl.h"
#include "agents/paths.h"
#include "chat/agent_card.h"
#include "chat/tool_call.h"
#include "engine/codec.h"

namespace engram {

namespace {

// The registry's memo of file hashes, in the shape that the engine asks for.
class RegistryMemo final : public HashMemo {
  public:
    explicit RegistryMemo(Registry &registry) : registry_(registry) {}

    std::optional<Digest> find(const std::filesystem::path &path, std::uint64_t bytes, std::int64_t modified_ns,
                               std::uint64_t inode) const override {
        return registry_.remembered_hash(stamp(path, bytes, modified_ns, inode));
    }

    void remember(const std::filesystem::path &path, std::uint64_t bytes, std::int64_t modified_ns, std::uint64_t inode,
                  const Digest &digest) override {
        // A memo that can't be written only costs the next start a second hash.
        static_cast<void>(registry_.remember_hash(stamp(path, bytes, modified_ns, inode), digest));
    }

  private:
    static Registry::FileStamp stamp(const std::filesystem::path &path, std::uint64_t bytes, std::int64_t modified_ns,
                                     std::uint64_t inode) {
        return {.path = path.string(), .bytes = bytes, .modified_ns = modified_ns, .inode = inode};
    }

    Registry &registry_;
};

Result<void> check(const ManagerOptions &options) {
    ENGRAM_TRY(validate_tenant_id(options.tenant));
    ENGRAM_TRY(validate_block_tokens(options.storage.block_tokens));
    const std::uint32_t checkpoint = options.storage.checkpoint_tokens;
    if (checkpoint == 0 || checkpoint % options.storage.block_tokens != 0) {
        return fail(ErrorCode::invalid_argument,
                    std::format("the distance of checkpoints must be a multiple of the block's {} tokens, not {}",
                                options.storage.block_tokens, checkpoint));
    }
    if (!(options.model.prefill_share >= 0)) {
        return fail(ErrorCode::invalid_argument, "the share of a step that a prefill may take must be 0 or more");
    }
    if (!(options.storage.preload_threshold > 0 && options.storage.preload_threshold <= 1)) {
        return fail(ErrorCode::invalid_argument,
                    "the probability from which on an agent is preloaded must be above 0, and 1 at most");
    }
    if (options.home.empty()) return fail(ErrorCode::invalid_argument, "no home folder was given for the agents' memory");
    return {};
}

Result<std::optional<KvType>> stored_type(const std::string &name) {
    if (name.empty()) return std::nullopt;
    const auto type = kv_type_from_name(name);
    if (!type || *type == KvType::u8) {
        return fail(ErrorCode::invalid_argument, std::format("unknown type {} for stored KV: use f16, q8_0 or q4_0", name));
    }
    return type;
}

}  // namespace

AgentGates::Hold AgentGates::take(std::vector<AgentKey> keys) {
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [&] { return std::ranges::none_of(keys, [&](const AgentKey &key) { return busy_.contains(key); }); });
    busy_.insert(keys.begin(), keys.end());
    return {*this, std::move(keys)};
}

std::optional<AgentGates::Hold> AgentGates::try_take(const AgentKey &key) {
    {
        const std::scoped_lock lock(mutex_);
        if (!busy_.insert(key).second) return std::nullopt;
    }
    return Hold(*this, {key});
}

void AgentGates::release(const std::vector<AgentKey> &keys) {
    {
        const std::scoped_lock lock(mutex_);
        for (const AgentKey &key : keys) busy_.erase(key);
    }
    freed_.notify_all();
}

std::int64_t AgentManager::Impl::now_ms() const { return system_clock().wall_ms(); }

std::string AgentManager::Impl::model_name() const {
    return std::format("{} ({})", model->description(), model->content_hash().hex().substr(0, 8));
}

BlockId AgentManager::Impl::root(const AgentKey &key) const {
    return chain_root(key.tenant, context->fingerprint(), options.storage.block_tokens);
}

Result<void> AgentManager::Impl::open() {
    ENGRAM_TRY(check(options));
    ENGRAM_ASSIGN(const std::optional<KvType> lossy, stored_type(options.storage.stored_type));
    ENGRAM_TRY(posix_file_system().make_directories(options.home));
    if (options.persist) {
        // First the store: its lock keeps a second process away from the registry as well.
        ENGRAM_ASSIGN(store, BlockStore::open({.root = store_path(options.home),
                                               .disk_budget_bytes = options.storage.disk_budget_bytes,
                                               .memory_budget_bytes = options.storage.memory_budget_bytes,
                                               .stored_type = lossy},
                                              posix_file_system(), system_clock(), &engine_codec()));
    }
    ENGRAM_ASSIGN(registry, Registry::open(registry_path(options.home)));
    RegistryMemo memo(*registry);
    ENGRAM_ASSIGN(model, Model::load(options.model, &memo, nullptr));
    ENGRAM_ASSIGN(context, Context::create(*model, pool));
    embedder = std::make_unique<Embedder>(*model);
    ENGRAM_ASSIGN(chat,
                  ChatTemplate::create(model->chat_template(),
                                       {.bos = model->bos_text(), .eos = model->eos_text(), .adds_bos = model->adds_bos()}));
    if (store) {
        ENGRAM_TRY(registry->for_each_manifest([this](const AgentRow &row, const Result<Manifest> &manifest) {
            if (manifest) store->claim(claim_of(row, *manifest, nullptr));
        }));
        ENGRAM_ASSIGN(const RecoveryReport report, store->remove_unclaimed());
        totals.orphans = report.orphans_removed;
        publisher = std::make_unique<ManifestPublisher>(*registry, *store);
    }
    engine = std::make_unique<EngineThread>(*model, *context, store.get(),
                                            KvSettings{.checkpoint_tokens = options.storage.checkpoint_tokens,
                                                       .prefill_share = options.model.prefill_share,
                                                       .weigh_restores = options.storage.weigh_restores});
    if (store && context->memory_class() != MemoryClass::none) {
        preloader = std::make_unique<Preloader>(
            Preloader::Parts{.context = *context, .store = *store, .registry = *registry, .engine = *engine},
            Preloader::Settings{.guesses = options.storage.preload, .probability = options.storage.preload_threshold},
            [this](const AgentKey &key) { return committed_plan(key); });
    }
    remove_expired();
    return {};
}

Result<std::optional<Manifest>> AgentManager::Impl::newest_manifest(const AgentKey &key) const {
    if (publisher) {
        if (auto manifest = publisher->newest(key)) return manifest;
    }
    return registry->manifest(key);
}

void AgentManager::Impl::wait_for_manifests() const {
    if (publisher) publisher->wait();
}

std::vector<PartKey> AgentManager::Impl::parts_of(const Manifest &manifest) {
    std::vector<PartKey> keys;
    keys.reserve(manifest.parts.size());
    for (const ManifestPart &part : manifest.parts) keys.push_back({.id = part.id, .kind = part.kind});
    return keys;
}

Result<std::unique_ptr<AgentManager>> AgentManager::open(ManagerOptions options) {
    auto impl = std::make_shared<Impl>(std::move(options));
    ENGRAM_TRY(impl->open());
    return std::unique_ptr<AgentManager>(new AgentManager(impl, impl->options.tenant));
}

Result<std::unique_ptr<AgentManager>> AgentManager::for_tenant(std::string_view tenant) const {
    ENGRAM_TRY(validate_tenant_id(tenant));
    return std::unique_ptr<AgentManager>(new AgentManager(impl_, std::string(tenant)));
}

AgentManager::AgentManager(std::shared_ptr<Impl> impl, std::string tenant) : impl_(std::move(impl)), tenant_(std::move(tenant)) {}

AgentManager::~AgentManager() = default;

AgentKey AgentManager::key_of(std::string_view id) const { return {.tenant = tenant_, .id = std::string(id)}; }

Result<AgentInfo> AgentManager::create(const AgentSpec &spec) {
    ENGRAM_TRY(validate_agent_id(spec.id));
    ENGRAM_ASSIGN(const std::string tools, checked_tools(spec.tools));
    const std::int64_t now = impl_->now_ms();
    ENGRAM_ASSIGN(const AgentRow row, impl_->registry->create({.key = key_of(spec.id),
                                                               .system_prompt = spec.system_prompt,
                                                               .description = spec.description,
                                                               .created_ms = now,
                                                               .updated_ms = now,
                                                               .last_used_ms = now,
                                                               .tools = tools,
                                                               .retention = spec.retention,
                                                               .card = card_text(spec.card)}));
    return impl_->info(row);
}

Result<AgentInfo> AgentManager::change(std::string_view id, const AgentChange &change) {
    ENGRAM_TRY(validate_agent_id(id));
    const auto hold = impl_->gates.take(key_of(id));
    ENGRAM_ASSIGN(const AgentRow before, impl_->registry->get(key_of(id)));
    ENGRAM_ASSIGN(const Registry::Description description, description_of(before, change));
    impl_->wait_for_manifests();
    ENGRAM_TRY(impl_->registry->describe(key_of(id), description, impl_->now_ms()));
    ENGRAM_ASSIGN(const AgentRow row, impl_->registry->get(key_of(id)));
    return impl_->info(row);
}

Result<std::vector<AgentInfo>> AgentManager::find(const AgentQuery &query) const {
    ENGRAM_ASSIGN(std::vector<AgentInfo> agents, list());
    std::erase_if(agents, [&](const AgentInfo &info) { return info.conversation || !matches(info, query); });
    return agents;
}

Result<AgentInfo> AgentManager::get(std::string_view id) const {
    ENGRAM_TRY(validate_agent_id(id));
    ENGRAM_ASSIGN(const AgentRow row, impl_->registry->get(key_of(id)));
    return impl_->info(row);
}

Result<std::vector<AgentInfo>> AgentManager::list() const {
    ENGRAM_ASSIGN(const std::vector<AgentRow> rows, impl_->registry->list(tenant_));
    const std::set<AgentKey> hot = impl_->hot_agents();
    std::vector<AgentInfo> list;
    for (const AgentRow &row : rows) list.push_back(impl_->info(row, hot));
    return list;
}

Result<void> AgentManager::remove(std::string_view id) {
    ENGRAM_TRY(validate_agent_id(id));
    const auto hold = impl_->gates.take(key_of(id));
    ENGRAM_TRY(impl_->registry->get(key_of(id)));
    ENGRAM_TRY(impl_->remove(key_of(id)));
    if (!impl_->store) return {};
    // Deleted means gone: also what a cancelled turn left behind, or what only a damaged manifest named.
    ENGRAM_TRY(impl_->store->remove_unclaimed());
    return {};
}

Result<void> AgentManager::Impl::remove(const AgentKey &key) {
    wait_for_manifests();
    const auto manifest = registry->manifest(key);
    engine->call([&] { engine->drop(key); });
    ENGRAM_TRY(registry->remove(key));
    if (preloader) preloader->forget(key);
    if (!store) return {};
    store->release(claimant(key));
    if (manifest && *manifest) ENGRAM_TRY(store->remove(parts_of(**manifest)));
    return {};
}

Result<AgentInfo> AgentManager::rename(std::string_view id, std::string_view new_id) {
    ENGRAM_TRY(validate_agent_id(id));
    ENGRAM_TRY(validate_agent_id(new_id));
    if (id == new_id) return get(id);
    const auto hold = impl_->gates.take({key_of(id), key_of(new_id)});
    impl_->wait_for_manifests();
    ENGRAM_TRY(impl_->registry->rename(key_of(id), new_id));
    impl_->engine->call([&] { impl_->engine->drop(key_of(id)); });
    if (impl_->preloader) impl_->preloader->rename(key_of(id), new_id);
    ENGRAM_TRY(impl_->claim_anew(key_of(new_id)));
    if (impl_->store) {
        impl_->store->release(Impl::claimant(key_of(id)));
        ENGRAM_TRY(impl_->claim_anew(key_of(new_id)));  // what counted for the old name counts for the new one
    }
    ENGRAM_ASSIGN(const AgentRow row, impl_->registry->get(key_of(new_id)));
    return impl_->info(row);
}

Result<AgentInfo> AgentManager::fork(std::string_view id, std::string_view new_id) {
    ENGRAM_TRY(validate_agent_id(id));
    ENGRAM_TRY(validate_agent_id(new_id));
    const auto hold = impl_->gates.take(id == new_id ? std::vector{key_of(id)} : std::vector{key_of(id), key_of(new_id)});
    impl_->wait_for_manifests();
    ENGRAM_ASSIGN(const AgentRow from, impl_->registry->get(key_of(id)));
    const ForkAs as{.card = card_of_fork(from.card)};
    ENGRAM_ASSIGN(const AgentRow row, impl_->registry->fork(key_of(id), new_id, impl_->now_ms(), UINT64_MAX, as));
    if (impl_->store) {
        if (const auto manifest = impl_->registry->manifest(row.key); manifest && *manifest)
            impl_->store->claim(claim_of(row, **manifest, nullptr));
    }
    return impl_->info(row);
}

Result<AgentInfo> AgentManager::fast_forward(std::string_view id, std::string_view fork) {
    ENGRAM_TRY(validate_agent_id(id));
    ENGRAM_TRY(validate_agent_id(fork));
    if (id == fork) return fail(ErrorCode::invalid_argument, std::format("agent {} is no fork of itself", id));
    const auto hold = impl_->gates.take({key_of(id), key_of(fork)});
    impl_->wait_for_manifests();
    ENGRAM_ASSIGN(const AgentRow row, impl_->registry->fast_forward(key_of(id), fork, impl_->now_ms()));
    impl_->engine->call([&] {
        impl_->engine->drop(key_of(id));
        impl_->engine->drop(key_of(fork));
    });
    if (impl_->preloader) impl_->preloader->forget(key_of(fork));
    if (impl_->store) {
        ENGRAM_TRY(impl_->claim_anew(row.key));
        impl_->store->release(Impl::claimant(key_of(fork)));
        ENGRAM_TRY(impl_->claim_anew(row.key));  // what counted for the fork counts for the agent
    }
    return impl_->info(row);
}

Result<void> AgentManager::pin(std::string_view id, bool pinned) {
    ENGRAM_TRY(validate_agent_id(id));
    const auto hold = impl_->gates.take(key_of(id));
    impl_->wait_for_manifests();
    ENGRAM_TRY(impl_->registry->set_pinned(key_of(id), pinned));
    return impl_->claim_anew(key_of(id));
}

Result<void> AgentManager::retain(std::string_view id, Retention retention) {
    ENGRAM_TRY(validate_agent_id(id));
    const auto hold = impl_->gates.take(key_of(id));
    impl_->wait_for_manifests();
    ENGRAM_TRY(impl_->registry->set_retention(key_of(id), retention));
    return impl_->claim_anew(key_of(id));
}

Result<void> AgentManager::Impl::claim_anew(const AgentKey &key) {
    if (!store) return {};
    ENGRAM_ASSIGN(const AgentRow row, registry->get(key));
    if (const auto manifest = registry->manifest(key); manifest && *manifest) store->claim(claim_of(row, **manifest, nullptr));
    return {};
}

Result<void> AgentManager::adopt(std::string_view id) {
    ENGRAM_TRY(validate_agent_id(id));
    const auto hold = impl_->gates.take(key_of(id));
    return impl_->registry->set_model(key_of(id), impl_->model_name());
}

Result<std::vector<Message>> AgentManager::transcript(std::string_view id) const {
    ENGRAM_TRY(validate_agent_id(id));
    ENGRAM_TRY(impl_->registry->get(key_of(id)));
    ENGRAM_ASSIGN(const std::vector<MessageRow> rows, impl_->registry->messages(key_of(id)));
    std::vector<Message> messages;
    for (const MessageRow &row : rows)
        messages.push_back(
            {.role = row.role, .content = row.content, .created_ms = row.created_ms, .tool_calls = row.tool_calls});
    return messages;
}

Result<std::vector<std::int32_t>> AgentManager::tokens(std::string_view id) const {
    ENGRAM_TRY(validate_agent_id(id));
    ENGRAM_TRY(impl_->registry->get(key_of(id)));
    return impl_->registry->tokens(key_of(id));
}

}  // namespace engram
