// A link-time double of AgentManager for tests of the command line: real registry and real lock of the store, no model.
//
// Any existing file serves as the model. The answer repeats the prompt: "echo: PROMPT", one character at a time. A prompt with
// "slow" in it gives an endless answer, one word every 20 ms, until it is stopped; "fail" gives an error; "warn" a warning;
// "ctrl" an answer with an escape sequence in it.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <format>
#include <fstream>
#include <iterator>
#include <thread>

#include "agents/paths.h"
#include "engram/agents.h"
#include "registry/registry.h"
#include "store/block_store.h"

namespace engram {

class AgentManager::Impl {
  public:
    ManagerOptions options;
    std::unique_ptr<BlockStore> store;
    std::unique_ptr<Registry> registry;
};

namespace {

std::int64_t wall_ms() { return system_clock().wall_ms(); }

AgentInfo info_of(const AgentRow &row) {
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
    info.tier = "none";
    return info;
}

std::string fixed_answer(const TurnRequest &request) {
    if (request.prompt.contains("ctrl")) {
        return "a\033[31mb\a";
    }
    if (request.prompt.contains("settings")) {
        return std::format("temp={} top_k={} seed={} max={} stop={} bias={} grammar={} role={}", request.sampling.temperature,
                           request.sampling.top_k, request.sampling.seed, request.max_tokens, request.sampling.stop.size(),
                           request.sampling.logit_bias.size(), request.sampling.grammar, request.role);
    }
    return "echo: " + request.prompt;
}

// Streams the answer; "slow" ones go on until somebody stops them.
void speak(const TurnRequest &request, TurnResult &result) {
    result.finish = "stop";
    if (request.prompt.contains("slow")) {
        while (!request.stop.stop_requested()) {
            result.text += "word ";
            request.on_text("word ");
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        result.finish = "cancelled";
        return;
    }
    result.text = fixed_answer(request);
    for (std::size_t i = 0; i < result.text.size(); ++i) {
        request.on_text(std::string_view(result.text).substr(i, 1));
    }
}

}  // namespace

AgentManager::AgentManager(std::shared_ptr<Impl> impl, std::string tenant) : impl_(std::move(impl)), tenant_(std::move(tenant)) {}
AgentManager::~AgentManager() = default;

Result<std::unique_ptr<AgentManager>> AgentManager::open(ManagerOptions options) {
    if (!std::filesystem::exists(options.model.path)) {
        return fail(ErrorCode::not_found, std::format("there is no model {}", options.model.path.string()));
    }
    auto impl = std::make_shared<Impl>();
    impl->options = std::move(options);
    StoreOptions store;
    store.root = store_path(impl->options.home);
    ENGRAM_ASSIGN(impl->store, BlockStore::open(store, posix_file_system(), system_clock(), nullptr));
    ENGRAM_ASSIGN(impl->registry, Registry::open(registry_path(impl->options.home)));
    return std::unique_ptr<AgentManager>(new AgentManager(impl, impl->options.tenant));
}

AgentKey AgentManager::key_of(std::string_view id) const { return {.tenant = tenant_, .id = std::string(id)}; }

Result<AgentInfo> AgentManager::create(const AgentSpec &spec) {
    ENGRAM_TRY(validate_agent_id(spec.id));
    AgentRow row;
    row.key = key_of(spec.id);
    row.system_prompt = spec.system_prompt;
    row.description = spec.description;
    row.tools = spec.tools;
    row.created_ms = row.updated_ms = wall_ms();
    return impl_->registry->create(row).transform(info_of);
}

Result<AgentInfo> AgentManager::get(std::string_view id) const {
    ENGRAM_TRY(validate_agent_id(id));
    return impl_->registry->get(key_of(id)).transform(info_of);
}

Result<AgentInfo> AgentManager::fork(std::string_view id, std::string_view new_id) {
    ENGRAM_TRY(validate_agent_id(new_id));
    return impl_->registry->fork(key_of(id), new_id, wall_ms()).transform(info_of);
}

Result<TurnResult> AgentManager::generate(std::string_view id, const TurnRequest &request) {
    if (request.prompt.contains("fail")) {
        return fail(ErrorCode::engine, "the engine failed, as it was asked to");
    }
    TurnResult result;
    result.prompt_tokens = request.prompt.size();
    result.reused_tokens = request.prompt.size() / 2;
    result.computed_tokens = result.prompt_tokens - result.reused_tokens;
    result.tier = "disk";
    if (request.prompt.contains("warn")) {
        result.warning = "the disk is full";
    }
    request.on_prefill(1, 1);
    std::jthread([&] { speak(request, result); }).join();  // callbacks come from another thread, as with the real one
    result.tokens.assign(result.text.size(), 1);
    TurnCommit turn;
    turn.key = key_of(id);
    turn.keep_tokens = impl_->registry->get(turn.key).value().n_tokens;
    turn.new_tokens = result.tokens;
    turn.new_messages = {{.role = request.role, .content = request.prompt, .created_ms = wall_ms()},
                         {.role = "assistant", .content = result.text, .created_ms = wall_ms()}};
    turn.now_ms = wall_ms();
    turn.model = "fake";
    ENGRAM_TRY(impl_->registry->commit_turn(turn));
    return result;
}

Result<void> AgentManager::save(std::string_view id) {
    return get(id).transform([](const AgentInfo &) {});
}
Result<void> AgentManager::load(std::string_view id) {
    return get(id).transform([](const AgentInfo &) {});
}
Result<void> AgentManager::prewarm(std::string_view id) {
    return get(id).transform([](const AgentInfo &) {});
}
Result<void> AgentManager::evict(std::string_view id, EvictTo) {
    return get(id).transform([](const AgentInfo &) {});
}

Result<std::vector<Message>> AgentManager::transcript(std::string_view id) const {
    ENGRAM_ASSIGN(std::vector<MessageRow> rows, impl_->registry->messages(key_of(id)));
    std::vector<Message> messages;
    for (MessageRow &row : rows) {
        messages.push_back({.role = std::move(row.role),
                            .content = std::move(row.content),
                            .created_ms = row.created_ms,
                            .tool_calls = std::move(row.tool_calls)});
    }
    return messages;
}

Result<void> AgentManager::export_agent(std::string_view id, const std::filesystem::path &file) {
    ENGRAM_ASSIGN(AgentInfo info, get(id));
    std::ofstream(file) << info.id;
    return {};
}

Result<AgentInfo> AgentManager::import_agent(const std::filesystem::path &file, const ImportOptions &options) {
    std::string id;
    std::ifstream(file) >> id;
    if (id == "foreign" && !options.recompute) {
        return fail(ErrorCode::incompatible, "the file was made with another model; try --recompute");
    }
    return create({.id = options.as.empty() ? id : options.as, .system_prompt = {}, .description = {}});
}

// What no command calls. All members are defined, so that the linker never looks for the real ones.

Result<std::unique_ptr<AgentManager>> AgentManager::for_tenant(std::string_view tenant) const {
    return std::unique_ptr<AgentManager>(new AgentManager(impl_, std::string(tenant)));
}

Result<std::vector<AgentInfo>> AgentManager::list() const {
    ENGRAM_ASSIGN(std::vector<AgentRow> rows, impl_->registry->list(tenant_));
    std::vector<AgentInfo> agents;
    std::ranges::transform(rows, std::back_inserter(agents), info_of);
    return agents;
}

Result<void> AgentManager::remove(std::string_view id) { return impl_->registry->remove(key_of(id)); }

Result<std::vector<AgentInfo>> AgentManager::find(const AgentQuery &) const { return list(); }

Result<AgentInfo> AgentManager::change(std::string_view id, const AgentChange &) { return get(id); }

Result<AgentInfo> AgentManager::rename(std::string_view id, std::string_view new_id) {
    ENGRAM_TRY(impl_->registry->rename(key_of(id), new_id));
    return get(new_id);
}

Result<AgentInfo> AgentManager::fast_forward(std::string_view id, std::string_view fork) {
    return impl_->registry->fast_forward(key_of(id), fork, wall_ms()).transform(info_of);
}

Result<void> AgentManager::pin(std::string_view id, bool pinned) { return impl_->registry->set_pinned(key_of(id), pinned); }

std::vector<Result<TurnResult>> AgentManager::generate_batch(std::span<const BatchItem> items) {
    std::vector<Result<TurnResult>> results;
    std::ranges::transform(items, std::back_inserter(results),
                           [this](const BatchItem &item) { return generate(item.id, item.request); });
    return results;
}

Result<void> AgentManager::compact(std::string_view, std::size_t, const std::string &) {
    return fail(ErrorCode::unsupported, "the fake manager reads nothing");
}

Result<TurnResult> AgentManager::append(std::string_view, std::span<const Message>) {
    return fail(ErrorCode::unsupported, "there is no model");
}

Result<void> AgentManager::save_all() { return {}; }

Result<void> AgentManager::save_everything() { return {}; }

Result<std::vector<std::int32_t>> AgentManager::tokens(std::string_view id) const { return impl_->registry->tokens(key_of(id)); }

ManagerStats AgentManager::stats() const { return {}; }

Result<std::vector<float>> AgentManager::next_logits(std::string_view) {
    return fail(ErrorCode::unsupported, "there is no model");
}

Result<std::vector<std::vector<float>>> AgentManager::logits_along(std::string_view, std::span<const std::int32_t>) {
    return fail(ErrorCode::unsupported, "there is no model");
}

Result<std::string> AgentManager::kv_digest(std::string_view) { return fail(ErrorCode::unsupported, "there is no model"); }

Result<void> AgentManager::chat(const ChatRequest &, const ChatSink &, std::stop_token) {
    return fail(ErrorCode::unsupported, "there is no model");
}

Result<AgentManager::ChatPrompt> AgentManager::render(const ChatRequest &) const {
    return fail(ErrorCode::unsupported, "there is no model");
}

std::vector<std::int32_t> AgentManager::tokenise(std::string_view) const { return {}; }

Result<std::string> AgentManager::detokenise(std::span<const std::int32_t>) const {
    return fail(ErrorCode::unsupported, "there is no model");
}

Result<AgentManager::Divergence> AgentManager::divergence(const ChatRequest &) const {
    return fail(ErrorCode::unsupported, "there is no model");
}

Result<AgentManager::Embedding> AgentManager::embed(std::string_view) const {
    return fail(ErrorCode::unsupported, "there is no model");
}

Result<AgentManager::Embedding> AgentManager::embed(std::span<const std::int32_t>) const {
    return fail(ErrorCode::unsupported, "there is no model");
}

std::vector<TenantStorage> AgentManager::storage_by_tenant() const { return {}; }

std::vector<AgentStorage> AgentManager::storage_by_agent() const { return {}; }

Result<void> AgentManager::limit_storage(std::string_view, const StorageLimits &) { return {}; }

Result<void> AgentManager::retain(std::string_view, Retention) { return fail(ErrorCode::unsupported, "there is no model"); }

Result<void> AgentManager::adopt(std::string_view) { return fail(ErrorCode::unsupported, "there is no model"); }

Result<std::vector<ChatMessage>> AgentManager::said_until(std::string_view) const {
    return fail(ErrorCode::unsupported, "there is no model");
}

}  // namespace engram
