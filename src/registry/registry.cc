#include "registry/registry.h"

#include <algorithm>
#include <format>
#include <limits>
#include <mutex>

#include "registry/agent_table.h"
#include "registry/habit_table.h"
#include "registry/hash_table.h"
#include "registry/manifest_table.h"
#include "registry/message_table.h"
#include "registry/schema.h"
#include "registry/token_table.h"
#include "sqlite/database.h"

namespace engram {
namespace {

using sqlite::Database;
using sqlite::Transaction;

struct Tables {
    AgentTable agents;
    MessageTable messages;
    TokenTable tokens;
    ManifestTable manifests;
    HashTable hashes;
    HabitTable habits;

    static Result<Tables> open(Database &database) {
        Tables tables;
        ENGRAM_ASSIGN(tables.agents, AgentTable::open(database));
        ENGRAM_ASSIGN(tables.messages, MessageTable::open(database));
        ENGRAM_ASSIGN(tables.tokens, TokenTable::open(database));
        ENGRAM_ASSIGN(tables.manifests, ManifestTable::open(database));
        ENGRAM_ASSIGN(tables.hashes, HashTable::open(database));
        ENGRAM_ASSIGN(tables.habits, HabitTable::open(database));
        return tables;
    }
};

Result<void> check_turn(const TurnCommit &turn, const AgentRow &row) {
    if (turn.keep_tokens > row.n_tokens) {
        return fail(ErrorCode::invalid_argument,
                    std::format("agent {}: a turn can't keep {} of {} tokens", row.key.id, turn.keep_tokens, row.n_tokens));
    }
    if (turn.keep_messages != UINT64_MAX && turn.keep_messages > row.n_messages) {
        return fail(ErrorCode::invalid_argument,
                    std::format("agent {}: a turn can't keep {} of {} messages", row.key.id, turn.keep_messages, row.n_messages));
    }
    constexpr std::uint64_t kMaxTokens = std::numeric_limits<Position>::max();
    if (turn.new_tokens.size() > kMaxTokens - turn.keep_tokens) {  // keep_tokens was committed, so it is in range
        return fail(ErrorCode::invalid_argument, std::format("agent {}: {} more tokens are more than there are positions",
                                                             row.key.id, turn.new_tokens.size()));
    }
    return {};
}

// By which a fork knows whether its agent is still where it was. A clock that was put back, or that two changes see alike, must
// not hide one.
void note_change(AgentRow &row, std::int64_t now_ms) { row.updated_ms = std::max(now_ms, row.updated_ms + 1); }

class SqliteRegistry final : public Registry {
  public:
    static Result<std::unique_ptr<Registry>> open(const std::filesystem::path &file) {
        auto registry = std::make_unique<SqliteRegistry>();
        ENGRAM_ASSIGN(registry->database_, sqlite::open_file(file, registry_file_kind()));
        ENGRAM_ASSIGN(registry->tables_, Tables::open(registry->database_));
        return registry;
    }

    Result<AgentRow> create(const AgentRow &row) override {
        const std::scoped_lock lock(mutex_);
        ENGRAM_ASSIGN(auto transaction, begin(Transaction::Kind::write));
        ENGRAM_ASSIGN(StoredAgent created, insert(row));
        ENGRAM_TRY(transaction.commit());
        return std::move(created.row);
    }

    Result<AgentRow> create_with(const AgentRow &row, const TurnCommit &said) override {
        const std::scoped_lock lock(mutex_);
        ENGRAM_ASSIGN(auto transaction, begin(Transaction::Kind::write));
        ENGRAM_ASSIGN(StoredAgent created, insert(row));
        ENGRAM_TRY(add_turn(said, created));
        ENGRAM_TRY(transaction.commit());
        return std::move(created.row);
    }

    Result<AgentRow> get(const AgentKey &key) const override {
        const std::scoped_lock lock(mutex_);
        return tables_.agents.find(key).transform([](StoredAgent agent) { return std::move(agent.row); });
    }

    Result<std::vector<AgentRow>> list(std::string_view tenant) const override {
        const std::scoped_lock lock(mutex_);
        return tables_.agents.list(tenant);
    }

    Result<std::vector<AgentRow>> used_last(std::string_view tenant, const UsedLast &which) const override {
        const std::scoped_lock lock(mutex_);
        return tables_.agents.used_last(tenant, which);
    }

