// Agents whose memory survives the process: the public face of libengram.
//
//     auto manager = engram::AgentManager::open({.home = "/var/lib/me", .model = {.path = "model.gguf"}});
//     (*manager)->create({.id = "analyst", .system_prompt = "You analyse logs."});
//     auto answer = (*manager)->generate("analyst", {.prompt = "What happened at noon?"});
//     std::puts(answer->text.c_str());
//
// An agent is a named, durable conversation partner: a system prompt, a transcript, its tokens, and the KV cache that the model
// built while reading them. A turn (one prompt and its answer) is committed to disk (transcript and tokens) before `generate`
// returns and before the last of several pieces of a streamed answer is delivered. KV blocks are written in the background; after
// a crash whatever KV is missing is recomputed from the tokens.
//
// Residency of an agent's KV: hot (cells of the context), memory (host memory), disk. Any number of agents may exist; those that
// run are brought in, those that wait make room. Nothing but time depends on where an agent is.
//
// Threads: every method of AgentManager may be called from any thread. One thread of the manager's own talks to the model; calls
// that need it wait in a queue, and turns that run at the same time are decoded in one batch. Callbacks run on the thread that
// called generate, so a slow one delays nobody else; they must not call generate for the same agent. Two turns of one agent run
// one after the other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "engram/card.h"
#include "engram/chat.h"
#include "engram/error.h"
#include "engram/sampling.h"

