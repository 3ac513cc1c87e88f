#include "teams/team_store.h"

#include <array>
#include <format>

#include "core/random_name.h"
#include "sqlite/database_file.h"

namespace engram {
namespace {

const std::array<std::string, 3> kMigrations{R"(
    CREATE TABLE notes (
        id INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        team TEXT NOT NULL,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        agent TEXT NOT NULL,
        updated_ms INTEGER NOT NULL,
        UNIQUE (tenant, team, title)
    ) STRICT;
    CREATE INDEX notes_by_time ON notes (tenant, team, updated_ms);
    CREATE VIRTUAL TABLE note_words USING fts5 (title, text, content = 'notes', content_rowid = 'id', tokenize = 'unicode61');
    CREATE TRIGGER note_is_new AFTER INSERT ON notes BEGIN
        INSERT INTO note_words (rowid, title, text) VALUES (new.id, new.title, new.text);
    END;
    CREATE TRIGGER note_goes AFTER DELETE ON notes BEGIN
        INSERT INTO note_words (note_words, rowid, title, text) VALUES ('delete', old.id, old.title, old.text);
    END;
    CREATE TRIGGER note_changes AFTER UPDATE ON notes BEGIN
        INSERT INTO note_words (note_words, rowid, title, text) VALUES ('delete', old.id, old.title, old.text);
        INSERT INTO note_words (rowid, title, text) VALUES (new.id, new.title, new.text);
    END;
    CREATE TABLE known_tools (
        server TEXT PRIMARY KEY,
        configuration TEXT NOT NULL,
        tools TEXT NOT NULL
    ) STRICT;
)",
                                             R"(
    CREATE TABLE remote_talks (
        tenant TEXT NOT NULL,
        agent TEXT NOT NULL,
        agent_created_ms INTEGER NOT NULL,
        remote TEXT NOT NULL,
        context TEXT NOT NULL,
        task TEXT NOT NULL,
        PRIMARY KEY (tenant, agent, remote)
    ) STRICT;
    CREATE TABLE identity (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), name TEXT NOT NULL) STRICT;
)",
                                             R"(
    CREATE TABLE held_calls (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        call TEXT NOT NULL,
        text TEXT NOT NULL,
        UNIQUE (tenant, call)
    ) STRICT;
)"};

// Each word in quotation marks, so that none of it is FTS5's own language.
std::string words_of(std::string_view text, std::string_view between) {
    std::string query;
    std::string word;
    const auto end_word = [&] {
        if (!word.empty()) query += std::format("{}\"{}\"", query.empty() ? "" : between, word);
        word.clear();
    };
    for (const char c : text) {
        const bool is_part =
            static_cast<unsigned char>(c) >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (is_part) {
            word += c;
        } else {
            end_word();
        }
    }
    end_word();
    return query;
}

Note note_of(const sqlite::Run &run) {
    return {.title = std::string(run.text(0)),
            .text = std::string(run.text(1)),
            .agent = std::string(run.text(2)),
            .updated_ms = run.integer(3)};
}

}  // namespace

Result<std::unique_ptr<TeamStore>> TeamStore::open(const std::filesystem::path &file) {
    const sqlite::FileKind kind{.name = "the file of the teams' notes",
                                .holds = "what agents have written down for each other",
                                .application_id = 0x456e676e,  // "Engn"
                                .migrations = kMigrations};
    ENGRAM_ASSIGN(sqlite::Database database, sqlite::open_file(file, kind));
    std::unique_ptr<TeamStore> store(new TeamStore(std::move(database)));
    ENGRAM_TRY(store->prepare());
    return store;
}