    Result<void> remove(const AgentKey &key) override {
        const std::scoped_lock lock(mutex_);
        ENGRAM_ASSIGN(auto transaction, begin(Transaction::Kind::write));
        ENGRAM_ASSIGN(const std::int64_t rowid,
                      tables_.agents.rowid(key));  // without reading the row: a damaged agent can go too
        ENGRAM_TRY(tables_.agents.remove(rowid));
        return transaction.commit();
    }

    Result<void> rename(const AgentKey &key, std::string_view new_id) override {
        return change(key, [&](StoredAgent &agent) { return tables_.agents.rename(agent, new_id); });
    }

    Result<AgentRow> fork(const AgentKey &source, std::string_view new_id, std::int64_t now_ms, std::uint64_t keep_messages,
                          const ForkAs &as) override {
        const std::scoped_lock lock(mutex_);
        ENGRAM_ASSIGN(auto transaction, begin(Transaction::Kind::write));
        ENGRAM_ASSIGN(const StoredAgent parent, tables_.agents.find(source));
        AgentRow child = parent.row;
        child.key.id = new_id;
        child.forked_from = source.id;
        child.forked_at = parent.row.updated_ms;
        child.created_ms = child.updated_ms = child.last_used_ms = now_ms;
        child.pinned = false;
        child.retention = Retention::standard;
        child.kind = as.kind;
        child.session = as.session;
        child.expires_ms = as.expires_ms;
        if (as.card) child.card = *as.card;
        ENGRAM_ASSIGN(const std::int64_t rowid, tables_.agents.insert(child));
        StoredAgent stored{.rowid = rowid, .row = child};
        ENGRAM_TRY(copy_rows(parent, stored, keep_messages));
        ENGRAM_TRY(tables_.agents.update(stored));
        ENGRAM_TRY(transaction.commit());
        return std::move(stored.row);
    }

    Result<AgentRow> fast_forward(const AgentKey &key, std::string_view fork, std::int64_t now_ms) override {
        const std::scoped_lock lock(mutex_);
        ENGRAM_ASSIGN(auto transaction, begin(Transaction::Kind::write));
        ENGRAM_ASSIGN(StoredAgent agent, tables_.agents.find(key));
        ENGRAM_ASSIGN(const StoredAgent from, tables_.agents.find({.tenant = key.tenant, .id = std::string(fork)}));
        if (from.row.forked_from != key.id) {
            return fail(ErrorCode::invalid_argument, std::format("agent {} is no fork of {}", fork, key.id));
        }
        if (agent.row.updated_ms != from.row.forked_at) {
            return fail(ErrorCode::already_exists,
                        std::format("agent {} was talked to, or changed, since {} was forked from it", key.id, fork));
        }
        ENGRAM_TRY(tables_.manifests.clear(agent.rowid));
        ENGRAM_TRY(tables_.messages.replace_tail(agent, 0, {}));
        ENGRAM_TRY(tables_.tokens.replace_tail(agent, 0, {}));
        ENGRAM_TRY(copy_rows(from, agent, UINT64_MAX));
        agent.row.n_turns = from.row.n_turns;
        agent.row.model = from.row.model;
        agent.row.vocabulary = from.row.vocabulary;
        agent.row.system_prompt = from.row.system_prompt;
        agent.row.tools = from.row.tools;
        note_change(agent.row, now_ms);
        agent.row.last_used_ms = now_ms;
        ENGRAM_TRY(tables_.agents.update(agent));
        ENGRAM_TRY(tables_.agents.remove(from.rowid));
        ENGRAM_TRY(transaction.commit());
        return std::move(agent.row);
    }

    Result<void> set_pinned(const AgentKey &key, bool pinned) override {
        return change(key, [&](StoredAgent &agent) {
            agent.row.pinned = pinned;
            return tables_.agents.update(agent);
        });
    }

    Result<void> set_model(const AgentKey &key, std::string_view model) override {
        return change(key, [&](StoredAgent &agent) {
            agent.row.model = model;
            return tables_.agents.update(agent);
        });
    }

    Result<void> set_retention(const AgentKey &key, Retention retention) override {
        return change(key, [&](StoredAgent &agent) {
            agent.row.retention = retention;
            return tables_.agents.update(agent);
        });
    }

    Result<void> touch(const AgentKey &key, std::int64_t now_ms) override {
        return change(key, [&](StoredAgent &agent) {
            agent.row.last_used_ms = now_ms;
            return tables_.agents.update(agent);
        });
    }