namespace engram {

struct AgentKey;  // tenant and id

struct ModelOptions {
    std::filesystem::path path;           // a GGUF file
    std::uint32_t context_tokens = 8192;  // cells of the context, shared by all hot agents
    std::uint32_t batch_tokens = 512;     // prefill chunk; cancellation is checked between chunks
    std::uint32_t max_running = 8;        // agents decoding at the same time
    // How much longer an answer's token may take because somebody else's prompt is being read meanwhile, as a share of what it
    // takes alone. 1: at most twice as long. Larger values favour whoever waits for a first token.
    double prefill_share = 1.0;
    std::int32_t threads = 0;       // 0: as many as the machine has processors
    std::int32_t gpu_layers = -1;   // -1: all
    std::string kv_type_k = "f16";  // f32, f16, bf16, q8_0, q4_0, ...
    std::string kv_type_v = "f16";
    float rope_freq_base = 0.0F;  // 0: the model's own
    float rope_freq_scale = 0.0F;
    struct Adapter {
        std::filesystem::path path;  // a LoRA GGUF
        float scale = 1.0F;
    };
    std::vector<Adapter> adapters;
};

struct StorageOptions {
    std::uint32_t block_tokens = 256;  // power of two, 32 to 1024
    std::uint64_t disk_budget_bytes = 16ULL << 30;
    std::uint64_t memory_budget_bytes = 1ULL << 30;
    std::string stored_type;                 // empty: exactly what the context holds; f16, q8_0, q4_0: lossy
    std::uint32_t checkpoint_tokens = 2048;  // distance of checkpoints inside a long prefill (window and recurrent models)
    // Compute instead of reading from disk where that is quicker, by the measured rates of both. false: what is stored is read.
    bool weigh_restores = true;
    // Bring an agent's KV from disk to host memory when its turn is likely to come soon, as far as that was learned from whose
    // turns came when. From this probability on, above 0 and at most 1.
    bool preload = true;
    double preload_threshold = 0.6;
};

struct ManagerOptions {
    std::filesystem::path home;      // the store's root; made when absent
    std::string tenant = "default";  // of the manager that open() gives
    ModelOptions model;
    StorageOptions storage;
    bool persist = true;  // false: nothing is read from or written to the block store (a control, or a benchmark's cold side)
    // An agent that another model has talked to is refused (incompatible) until adopt() is called for it; a conversation that
    // nobody named goes on as a fork. false: the loaded model reads the agent's transcript again, and the agent is its own then.
    bool keep_to_model = false;
};

struct AgentSpec {
    std::string id;  // 1 to 128 of A-Z a-z 0-9 . _ -, not starting with a dot
    std::string system_prompt;
    std::string description;
    std::string tools;  // JSON: a list of function tools in OpenAI's shape, shown to the model in this order; empty: none
    Retention retention = Retention::standard;
    AgentCard card;
};

// What replaces an agent's own; what isn't given stays. Another system prompt, or other tools, stand in front of all that was
// said: the next turn reads the transcript again.
struct AgentChange {
    std::optional<std::string> system_prompt, description, tools;
    std::optional<AgentCard> card;
    bool operator==(const AgentChange &) const = default;
};

// Whom to look for: all that is given must hold.
struct AgentQuery {
    std::string text;   // words; each stands in the id, the description, a label or a skill, in capital letters or small ones
    std::string skill;  // the id, name or a tag of one of its skills
    std::string label, owner, model;
    std::string tool;  // a function that it may call
    bool operator==(const AgentQuery &) const = default;
};

struct AgentInfo {
    std::string id, tenant, system_prompt, description, forked_from, model, tools;
    std::uint64_t n_tokens = 0, n_messages = 0, n_turns = 0;
    std::int64_t created_ms = 0, updated_ms = 0, last_used_ms = 0;  // Unix time in milliseconds
    bool pinned = false;
    Retention retention = Retention::standard;
    bool conversation = false;    // nobody named it: it belongs to a client that sends all messages (chat)
    std::string session;          // of such a one: the client's own key; empty: none
    std::int64_t expires_ms = 0;  // when nobody has used it until then, it may go; 0: never
    AgentCard card;
    std::string tier;                        // "hot", "memory", "disk", "none" (no usable KV: the next turn prefills)
    std::uint64_t disk_bytes = 0;            // files of this agent's parts, shared ones included
    std::uint64_t disk_bytes_exclusive = 0;  // of those, files that no other agent needs
    std::uint64_t memory_bytes = 0;
};

struct Message {
    std::string role;  // "system", "user", "assistant", "tool"; "compaction": what is before it isn't read any more (compact)
    std::string content;
    std::int64_t created_ms = 0;
    // Of an answer that calls tools: [{"type":"function","function":{"name":…,"arguments":{…}}}]; empty: none. `content` is then
    // what it says beside the calls.
    std::string tool_calls = {};
};

struct TurnRequest {
    std::string prompt;
    std::string role = "user";
    std::uint32_t max_tokens = 512;
    Sampling sampling;
    std::int32_t priority = 0;                      // among the tenant's own turns that wait: higher first
    std::function<void(std::string_view)> on_text;  // whole UTF-8 characters, in order
    std::function<void(std::uint64_t done, std::uint64_t total)> on_prefill;  // tokens
    std::stop_token
        stop;  // triggered: the turn ends at the next token (what was said so far is committed) or prefill chunk (nothing is)
};

struct TurnResult {
    std::string text;        // as it was streamed, tool calls in the model's own form included
    std::string tool_calls;  // of an agent with tools, as in Message; empty when there are none, or when they are malformed
    std::vector<std::int32_t> tokens;  // sampled ones, the end-of-generation token included when there was one
    std::string finish;                // "stop" (end of generation), "stop_string", "length", "context", "cancelled", "appended"
    std::uint64_t prompt_tokens = 0;   // of the whole sequence before the answer
    std::uint64_t reused_tokens = 0;   // of those, not computed
    std::uint64_t computed_tokens = 0;
    std::string tier;  // where the reused tokens came from (the slowest tier that took part); "none" when none
    std::uint64_t restored_bytes = 0;
    double restore_ms = 0, prefill_ms = 0, ttft_ms = 0, decode_ms = 0, commit_ms = 0, queue_ms = 0;
    double save_ms = 0;  // taking the turn's KV out of the context (writing it goes on in the background)
    std::optional<PrefixMiss> miss;
    bool committed = true;  // false: it could not be written down and is forgotten; `warning` says why
    std::string warning;    // e.g. the store could not be written; empty when all is well
};

struct ManagerStats {
    std::uint64_t agents = 0, hot_agents = 0, context_cells = 0, context_cells_used = 0;
    std::uint64_t disk_bytes = 0, disk_budget_bytes = 0, memory_bytes = 0, memory_budget_bytes = 0, queue_bytes = 0;
    std::uint64_t restored_tokens = 0, computed_tokens = 0, restores_from_memory = 0, restores_from_disk = 0;
    std::uint64_t refused_corrupt = 0, refused_incompatible = 0, quarantined_parts = 0, failed_writes = 0, evictions = 0;
    std::uint64_t written_bytes = 0, deduplicated_parts = 0;
    std::string memory_class;         // "attention", "window", "hybrid", "recurrent", "opaque", "none"
    std::string memory_class_note;    // what this model can't have, and why; empty when all is well
    std::string fingerprint;          // hex
    std::string last_error;           // why the last write of KV failed, or this tenant's isn't on disk; empty: it is, or soon
    double prefill_tokens_per_s = 0;  // measured
    std::uint64_t batches = 0;        // computed: each has a token of every answer under way, a piece of a prompt, or both
    std::uint64_t recovered_temporary_files = 0, recovered_orphans = 0;
    // Agents whose KV was brought from disk to host memory before its turn came. Each preload comes to be a hit (the agent's next
    // turn found all in memory) or wasted (it left memory, or nobody came), unless it is still waiting.
    struct Preloads {
        std::uint64_t done = 0, hits = 0, wasted = 0;
        std::uint64_t bytes = 0;  // brought in, what a turn has overtaken included
    };
    Preloads preloads_asked;    // by prewarm
    Preloads preloads_learned;  // by whose turns came when
};

// The most that a tenant's stored KV may take; a limit that isn't there limits nothing.
struct StorageLimits {
    std::optional<std::uint64_t> disk_bytes, memory_bytes;
    bool operator==(const StorageLimits &) const = default;
};

// What a tenant's agents have stored. What they share counts once.
struct TenantStorage {
    std::string tenant;
    StorageLimits limits;
    std::uint64_t disk_bytes = 0, memory_bytes = 0;
    std::uint64_t refused_parts = 0;  // since open: not stored, since they didn't fit into the limit
    std::uint64_t evicted_parts = 0;  // since open, from disk
};

// The same of an agent. What it shares counts for whoever had it first, so that the sum over a tenant's agents is what it has.
struct AgentStorage {
    std::string tenant;
    std::string agent;  // empty: conversations, and what belongs to no agent
    std::uint64_t disk_bytes = 0;
};

class AgentManager {
  public:
    static Result<std::unique_ptr<AgentManager>> open(ManagerOptions options);
    // The same model, context and store for another tenant. Its agents are its own: neither sees the other's, nor shares a block
    // with it. What was opened closes with the last of its managers. invalid_argument: not a name (as an agent's id).
    Result<std::unique_ptr<AgentManager>> for_tenant(std::string_view tenant) const;
    ~AgentManager();  // the last one finishes running turns and writes what is queued
    AgentManager(const AgentManager &) = delete;
    AgentManager &operator=(const AgentManager &) = delete;

