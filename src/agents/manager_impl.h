// The inside of AgentManager: owns the layers and leads a turn through them.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "agents/engine_thread.h"
#include "agents/manifest_publisher.h"
#include "chat/conversation.h"
#include "engine/context.h"
#include "engine/model.h"
#include "engram/agents.h"
#include "registry/registry.h"
#include "store/block_store.h"

namespace engram {

struct AgentFileContent;
class AgentFileReader;

// Turns of one agent run one after the other, and nothing else touches it meanwhile.
class AgentGates {
  public:
    // Holds the gates of some agents; releases them when it goes.
    class Hold {
      public:
        Hold(AgentGates &gates, std::vector<AgentKey> keys) : gates_(&gates), keys_(std::move(keys)) {}
        Hold(Hold &&other) noexcept : gates_(other.gates_), keys_(std::exchange(other.keys_, {})) {}
        Hold &operator=(Hold &&) = delete;
        ~Hold() { gates_->release(keys_); }

      private:
        AgentGates *gates_;
        std::vector<AgentKey> keys_;
    };

    Hold take(AgentKey key) { return take(std::vector{std::move(key)}); }
    Hold take(std::vector<AgentKey> keys);  // waits; all at once, so that holders can't wait for each other

  private:
    void release(const std::vector<AgentKey> &keys);

    std::mutex mutex_;
    std::condition_variable freed_;
    std::set<AgentKey> busy_;  // guarded by mutex_
};

class AgentManager::Impl {
  public:
    explicit Impl(ManagerOptions given) : options(std::move(given)) {}

    Result<void> open();

    static std::string claimant(const AgentKey &key) { return key.tenant + "/" + key.id; }
    BlockId root(const AgentKey &key) const;

    // What a turn needs, read from the registry and rendered; and what its commit writes.
    struct Prepared {
        TurnPlan plan;
        std::uint64_t keep_tokens = 0;
        std::vector<MessageRow> messages;
        std::size_t first_new_token = 0;
        std::optional<Manifest> older;  // the manifest that this turn supersedes
        bool asks = false;              // for an answer
        std::string tools;              // which the answer may call
    };
    // `added` follows what was said so far; `asks`: the model is to answer it.
    Result<Prepared> prepare(const AgentKey &key, std::vector<MessageRow> added, bool asks) const;
    Result<Prepared> prepare_turn(const AgentKey &key, const TurnRequest &request) const;
    Result<std::vector<Token>> tokens_with(const AgentRow &row, std::span<const TemplateMessage> history,
                                           std::span<const TemplateMessage> added, std::span<const Token> committed,
                                           bool asks) const;
    static TurnPlan take_plan(Prepared &prepared);  // what its commit needs again stays
    // A plan over the committed tokens alone (for load and probes).
    Result<TurnPlan> committed_plan(const AgentKey &key) const;

    // Runs plans and waits for all of them. `on_event` gets texts and progress as they come.
    void run(std::vector<TurnPlan> plans, const std::function<void(TurnChannel::Event)> &on_event);
    Result<TurnEnd> run_one(TurnPlan plan);
    // Commits a finished turn, hands out its last text, and lets the store have what is left to write.
    Result<TurnResult> conclude(Prepared &prepared, TurnEnd end, const TurnRequest &request);
    std::vector<Result<TurnResult>> generate(const std::string &tenant, std::span<const BatchItem *const> items);

    static std::vector<PartKey> parts_of(const Manifest &manifest);
    // The agent's newest manifest, on its way to the registry or in it. corrupt.
    Result<std::optional<Manifest>> newest_manifest(const AgentKey &key) const;
    void wait_for_manifests() const;  // before something that reads or moves what the registry has
    Result<AgentInfo> info(const AgentRow &row);
    std::string tier_of(const AgentRow &row, const Result<std::optional<Manifest>> &manifest);
    // Identity of the segment that part belongs to, from the agent's committed tokens.
    Result<SegmentIdentity> segment_of_part(const AgentKey &key, const Manifest &manifest, const ManifestPart &part,
                                            std::span<const Token> tokens) const;
    Result<void> load(const AgentKey &key);
    Result<void> check_importable(const AgentFileContent &content, const std::string &tenant) const;
    Result<void> import_parts(AgentFileReader &reader, const AgentKey &key, bool keep_kv);
    std::int64_t now_ms() const;

    ManagerOptions options;
    std::unique_ptr<Registry> registry;
    std::unique_ptr<BlockStore> store;  // null when nothing is persisted
    BufferPool pool{64ULL << 20};       // beyond the budgets: a little, so that images are faulted in
    std::unique_ptr<Model> model;
    std::unique_ptr<Context> context;
    std::unique_ptr<ChatTemplate> chat;
    std::unique_ptr<ManifestPublisher> publisher;  // null without a store
    std::unique_ptr<EngineThread> engine;
    AgentGates gates;

    struct Totals {
        std::uint64_t restored_tokens = 0, computed_tokens = 0, from_memory = 0, from_disk = 0, corrupt = 0, incompatible = 0;
        std::uint64_t prefill_tokens = 0;
        double prefill_ms = 0;
        std::uint64_t orphans = 0;
    };
    mutable std::mutex totals_mutex;
    Totals totals;  // guarded by totals_mutex
};

}  // namespace engram