    Result<void> commit_turn(const TurnCommit &turn) override {
        return change(turn.key, [&](StoredAgent &agent) { return add_turn(turn, agent); });
    }

    Result<void> describe(const AgentKey &key, const Description &description, std::int64_t now_ms) override {
        return change(key, [&](StoredAgent &agent) -> Result<void> {
            AgentRow &row = agent.row;
            if (description.description) row.description = *description.description;
            if (description.card) row.card = *description.card;
            const AgentFront front{.system_prompt = row.system_prompt, .tools = row.tools};
            if (description.front && *description.front != front) {
                row.system_prompt = description.front->system_prompt;
                row.tools = description.front->tools;
                ENGRAM_TRY(tables_.tokens.replace_tail(agent, 0, {}));
            }
            note_change(row, now_ms);
            return tables_.agents.update(agent);
        });
    }

    Result<void> set_manifest(const AgentKey &key, const Manifest &manifest) override {
        return change(key, [&](StoredAgent &agent) { return tables_.manifests.replace(agent, manifest); });
    }

    Result<void> clear_manifest(const AgentKey &key) override {
        return change(key, [&](StoredAgent &agent) { return tables_.manifests.clear(agent.rowid); });
    }

    Result<std::vector<MessageRow>> messages(const AgentKey &key) const override {
        return view(key, [&](const StoredAgent &agent) { return tables_.messages.read(agent); });
    }

    Result<std::vector<AgentKey>> expired(std::int64_t now_ms, std::size_t limit) const override {
        const std::scoped_lock lock(mutex_);
        return tables_.agents.expired(now_ms, limit);
    }

    Result<std::optional<MessagePlace>> find_prefix(std::string_view tenant, std::string_view prefix) const override {
        const std::scoped_lock lock(mutex_);
        return tables_.messages.find_prefix(tenant, prefix);
    }

    Result<std::optional<MessagePlace>> find_public_id(std::string_view tenant, std::string_view public_id) const override {
        const std::scoped_lock lock(mutex_);
        return tables_.messages.find_public_id(tenant, public_id);
    }

    Result<std::vector<Token>> tokens(const AgentKey &key) const override {
        return view(key, [&](const StoredAgent &agent) { return tables_.tokens.read(agent); });
    }

    Result<std::optional<Manifest>> manifest(const AgentKey &key) const override {
        return view(key, [&](const StoredAgent &agent) { return tables_.manifests.read(agent); });
    }

    Result<void> for_each_manifest(const std::function<void(const AgentRow &, const Result<Manifest> &)> &visit) const override {
        std::int64_t after = std::numeric_limits<std::int64_t>::min();
        for (;;) {
            ENGRAM_ASSIGN(const auto page, manifests_after(after));
            if (page.empty()) return {};
            for (const auto &entry : page) visit(entry.agent, entry.manifest);  // without the lock: it may use the registry
            after = page.back().rowid;
        }
    }

    std::optional<Digest> remembered_hash(const FileStamp &stamp) const override {
        const std::scoped_lock lock(mutex_);
        return tables_.hashes.find(stamp);
    }

    Result<void> remember_hash(const FileStamp &stamp, const Digest &digest) override {
        const std::scoped_lock lock(mutex_);
        return tables_.hashes.replace(stamp, digest);
    }

    Result<void> remember_habits(std::span<const HabitRow> rows) override {
        const std::scoped_lock lock(mutex_);
        ENGRAM_ASSIGN(auto transaction, begin(Transaction::Kind::write));
        for (const HabitRow &row : rows) {
            const auto rowid = tables_.agents.rowid({.tenant = row.tenant, .id = row.habit.agent});
            if (rowid) ENGRAM_TRY(tables_.habits.replace(*rowid, row.habit));
        }
        ENGRAM_TRY(tables_.habits.keep_newest(kMostHabitRows));
        return transaction.commit();
    }

    Result<std::vector<HabitRow>> habits() const override {
        const std::scoped_lock lock(mutex_);
        return tables_.habits.list();
    }

    Result<std::vector<std::string>> integrity_check() const override {
        const std::scoped_lock lock(mutex_);
        ENGRAM_ASSIGN(auto statement, database_.prepare("PRAGMA integrity_check"));
        std::vector<std::string> problems;
        for (auto run = statement.run();;) {
            ENGRAM_ASSIGN(const bool more, run.next());
            if (!more) return problems;
            if (run.text(0) != "ok") problems.emplace_back(run.text(0));
        }
    }