    Result<AgentInfo> create(const AgentSpec &spec);                           // invalid_argument (names, tools), already_exists
    Result<AgentInfo> get(std::string_view id) const;                          // not_found (so for all below)
    Result<std::vector<AgentInfo>> list() const;                               // by id
    Result<std::vector<AgentInfo>> find(const AgentQuery &query) const;        // named agents, by id
    Result<AgentInfo> change(std::string_view id, const AgentChange &change);  // invalid_argument (tools)
    Result<void> remove(std::string_view id);                                  // the agent and every byte that only it needs
    Result<AgentInfo> rename(std::string_view id, std::string_view new_id);
    Result<AgentInfo> fork(std::string_view id, std::string_view new_id);  // metadata only; both go on from the same memory
    // The agent goes on from the memory of its fork, which goes: what was said to the fork was said to the agent. All or nothing,
    // also when the process dies. already_exists: somebody has talked to the agent since it was forked; invalid_argument.
    Result<AgentInfo> fast_forward(std::string_view id, std::string_view fork);
    Result<void> pin(std::string_view id, bool pinned);  // a pinned agent's KV is never evicted from disk
    Result<void> adopt(std::string_view id);  // the loaded model may talk to it from now on (ManagerOptions::keep_to_model)
    Result<void> retain(std::string_view id, Retention retention);  // from its last turn on, and from each one that follows

