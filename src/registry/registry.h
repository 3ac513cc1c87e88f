// The registry: who the agents are and what they have said, in SQLite (write-ahead log, synchronous=FULL).
//
// It is the truth that KV can be recomputed from: agents, messages, tokens, manifests, and the memo of model file hashes. A turn
// is one transaction: either all of it is there after a crash, or nothing.
//
// Threads: thread-safe; one connection guarded by a mutex, statements prepared once. Time stamps are wall-clock milliseconds
// given by the caller. Every blob row carries a checksum (XXH3-64); a row that doesn't match is reported as `corrupt`, and only
// for the agent it belongs to. Schema versions are migrated on open; a newer version than the program knows is `incompatible`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/kv_part.h"
#include "core/turn_predictor.h"
#include "engram/chat.h"
#include "engram/error.h"

namespace engram {

struct AgentKey {
    std::string tenant;
    std::string id;
    auto operator<=>(const AgentKey &) const = default;
};

enum class AgentKind : std::uint8_t {
    agent,         // named and made by somebody
    conversation,  // found by its messages: of a client that sends all of them each time
};

// AgentRow::forked_at of what is no fork, or was forked by a version that didn't note it.
inline constexpr std::int64_t kForkedBefore = -1;

struct AgentRow {
    AgentKey key;
    std::string system_prompt;
    std::string description;
    std::int64_t created_ms = 0;
    std::int64_t updated_ms = 0;  // when something was said to it, or it was described: later each time, whatever the clock does
    std::int64_t last_used_ms = 0;
    bool pinned = false;
    std::uint64_t n_tokens = 0;    // committed tokens
    std::uint64_t n_messages = 0;  // transcript's length, system prompt not counted
    std::uint64_t n_turns = 0;
    std::string model;        // display name of the model that the tokens belong to; empty before the first turn
    std::string vocabulary;   // identity of the tokenizer that the tokens belong to (hex); empty before the first turn
    std::string forked_from;  // agent id, or empty
    std::int64_t forked_at = kForkedBefore;  // updated_ms of that agent then
    std::string tools;                       // JSON list of function tools; empty: none
    AgentKind kind = AgentKind::agent;
    std::string session;          // of a conversation: the client's own key; empty: none
    std::int64_t expires_ms = 0;  // when nobody has used it until then, it may go; 0: never
    Retention retention = Retention::standard;
    std::string card;  // JSON (chat/agent_card.h); empty: nothing is said of the agent
    bool operator==(const AgentRow &) const = default;
};

// Of a message that takes the place of all before it: the model reads its content (a summary, or nothing) instead.
inline constexpr std::string_view kCompactionRole = "compaction";

struct MessageRow {
    std::string role;  // "system", "user", "assistant", "tool", kCompactionRole
    std::string content;
    std::int64_t created_ms = 0;
    std::string tool_calls = {};    // of an answer: JSON list; empty: none
    std::string tool_call_id = {};  // of a tool: the call that this is the result of; empty: not said
    std::string thinking = {};      // of an answer: what was thought before it
    std::uint64_t n_tokens = 0;  // the agent's committed tokens up to and with this message, where a turn ended here; 0: none did
                                 // (or a compaction followed)
    std::string prefix = {};     // where a turn ended here: a digest of all that was said until then (hex), to be found by
    std::string public_id = {};  // of an answer: the name that the client knows it by; empty: none
    bool operator==(const MessageRow &) const = default;
};

// A message in somebody's transcript.
struct MessagePlace {
    AgentKey key;
    std::uint64_t ordinal = 0;  // in the transcript, from 0
    bool operator==(const MessagePlace &) const = default;
};

// Which parts make up an agent's KV at its last turn.
struct ManifestPart {
    PartKind kind = PartKind::attention;
    BlockId id;  // of the segment it belongs to (for `state`: of the prefix it was taken after)
    // Of the part's rows (window: may be later than the segment's); for state, the position after the prefix.
    Position first_position = 0;
    std::uint32_t rows = 0;  // positions covered; for state bytes
};

struct Manifest {
    Fingerprint fingerprint;
    std::uint32_t block_tokens = 0;
    std::uint64_t n_kv = 0;  // tokens whose KV the parts hold (a prefix of the agent's tokens)
    std::vector<ManifestPart> parts;
};

// What stands in front of an agent's transcript.
struct AgentFront {
    std::string system_prompt;
    std::string tools;  // JSON list of function tools; empty: none
    bool operator==(const AgentFront &) const = default;
};

// What a fork is, where that isn't what its parent is.
struct ForkAs {
    AgentKind kind = AgentKind::agent;
    std::string session = {};
    std::int64_t expires_ms = 0;
    std::optional<std::string> card = {};
};

// One turn: everything in it is committed together.
struct TurnCommit {
    AgentKey key;
    std::uint64_t keep_tokens = 0;  // prefix of the committed tokens that stays (the rest is replaced)
    std::span<const Token> new_tokens;
    std::vector<MessageRow> new_messages;
    std::uint64_t keep_messages = UINT64_MAX;  // prefix of the transcript that stays; default: all of it
    // Null: the manifest stays as it is, also when it names tokens that are replaced here. Its parts are found by the chain of
    // the tokens, so that what no longer fits is not used.
    const Manifest *manifest = nullptr;
    std::int64_t now_ms = 0;
    std::string model, vocabulary;
    bool counts_as_turn = true;
    std::optional<AgentFront> front = {};         // replaces the agent's
    std::optional<std::int64_t> expires_ms = {};  // likewise
    std::optional<Retention> retention = {};      // likewise
};

// When turns of an agent came, and whose came after them.
struct HabitRow {
    std::string tenant;
    TurnHabit habit;
    bool operator==(const HabitRow &) const = default;
};

class Registry {
  public:
    // Creates the file (0600) when absent; its folder must exist. io, locked, corrupt (the file is left as it is), incompatible.
    static Result<std::unique_ptr<Registry>> open(const std::filesystem::path &file);
    virtual ~Registry() = default;

