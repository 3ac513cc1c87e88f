// What agents of one team share, and what is known of other servers: `teams.db` in the home folder. Thread-safe.
//
// Notes belong to a team of a tenant; within it a title names one note. They are found by their words (SQLite's FTS5: word stems
// are not cut, letters with and without accents are the same, the best match first).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engram/error.h"
#include "sqlite/database.h"

namespace engram {

struct Note {
    std::string title, text;
    std::string agent;  // who wrote it last
    std::int64_t updated_ms = 0;
    bool operator==(const Note &) const = default;
};

struct Team {
    std::string tenant, name;
};

// A conversation of an agent with one of another server.
struct RemoteTalk {
    std::string context;  // the other server's name for it
    std::string task;     // that waits for an answer; empty: none
    bool operator==(const RemoteTalk &) const = default;
};
// Between whom. The agent's time of making tells it from an earlier one of its name.
struct RemotePair {
    std::string tenant, agent;
    std::int64_t agent_created_ms = 0;
    std::string remote;
};

inline constexpr std::size_t kMaxNoteTitleBytes = 200;
inline constexpr std::size_t kMaxNoteBytes = 64UZ << 10U;
inline constexpr std::size_t kMaxNotesOfTeam = 10'000;
inline constexpr std::size_t kMaxHeldCalls = 10'000;  // of a tenant

class TeamStore {
  public:
    static Result<std::unique_ptr<TeamStore>> open(const std::filesystem::path &file);

    // A note of that title is written anew. invalid_argument: no title, no text, too long; over_budget: the team has too many.
    Result<void> write(const Team &team, const Note &note);
    Result<std::optional<Note>> read(const Team &team, std::string_view title);
    Result<bool> remove(const Team &team, std::string_view title);  // false: there was none
    // Those with all of the words, else those with any of them; without words the ones written last.
    Result<std::vector<Note>> search(const Team &team, std::string_view words, std::size_t most);

    // A tool server's tools as it listed them (any text), while its configuration is the same.
    Result<std::optional<std::string>> known_tools(std::string_view server, std::string_view configuration);
    Result<void> keep_tools(std::string_view server, std::string_view configuration, std::string_view tools);

    Result<RemoteTalk> remote_talk(const RemotePair &pair);  // empty: there is none yet
    Result<void> keep_remote_talk(const RemotePair &pair, const RemoteTalk &talk);

    // What is known of calls that wait for a person, or beside one that does (held_calls.h), by the calls' ids: any texts. Those
    // of one `keep` are kept together. Beyond kMaxHeldCalls the tenant's oldest go.
    Result<std::optional<std::string>> held_call(std::string_view tenant, std::string_view call);
    Result<void> keep_held_calls(std::string_view tenant, const std::map<std::string, std::string> &texts);
    Result<void> forget_held_call(std::string_view tenant, std::string_view call);

    // A name for this home that no other one has, made with the file: by it agents of different homes are told apart.
    const std::string &identity() const { return identity_; }

  private:
    explicit TeamStore(sqlite::Database database) : database_(std::move(database)) {}
    Result<void> prepare();
    Result<void> read_identity();
    Result<std::vector<Note>> found(const Team &team, const std::string &query, std::size_t most);

    std::mutex mutex_;
    sqlite::Database database_;
    sqlite::Statement count_, write_, read_, remove_, search_, last_, known_tools_, keep_tools_, remote_talk_, keep_remote_talk_;
    sqlite::Statement held_call_, keep_held_call_, forget_held_call_, forget_oldest_;
    std::string identity_;
};

}  // namespace engram