    Result<TurnResult> generate(std::string_view id, const TurnRequest &request);
    struct BatchItem {
        std::string id;
        TurnRequest request;
    };
    // All items decode together in one context (as many as fit at a time); results in the items' order.
    std::vector<Result<TurnResult>> generate_batch(std::span<const BatchItem> items);
    // Messages that happened elsewhere (a scripted transcript, an import): the model reads them, and they are committed and saved
    // like a turn, but nothing is answered (`finish` is "appended", and it doesn't count as a turn). invalid_argument: no
    // messages, an unknown role, or tool calls that aren't a list of calls or stand in another message than an assistant's.
    Result<TurnResult> append(std::string_view id, std::span<const Message> messages);

    // What the model reads of the agent from now on begins with message `keep_from` of its transcript, counted from 0, which is a
    // user's, or is the transcript's length; the summary, if there is one, stands in place of all before. The transcript stays
    // whole, with a message of the role "compaction" where that happened. An agent whose card says so does this by itself, before
    // a turn that wouldn't fit, and the turn's result says it. invalid_argument.
    Result<void> compact(std::string_view id, std::size_t keep_from, const std::string &summary);

    // Answers a client that sends the whole conversation each time; it goes on from the longest memory of it that there is.
    //
    // Without an agent's name the conversation is recognised by what was said in it, continued where it ended, or forked where
    // another turn follows already; an unknown one begins. These conversations expire when they are left alone.
    // A named agent that doesn't exist is made, with the request's system prompt and tools. For one that does, a request without
    // an assistant's message says only what is new; one with such messages says all, and where it contradicts what the agent
    // remembers, the agent goes back to there (what it remembered stays as a conversation). Tools that differ replace its own.
    //
    // Events come on the caller's thread, in the order that chat.h tells; the last ones of an answer when its turn is committed.
    // Errors: invalid_argument, too_long (the prompt), cancelled (before the answer began: what was read so far is kept and found
    // again), unsupported, engine. After an event was given, an error means that the answer broke off.
    Result<void> chat(const ChatRequest &request, const ChatSink &sink, std::stop_token stop = {});
    // The prompt that chat would read now, without reading it.
    struct ChatPrompt {
        std::vector<std::int32_t> tokens;
        std::uint64_t known_tokens = 0;  // of those, from the conversation's memory rather than rendered anew
        std::string text;                // of all tokens, control tokens as their names
        std::string agent;               // whose memory it goes on from; empty: a new conversation's
        std::vector<std::string> repairs;
    };
    Result<ChatPrompt> render(const ChatRequest &request) const;
    // Where the prompt that chat would read leaves what was said before: the request's agent's memory, or that of the tenant's
    // agents and conversations (the last used ones) which has most of it.
    struct Divergence {
        std::string agent;      // whose memory it is; empty: there is none to compare with
        bool diverges = false;  // false: the prompt goes on from all of it
        std::uint64_t prompt_tokens = 0, remembered_tokens = 0;
        std::uint64_t common_tokens = 0;  // leading ones: the first that differs has this index
        std::string place;                // in the request, "messages[2].content" or "tools"; empty: in none of its fields
        std::string explanation;          // a sentence
        // Text of the last tokens that are the same, and from there on both sides.
        std::string before, prompt_text, remembered_text;
        std::vector<std::string> repairs;  // without which it would have differed before
    };
    Result<Divergence> divergence(const ChatRequest &request) const;  // not_found: the agent
    // The model's own tokens: of a text, control tokens by their names included, and back.
    std::vector<std::int32_t> tokenise(std::string_view text) const;
    Result<std::string> detokenise(std::span<const std::int32_t> tokens) const;  // invalid_argument: no such token
    struct Embedding {
        std::vector<float> vector;  // of length 1
        std::uint64_t tokens = 0;
    };
    // A text's vector, where the model makes such (an embedding model: its file names a pooling), or that of tokens as they are.
    // unsupported: it makes none; too_long; invalid_argument.
    Result<Embedding> embed(std::string_view text) const;
    Result<Embedding> embed(std::span<const std::int32_t> tokens) const;
    // The conversation up to and with the answer that got this name (ChatRequest::answer_id), the system prompt included.
    // not_found.
    Result<std::vector<ChatMessage>> said_until(std::string_view answer_id) const;