Result<void> TeamStore::prepare() {
    const auto make = [this](sqlite::Statement &statement, std::string_view sql) -> Result<void> {
        ENGRAM_ASSIGN(statement, database_.prepare(sql));
        return {};
    };
    ENGRAM_TRY(make(count_, "SELECT count(*) FROM notes WHERE tenant = ?1 AND team = ?2 AND title <> ?3"));
    ENGRAM_TRY(make(write_,
                    "INSERT INTO notes (tenant, team, title, text, agent, updated_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
                    " ON CONFLICT (tenant, team, title) DO UPDATE SET text = ?4, agent = ?5, updated_ms = ?6"));
    ENGRAM_TRY(make(read_, "SELECT title, text, agent, updated_ms FROM notes WHERE tenant = ?1 AND team = ?2 AND title = ?3"));
    ENGRAM_TRY(make(remove_, "DELETE FROM notes WHERE tenant = ?1 AND team = ?2 AND title = ?3 RETURNING 1"));
    ENGRAM_TRY(make(search_,
                    "SELECT n.title, n.text, n.agent, n.updated_ms FROM note_words JOIN notes AS n ON n.id = note_words.rowid"
                    " WHERE note_words MATCH ?3 AND n.tenant = ?1 AND n.team = ?2 ORDER BY bm25(note_words), n.id LIMIT ?4"));
    ENGRAM_TRY(make(last_,
                    "SELECT title, text, agent, updated_ms FROM notes WHERE tenant = ?1 AND team = ?2"
                    " ORDER BY updated_ms DESC, id DESC LIMIT ?3"));
    ENGRAM_TRY(make(known_tools_, "SELECT tools FROM known_tools WHERE server = ?1 AND configuration = ?2"));
    ENGRAM_TRY(make(keep_tools_, "INSERT OR REPLACE INTO known_tools (server, configuration, tools) VALUES (?1, ?2, ?3)"));
    ENGRAM_TRY(make(remote_talk_,
                    "SELECT context, task FROM remote_talks"
                    " WHERE tenant = ?1 AND agent = ?2 AND agent_created_ms = ?3 AND remote = ?4"));
    ENGRAM_TRY(make(keep_remote_talk_,
                    "INSERT OR REPLACE INTO remote_talks (tenant, agent, agent_created_ms, remote, context, task)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
    ENGRAM_TRY(make(held_call_, "SELECT text FROM held_calls WHERE tenant = ?1 AND call = ?2"));
    ENGRAM_TRY(make(keep_held_call_, "INSERT OR REPLACE INTO held_calls (tenant, call, text) VALUES (?1, ?2, ?3)"));
    ENGRAM_TRY(make(forget_held_call_, "DELETE FROM held_calls WHERE tenant = ?1 AND call = ?2"));
    ENGRAM_TRY(make(forget_oldest_,
                    "DELETE FROM held_calls WHERE tenant = ?1 AND id NOT IN"
                    " (SELECT id FROM held_calls WHERE tenant = ?1 ORDER BY id DESC LIMIT ?2)"));
    return read_identity();
}

Result<void> TeamStore::read_identity() {
    ENGRAM_ASSIGN(sqlite::Statement make, database_.prepare("INSERT OR IGNORE INTO identity (only_one, name) VALUES (1, ?1)"));
    ENGRAM_TRY(make.run(random_name("home-")).finish());
    ENGRAM_ASSIGN(sqlite::Statement read, database_.prepare("SELECT name FROM identity"));
    sqlite::Run run = read.run();
    ENGRAM_TRY(run.next());
    identity_ = run.text(0);
    return {};
}

Result<void> TeamStore::write(const Team &team, const Note &note) {
    if (note.title.empty() || note.title.size() > kMaxNoteTitleBytes) {
        return fail(ErrorCode::invalid_argument, std::format("a note's title has 1 to {} bytes", kMaxNoteTitleBytes));
    }
    if (note.text.empty() || note.text.size() > kMaxNoteBytes) {
        return fail(ErrorCode::invalid_argument, std::format("a note's text has 1 to {} bytes", kMaxNoteBytes));
    }
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    {
        sqlite::Run others = count_.run(team.tenant, team.name, note.title);
        ENGRAM_TRY(others.next());
        if (static_cast<std::size_t>(others.integer(0)) >= kMaxNotesOfTeam) {
            return fail(ErrorCode::over_budget, std::format("the team {} has {} notes, and more are not possible: remove some",
                                                            team.name, kMaxNotesOfTeam));
        }
    }
    ENGRAM_TRY(write_.run(team.tenant, team.name, note.title, note.text, note.agent, note.updated_ms).finish());
    return transaction.commit();
}

Result<std::optional<Note>> TeamStore::read(const Team &team, std::string_view title) {
    const std::scoped_lock lock(mutex_);
    sqlite::Run run = read_.run(team.tenant, team.name, title);
    ENGRAM_ASSIGN(const bool is_there, run.next());
    if (!is_there) return std::optional<Note>();
    return std::optional(note_of(run));
}

Result<bool> TeamStore::remove(const Team &team, std::string_view title) {
    const std::scoped_lock lock(mutex_);
    sqlite::Run run = remove_.run(team.tenant, team.name, title);
    ENGRAM_ASSIGN(const bool was_there, run.next());
    if (was_there) ENGRAM_TRY(run.finish());
    return was_there;
}

Result<std::vector<Note>> TeamStore::found(const Team &team, const std::string &query, std::size_t most) {
    std::vector<Note> notes;
    sqlite::Run run = query.empty() ? last_.run(team.tenant, team.name, most) : search_.run(team.tenant, team.name, query, most);
    while (true) {
        ENGRAM_ASSIGN(const bool row, run.next());
        if (!row) return notes;
        notes.push_back(note_of(run));
    }
}

Result<std::vector<Note>> TeamStore::search(const Team &team, std::string_view words, std::size_t most) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(std::vector<Note> notes, found(team, words_of(words, " "), most));
    if (!notes.empty()) return notes;
    return found(team, words_of(words, " OR "), most);
}

Result<std::optional<std::string>> TeamStore::known_tools(std::string_view server, std::string_view configuration) {
    const std::scoped_lock lock(mutex_);
    sqlite::Run run = known_tools_.run(server, configuration);
    ENGRAM_ASSIGN(const bool is_there, run.next());
    if (!is_there) return std::optional<std::string>();
    return std::optional(std::string(run.text(0)));
}

Result<void> TeamStore::keep_tools(std::string_view server, std::string_view configuration, std::string_view tools) {
    const std::scoped_lock lock(mutex_);
    return keep_tools_.run(server, configuration, tools).finish();
}

Result<RemoteTalk> TeamStore::remote_talk(const RemotePair &pair) {
    const std::scoped_lock lock(mutex_);
    sqlite::Run run = remote_talk_.run(pair.tenant, pair.agent, pair.agent_created_ms, pair.remote);
    ENGRAM_ASSIGN(const bool is_there, run.next());
    if (!is_there) return RemoteTalk();
    return RemoteTalk{.context = std::string(run.text(0)), .task = std::string(run.text(1))};
}

Result<void> TeamStore::keep_remote_talk(const RemotePair &pair, const RemoteTalk &talk) {
    const std::scoped_lock lock(mutex_);
    return keep_remote_talk_.run(pair.tenant, pair.agent, pair.agent_created_ms, pair.remote, talk.context, talk.task).finish();
}

Result<std::optional<std::string>> TeamStore::held_call(std::string_view tenant, std::string_view call) {
    const std::scoped_lock lock(mutex_);
    sqlite::Run run = held_call_.run(tenant, call);
    ENGRAM_ASSIGN(const bool is_there, run.next());
    if (!is_there) return std::optional<std::string>();
    return std::optional(std::string(run.text(0)));
}

Result<void> TeamStore::keep_held_calls(std::string_view tenant, const std::map<std::string, std::string> &texts) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    for (const auto &[call, text] : texts) ENGRAM_TRY(keep_held_call_.run(tenant, call, text).finish());
    ENGRAM_TRY(forget_oldest_.run(tenant, kMaxHeldCalls).finish());
    return transaction.commit();
}

Result<void> TeamStore::forget_held_call(std::string_view tenant, std::string_view call) {
    const std::scoped_lock lock(mutex_);
    return forget_held_call_.run(tenant, call).finish();
}

}  // namespace engram