  private:
    Result<Transaction> begin(Transaction::Kind kind) const { return Transaction::begin(database_, kind); }

    // An agent that nothing was said to yet.
    Result<StoredAgent> insert(const AgentRow &row) {
        StoredAgent created{.rowid = 0, .row = row};
        created.row.n_tokens = 0;
        created.row.n_messages = 0;
        ENGRAM_ASSIGN(created.rowid, tables_.agents.insert(created.row));
        return created;
    }

    Result<void> add_turn(const TurnCommit &turn, StoredAgent &agent) {
        ENGRAM_TRY(check_turn(turn, agent.row));
        ENGRAM_TRY(tables_.tokens.replace_tail(agent, turn.keep_tokens, turn.new_tokens));
        ENGRAM_TRY(tables_.messages.replace_tail(agent, std::min(turn.keep_messages, agent.row.n_messages), turn.new_messages));
        if (turn.manifest != nullptr) ENGRAM_TRY(tables_.manifests.replace(agent, *turn.manifest));
        note_change(agent.row, turn.now_ms);
        agent.row.last_used_ms = turn.now_ms;
        if (turn.counts_as_turn) ++agent.row.n_turns;
        if (!turn.model.empty()) agent.row.model = turn.model;
        if (!turn.vocabulary.empty()) agent.row.vocabulary = turn.vocabulary;
        if (turn.front) {
            agent.row.system_prompt = turn.front->system_prompt;
            agent.row.tools = turn.front->tools;
        }
        if (turn.expires_ms) agent.row.expires_ms = *turn.expires_ms;
        if (turn.retention) agent.row.retention = *turn.retention;
        return tables_.agents.update(agent);
    }

    // Gives the agent `to`, which has nothing, what `from` has; corrupt when messages or tokens are damaged.
    Result<void> copy_rows(const StoredAgent &from, StoredAgent &to, std::uint64_t keep_messages) {
        ENGRAM_ASSIGN(std::vector<MessageRow> messages, tables_.messages.read(from));
        ENGRAM_ASSIGN(std::vector<Token> tokens, tables_.tokens.read(from));
        if (keep_messages < messages.size()) {
            messages.resize(keep_messages);
            const std::uint64_t n_tokens = messages.empty() ? 0 : messages.back().n_tokens;
            if ((n_tokens == 0 && !messages.empty()) || n_tokens > tokens.size()) {
                return fail(ErrorCode::invalid_argument,
                            std::format("agent {} can't be forked after {} messages: no turn ended there", from.row.key.id,
                                        keep_messages));
            }
            tokens.resize(n_tokens);
        }
        to.row.n_messages = to.row.n_tokens = 0;
        ENGRAM_TRY(tables_.messages.replace_tail(to, 0, messages));
        ENGRAM_TRY(tables_.tokens.replace_tail(to, 0, tokens));
        return tables_.manifests.copy(from, to.rowid);
    }

    // Runs `body(agent)` in a transaction that stays only when it succeeds.
    template <typename Body>
    Result<void> change(const AgentKey &key, const Body &body) {
        const std::scoped_lock lock(mutex_);
        ENGRAM_ASSIGN(auto transaction, begin(Transaction::Kind::write));
        ENGRAM_ASSIGN(StoredAgent agent, tables_.agents.find(key));
        ENGRAM_TRY(body(agent));
        return transaction.commit();
    }

    // Runs `body(agent)` on one view of the file, so that another process's commit can't come between the agent and its rows.
    template <typename Body>
    auto view(const AgentKey &key, const Body &body) const -> decltype(body(std::declval<const StoredAgent &>())) {
        const std::scoped_lock lock(mutex_);
        ENGRAM_ASSIGN(const auto transaction, begin(Transaction::Kind::read));
        ENGRAM_ASSIGN(const StoredAgent agent, tables_.agents.find(key));
        return body(agent);
    }

    Result<std::vector<ManifestTable::Entry>> manifests_after(std::int64_t rowid) const {
        const std::scoped_lock lock(mutex_);
        return tables_.manifests.page_after(rowid);
    }

    // Guarded by mutex_. Mutable because SQLite's reads step prepared statements. The database outlives its statements.
    mutable std::mutex mutex_;
    mutable Database database_;
    mutable Tables tables_;
};

}  // namespace

Result<std::unique_ptr<Registry>> Registry::open(const std::filesystem::path &file) { return SqliteRegistry::open(file); }

}  // namespace engram
