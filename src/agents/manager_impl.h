// The inside of AgentManager: owns the layers and leads a turn through them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agents/chat_answer.h"
#include "agents/engine_thread.h"
#include "agents/manifest_publisher.h"
#include "agents/preloader.h"
#include "chat/conversation.h"
#include "chat/repairs.h"
#include "engine/context.h"
#include "engine/embedder.h"
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
    std::optional<Hold> try_take(const AgentKey &key);  // nullopt: somebody holds it
    Hold take(std::vector<AgentKey> keys);              // waits; all at once, so that holders can't wait for each other

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

    // What a turn adds to an agent's transcript, and to which part of it.
    struct Addition {
        std::vector<MessageRow> messages;
        bool asks = false;                         // for an answer
        std::uint64_t keep_messages = UINT64_MAX;  // of the transcript; the rest goes
        std::optional<AgentFront> front = {};      // instead of the agent's: everything is read anew
        std::optional<bool> thinks = {};           // the template's switch
        std::string begun_answer = {};             // which the model goes on with
        bool raw = false;  // the message is what the model reads, without template; the agent has said nothing yet
    };
    // What a turn needs, read from the registry and rendered; and what its commit writes.
    struct Prepared {
        TurnPlan plan;
        std::uint64_t keep_tokens = 0;
        std::uint64_t keep_messages = UINT64_MAX;
        std::vector<TemplateMessage> said;  // until the answer
        std::vector<MessageRow> messages;   // that are new
        std::size_t first_new_token = 0;
        std::optional<Manifest> older;  // the manifest that this turn supersedes
        std::optional<AgentFront> front;
        std::optional<std::int64_t> expires_ms;
        std::optional<Retention> retention;
        std::string tools;            // which the answer may call
        bool opens_thinking = false;  // the prompt ends within thinking
        std::int64_t began_ms = 0;
        bool asks = false;  // for an answer
        bool raw = false;
        bool forget = false;  // nothing of it is committed
    };
    Result<Prepared> prepare(const AgentKey &key, Addition addition) const;
    Result<Prepared> prepare_from(const AgentRow &row, std::vector<MessageRow> messages, Addition addition) const;
    Result<Prepared> prepare_turn(const AgentKey &key, const TurnRequest &request) const;
    struct Rendered {
        std::vector<Token> tokens;
        bool opens_thinking = false;
    };
    Result<Rendered> rendered(const AgentKey &key, const Addition &addition, const AgentFront &front,
                              std::span<const TemplateMessage> history, std::span<const TemplateMessage> added,
                              std::span<const Token> committed) const;
    // Of a prompt that is plain text: those of the tenant's conversation that it goes on from, as far as they spell it.
    std::vector<Token> raw_tokens(const std::string &tenant, std::string_view text) const;
    std::vector<Token> raw_tokens_after(std::span<const Token> stored, std::string_view text) const;
    Position system_end(const AgentFront &front, std::span<const Token> tokens) const;
    // Which of the committed tokens the manifest has KV of.
    void plan_stored(Prepared &prepared, std::span<const Token> committed, const std::string &lost, bool has_read) const;
    static TurnPlan take_plan(Prepared &prepared);  // what its commit needs again stays
    // A plan over the committed tokens alone (for load and probes).
    Result<TurnPlan> committed_plan(const AgentKey &key) const;

    // Runs plans and waits for all of them. `on_event` gets texts and progress as they come, `on_silence` is called when nothing
    // has come for some seconds.
    void run(std::vector<TurnPlan> plans, const std::function<void(TurnChannel::Event)> &on_event,
             const std::function<void()> &on_silence = {});
    Result<TurnEnd> run_one(TurnPlan plan);
    // The answer as the transcript keeps it.
    MessageRow answer_message(const Prepared &prepared, TurnResult &result) const;
    // Commits a finished turn with its answer, if there is one; then `hand_out`, after which the store gets what is left to
    // write.
    Result<TurnResult> conclude(Prepared &prepared, TurnEnd end, std::optional<MessageRow> answer,
                                const std::function<void(const TurnResult &)> &hand_out);
    Result<void> commit(Prepared &prepared, const TurnResult &result, std::optional<MessageRow> answer);
    // Why KV that should be on disk isn't; empty: it is, or is on its way. There is a store.
    std::string unstored(std::string_view tenant) const;
    std::vector<Result<TurnResult>> generate(const std::string &tenant, std::span<const BatchItem *const> items);

    // A place in somebody's transcript that an unnamed conversation goes on from.
    struct Known {
        AgentRow row;
        std::uint64_t keep_messages = 0;  // of its transcript
        std::size_t messages = 0;         // of the request: those that it has
        bool rephrased = false;           // some of them came in other words than they are kept in
    };
    struct Place;
    using ChatAnswers = std::vector<ChatAnswer>;
    Result<void> answer(const std::string &tenant, const ChatRequest &request, const ChatSink &sink, const std::stop_token &stop);
    Result<std::size_t> left_out_to_fit(const std::string &tenant, const ChatRequest &request) const;
    Result<ChatPrompt> prompt_of(const std::string &tenant, const ChatRequest &request) const;
    Result<std::vector<Place>> places_for(const std::string &tenant, const ChatRequest &request, RepairedPrompt &prompt);
    Result<Place> place_of_agent(const AgentKey &key, RepairedPrompt &prompt);
    Result<Place> place_of_conversation(const std::string &tenant, const ChatRequest &request, const RepairedPrompt &prompt,
                                        const std::optional<Known> &known);
    // Tokens that a turn adds: what is told, and the answer; and whether it tells results of calls.
    struct Needed {
        std::uint64_t prompt = 0, answer = 0;
        bool results = false;
    };
    // Where the agent's card wants it and what is needed doesn't fit: earlier messages aren't read any more. What was done, as a
    // sentence; empty: nothing.
    Result<std::string> make_room(const AgentKey &key, const Needed &needed);
    std::string make_room(const std::string &tenant, const BatchItem &item);
    Result<void> compact(const AgentKey &key, std::size_t keep_from, const std::string &summary);  // its gate is held
    Result<std::string> own_summary(const AgentKey &key);
    std::size_t last_turns(std::span<const MessageRow> rows, std::uint64_t most) const;
    std::size_t last_calls(std::span<const MessageRow> rows, std::uint64_t most, std::uint64_t room) const;
    std::uint64_t tokens_of(const MessageRow &row) const;
    Needed needed_for(const ChatRequest &request) const;
    Result<void> fork_conversation(const AgentKey &source, const AgentKey &key, ForkAs as, std::uint64_t keep_messages);
    void discard(std::span<const Place> places);
    Result<Prepared> prepare_choice(const ChatRequest &request, Place &place, std::uint32_t choice, ChatAnswers &answers);
    Result<Sampling> constrained(const ChatRequest &request, std::span<const ChatTool> tools, bool thinking,
                                 std::uint32_t choice) const;
    Result<void> conclude_choice(const ChatRequest &request, Prepared &prepared, ChatAnswer &answer, TurnEnd end,
                                 const ChatSink &sink);
    // The longest beginning of the prompt that ends with an answer and was said in one of the tenant's transcripts.
    std::optional<Known> recognised(std::string_view tenant, const RepairedPrompt &prompt) const;
    // Removes conversations whose time is over.
    void remove_expired();
    Result<void> remove(const AgentKey &key);  // its gate is held
    // After what the agent's row says of it has changed.
    Result<void> claim_anew(const AgentKey &key);

    static std::vector<PartKey> parts_of(const Manifest &manifest);
    // The agent's newest manifest, on its way to the registry or in it. corrupt.
    Result<std::optional<Manifest>> newest_manifest(const AgentKey &key) const;
    void wait_for_manifests() const;  // before something that reads or moves what the registry has
    std::set<AgentKey> hot_agents();  // whose KV is in the context
    AgentInfo info(const AgentRow &row, const std::set<AgentKey> &hot) const;
    AgentInfo info(const AgentRow &row) { return info(row, hot_agents()); }
    std::string tier_below_context(const Result<std::optional<Manifest>> &manifest) const;
    // Identity of the segment that part belongs to, from the agent's committed tokens.
    Result<SegmentIdentity> segment_of_part(const AgentKey &key, const Manifest &manifest, const ManifestPart &part,
                                            std::span<const Token> tokens) const;
    Result<void> load(const AgentKey &key);
    Result<void> check_importable(const AgentFileContent &content, const std::string &tenant) const;
    Result<bool> import_parts(AgentFileReader &reader, const AgentKey &key, bool keep_kv);
    Result<void> write_agent_file(const std::filesystem::path &path, const AgentFileContent &content);
    bool on_disk(const ManifestPart &part) const;
    bool usable(const Manifest &manifest) const;  // by this model, as it is loaded here
    Result<void> write_missing_parts(const AgentKey &key);
    std::int64_t now_ms() const;
    // As agents keep it: "llama 3M Q8_0 (1f0a94c2)", with the beginning of the weights' hash.
    std::string model_name() const;

    ManagerOptions options;
    std::unique_ptr<Registry> registry;
    std::unique_ptr<BlockStore> store;  // null when nothing is persisted
    BufferPool pool{64ULL << 20};       // beyond the budgets: a little, so that images are faulted in
    std::unique_ptr<Model> model;
    std::unique_ptr<Context> context;
    std::unique_ptr<Embedder> embedder;  // used by the engine thread
    std::unique_ptr<ChatTemplate> chat;
    std::unique_ptr<ManifestPublisher> publisher;  // null without a store
    std::unique_ptr<EngineThread> engine;
    std::unique_ptr<Preloader> preloader;  // null where nothing could be read
    AgentGates gates;

    struct Totals {
        std::uint64_t restored_tokens = 0, computed_tokens = 0, from_memory = 0, from_disk = 0, corrupt = 0, incompatible = 0;
        std::uint64_t prefill_tokens = 0;
        double prefill_ms = 0;
        std::uint64_t orphans = 0;
    };
    std::atomic<std::int64_t> next_expiry_ms = 0;  // when to look for expired conversations again

    mutable std::mutex totals_mutex;
    Totals totals;  // guarded by totals_mutex
};

}  // namespace engram