    // Waits until the agent's KV is on disk; what couldn't be written earlier is tried again. KV that has left memory without
    // having been written is computed by the agent's next turn. not_found, io, over_budget.
    Result<void> save(std::string_view id);
    Result<void> save_all();
    Result<void> save_everything();          // of all tenants, as far as budgets allow; is on disk when it returns. io
    Result<void> load(std::string_view id);  // brings the agent's KV into the context
    // Brings it from disk into host memory, where its next turn finds it: nobody else has to leave the context for that. Returns
    // when it is there. not_found (no KV is stored, or not all of it any more: the next turn computes the rest), over_budget
    // (host memory is too small, or full of what running agents need), corrupt (some of it is damaged: likewise).
    Result<void> prewarm(std::string_view id);
    enum class EvictTo : std::uint8_t { memory, disk };
    Result<void> evict(std::string_view id, EvictTo to = EvictTo::disk);  // leaves the context (and memory); disk keeps it

    Result<std::vector<Message>> transcript(std::string_view id) const;
    Result<std::vector<std::int32_t>> tokens(std::string_view id) const;

    // One file with everything: identity, transcript, tokens, KV. Written atomically (temporary file, fsync, rename). KV that
    // isn't whole on disk, for want of room or because it is damaged, stays behind: the copy's next turn computes it.
    Result<void> export_agent(std::string_view id, const std::filesystem::path &file);
    struct ImportOptions {
        std::string as;          // another id; empty: the exported one
        bool recompute = false;  // take transcript and tokens only; KV is prefilled on the next turn
    };
    // KV for which there is no room is left out. corrupt, incompatible (another model's KV: the message says what differs; try
    // recompute), already_exists.
    Result<AgentInfo> import_agent(const std::filesystem::path &file, const ImportOptions &options);

    ManagerStats stats() const;

    // For whoever runs all tenants. A limit counts at once: KV above it is evicted, the least valuable first; transcripts stay,
    // and what is evicted, or doesn't fit, is computed again when it is needed. What one tenant stores never costs another more
    // than what that one has above its fair share of the budgets. io, invalid_argument.
    Result<void> limit_storage(std::string_view tenant, const StorageLimits &limits);
    std::vector<TenantStorage> storage_by_tenant() const;
    std::vector<AgentStorage> storage_by_agent() const;  // those that have something

    // Logits after the agent's committed tokens, as the model sees them now (for verification; runs one decode step on the last
    // token).
    Result<std::vector<float>> next_logits(std::string_view id);
    // The same, and those after each of `following` as if these had been said next: one more than there are of them. One decode
    // step each; nothing of them is kept. too_long: the context hasn't room for both.
    Result<std::vector<std::vector<float>>> logits_along(std::string_view id, std::span<const std::int32_t> following);
    // XXH3-128 (hex) over the agent's KV bytes as they are in the context now, part by part; loads the agent when it isn't hot.
    Result<std::string> kv_digest(std::string_view id);

  private:
    class Impl;
    AgentManager(std::shared_ptr<Impl> impl, std::string tenant);
    AgentKey key_of(std::string_view id) const;

    std::shared_ptr<Impl> impl_;
    std::string tenant_;
};

}  // namespace engram