    // As given, but with no tokens and no messages yet. already_exists, invalid_argument.
    virtual Result<AgentRow> create(const AgentRow &row) = 0;
    // An agent that comes with what was said to it, in one transaction: both are there, or neither. As create and commit_turn.
    virtual Result<AgentRow> create_with(const AgentRow &row, const TurnCommit &said) = 0;
    virtual Result<AgentRow> get(const AgentKey &key) const = 0;  // not_found
    // By id; empty tenant: all. A damaged agent is listed by its key, with zeros and a description that says so.
    virtual Result<std::vector<AgentRow>> list(std::string_view tenant) const = 0;
    virtual Result<void> remove(const AgentKey &key) = 0;                           // not_found; works for damaged agents too
    virtual Result<void> rename(const AgentKey &key, std::string_view new_id) = 0;  // not_found, already_exists
    // It isn't pinned, and nothing is promised for it. `keep_messages`: how much of the transcript the fork has; a part must end
    // with a message where a turn ended (its n_tokens).
    virtual Result<AgentRow> fork(const AgentKey &source, std::string_view new_id, std::int64_t now_ms,
                                  std::uint64_t keep_messages = UINT64_MAX, const ForkAs &as = {}) = 0;
    // The agent goes on from where its fork is, which goes; in one transaction. What is the agent's own (its card, since when it
    // is there, whether it is pinned) stays. not_found; invalid_argument: that one isn't its fork; already_exists: something has
    // happened to the agent since it was forked, or may have (kForkedBefore).
    virtual Result<AgentRow> fast_forward(const AgentKey &key, std::string_view fork, std::int64_t now_ms) = 0;
    virtual Result<void> set_pinned(const AgentKey &key, bool pinned) = 0;
    virtual Result<void> set_model(const AgentKey &key, std::string_view model) = 0;
    virtual Result<void> set_retention(const AgentKey &key, Retention retention) = 0;
    virtual Result<void> touch(const AgentKey &key, std::int64_t now_ms) = 0;
    // Replaces what is given. Another front makes the committed tokens go: the next turn reads the transcript again.
    struct Description {
        std::optional<std::string> description, card;
        std::optional<AgentFront> front;
    };
    virtual Result<void> describe(const AgentKey &key, const Description &description, std::int64_t now_ms) = 0;

    virtual Result<void> commit_turn(const TurnCommit &turn) = 0;
    virtual Result<void> set_manifest(const AgentKey &key, const Manifest &manifest) = 0;
    virtual Result<void> clear_manifest(const AgentKey &key) = 0;

    virtual Result<std::vector<MessageRow>> messages(const AgentKey &key) const = 0;
    // Conversations of any tenant whose time is over, the longest expired first; at most `limit`. Pinned ones don't expire.
    virtual Result<std::vector<AgentKey>> expired(std::int64_t now_ms, std::size_t limit) const = 0;
    // The conversation of a tenant in which a turn ended with this `prefix`: rather one that ends there, then the one used last.
    virtual Result<std::optional<MessagePlace>> find_prefix(std::string_view tenant, std::string_view prefix) const = 0;
    // The answer of a tenant's that has this public id.
    virtual Result<std::optional<MessagePlace>> find_public_id(std::string_view tenant, std::string_view public_id) const = 0;
    // A tenant's agents and conversations that have tokens of this vocabulary, the one used last first. Damaged ones are left
    // out.
    struct UsedLast {
        std::string vocabulary;
        bool unnamed_only = false;  // conversations that nobody has named
        std::size_t limit = 0;
    };
    virtual Result<std::vector<AgentRow>> used_last(std::string_view tenant, const UsedLast &which) const = 0;
    virtual Result<std::vector<Token>> tokens(const AgentKey &key) const = 0;         // corrupt
    virtual Result<std::optional<Manifest>> manifest(const AgentKey &key) const = 0;  // corrupt; nullopt when there is none

    // Calls `visit` for each agent with a manifest; corrupt manifests are reported with an error in place of the manifest.
    // Agents are read in pages, and no lock is held meanwhile: `visit` may use the registry.
    virtual Result<void> for_each_manifest(
        const std::function<void(const AgentRow &, const Result<Manifest> &)> &visit) const = 0;

    // Memo of content hashes of model files.
    struct FileStamp {
        std::string path;
        std::uint64_t bytes = 0;
        std::int64_t modified_ns = 0;
        std::uint64_t inode = 0;
    };
    virtual std::optional<Digest> remembered_hash(const FileStamp &stamp) const = 0;
    virtual Result<void> remember_hash(const FileStamp &stamp, const Digest &digest) = 0;

    // Habits are guesses: those of agents that don't exist are left out when they are written, and damaged ones when they are
    // read. An agent's go with it. Only the kMostHabitRows that were used last are kept.
    static constexpr std::size_t kMostHabitRows = 4096;
    virtual Result<void> remember_habits(std::span<const HabitRow> rows) = 0;
    virtual Result<std::vector<HabitRow>> habits() const = 0;

    // SQLite's own integrity check; empty when the file is sound, else one sentence for each problem.
    virtual Result<std::vector<std::string>> integrity_check() const = 0;
};

}  // namespace engram
