#include "registry/schema.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <format>
#include <set>
#include <system_error>

namespace engram {
namespace {

using sqlite::Database;
using sqlite::Statement;
using sqlite::Transaction;

constexpr std::int64_t kApplicationId = 0x456e6772;  // "Engr"

// The columns that change with each turn stand before the long texts, so that SQLite rewrites one page and not the whole prompt.
const std::string kVersion1 = R"(
    CREATE TABLE agents (
        key INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        last_used_ms INTEGER NOT NULL,
        pinned INTEGER NOT NULL,
        n_tokens INTEGER NOT NULL,
        n_messages INTEGER NOT NULL,
        n_turns INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        model TEXT NOT NULL,
        vocabulary TEXT NOT NULL,
        forked_from TEXT NOT NULL,
        description TEXT NOT NULL,
        system_prompt TEXT NOT NULL,
        tools TEXT NOT NULL,
        kind TEXT NOT NULL,
        session TEXT NOT NULL,
        expires_ms INTEGER NOT NULL,
        UNIQUE (tenant, id)
    ) STRICT;
    CREATE TABLE messages (
        agent INTEGER NOT NULL REFERENCES agents (key) ON DELETE CASCADE,
        ordinal INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        n_tokens INTEGER NOT NULL,
        prefix TEXT NOT NULL,
        public_id TEXT NOT NULL,
        role TEXT NOT NULL,
        tool_call_id TEXT NOT NULL,
        content TEXT NOT NULL,
        tool_calls TEXT NOT NULL,
        thinking TEXT NOT NULL,
        UNIQUE (agent, ordinal)
    ) STRICT;
    CREATE INDEX messages_by_prefix ON messages (prefix) WHERE prefix <> '';
    CREATE INDEX messages_by_public_id ON messages (public_id) WHERE public_id <> '';
    CREATE TABLE token_runs (
        agent INTEGER NOT NULL REFERENCES agents (key) ON DELETE CASCADE,
        first INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        tokens BLOB NOT NULL,
        UNIQUE (agent, first)
    ) STRICT;
    CREATE TABLE manifests (
        agent INTEGER PRIMARY KEY REFERENCES agents (key) ON DELETE CASCADE,
        checksum INTEGER NOT NULL,
        manifest BLOB NOT NULL
    ) STRICT;
    CREATE TABLE model_hashes (
        path TEXT PRIMARY KEY,
        bytes INTEGER NOT NULL,
        modified_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        digest BLOB NOT NULL
    ) STRICT;
)";

Error damaged_file(const std::filesystem::path &file, std::string_view what) {
    return Error{
        .code = ErrorCode::corrupt,
        .message = std::format("the registry {} {}; it was left as it is, restore it from a backup or move it away to start "
                               "without agents",
                               file.string(), what)};
}

Error system_error(const std::filesystem::path &file, std::string_view action) {
    const int reason = errno;
    return Error{.code = ErrorCode::io,
                 .message = std::format("can't {} {}: {}", action, file.string(), std::system_category().message(reason))};
}

Result<void> sync_folder(const std::filesystem::path &folder) {
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return std::unexpected(system_error(folder, "open the folder"));
    const bool synced = ::fsync(descriptor) == 0 || errno == EINVAL;  // some file systems have nothing to sync in a folder
    const Error error = synced ? Error{} : system_error(folder, "sync the folder");
    ::close(descriptor);
    if (!synced) return std::unexpected(error);
    return {};
}

Result<void> migrate(Database &database, std::int64_t from, std::span<const std::string> migrations) {
    ENGRAM_ASSIGN(auto transaction, Transaction::begin(database, Transaction::Kind::write));
    for (const std::string &migration : migrations.subspan(static_cast<std::size_t>(from))) {
        ENGRAM_TRY(database.execute(migration));
    }
    ENGRAM_TRY(
        database.execute(std::format("PRAGMA user_version = {}; PRAGMA application_id = {}", migrations.size(), kApplicationId)));
    return transaction.commit();
}

// Gives the finished file its name, unless another process has made one in the meantime.
Result<void> publish(const std::filesystem::path &temporary, const std::filesystem::path &file) {
    if (::link(temporary.c_str(), file.c_str()) == 0 || errno == EEXIST) return {};
    if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS) return std::unexpected(system_error(file, "create"));
    if (::rename(temporary.c_str(), file.c_str()) != 0)
        return std::unexpected(system_error(file, "create"));  // no hard links here
    return {};
}

Result<void> create_file(const std::filesystem::path &file, std::span<const std::string> migrations) {
    std::string temporary = file.string() + ".new.XXXXXX";
    const int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);  // 0600
    if (descriptor < 0) return std::unexpected(system_error(file, "create"));
    ::close(descriptor);  // before SQLite opens it: closing any descriptor of a file drops the process's locks on it
    const auto fill = [&]() -> Result<void> {
        ENGRAM_ASSIGN(Database database, Database::open(temporary));
        return migrate(database, 0, migrations);
    };
    auto made = fill();
    if (made) made = publish(temporary, file);
    ::unlink(temporary.c_str());
    ENGRAM_TRY(std::move(made));
    return sync_folder(file.has_parent_path() ? file.parent_path() : std::filesystem::path("."));
}

// The version of the tables, after making sure that this is a registry that this program can read.
Result<std::int64_t> checked_version(Database &database, const std::filesystem::path &file, std::size_t newest) {
    ENGRAM_ASSIGN(const std::int64_t application, database.integer("PRAGMA application_id"));
    ENGRAM_ASSIGN(const std::int64_t version, database.integer("PRAGMA user_version"));
    if (application != kApplicationId) {
        return fail(ErrorCode::incompatible,
                    std::format("{} is another program's database; it was left as it is, move it away or choose another folder",
                                file.string()));
    }
    if (version > static_cast<std::int64_t>(newest)) {
        return fail(ErrorCode::incompatible,
                    std::format("{} was written by a newer version of Engram (tables of version {}, this program "
                                "knows {}); it was left as it is, update Engram to use it",
                                file.string(), version, newest));
    }
    if (version < 1) {
        return std::unexpected(damaged_file(file, std::format("says that its tables have version {}, which never was", version)));
    }
    return version;
}

Result<std::set<std::string>> definitions(Database &database) {
    ENGRAM_ASSIGN(Statement statement,
                  database.prepare("SELECT type || ' ' || name || ' ' || ifnull(sql, '') FROM sqlite_schema"));
    std::set<std::string> found;
    for (auto run = statement.run();;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) return found;
        found.emplace(run.text(0));
    }
}

// The tables must be those that the migrations make, to the letter: SQLite would go by a damaged definition.
Result<void> check_tables(Database &database, const std::filesystem::path &file, std::span<const std::string> migrations) {
    ENGRAM_ASSIGN(Database fresh, Database::open(":memory:"));
    ENGRAM_TRY(migrate(fresh, 0, migrations));
    ENGRAM_ASSIGN(const auto expected, definitions(fresh));
    ENGRAM_ASSIGN(const auto found, definitions(database));
    if (std::ranges::includes(found, expected)) return {};  // a person may have added an index
    return std::unexpected(damaged_file(file, "lacks some of its tables, or their definitions are damaged"));
}

Result<std::int64_t> recognise(Database &database, const std::filesystem::path &file, std::span<const std::string> migrations) {
    ENGRAM_ASSIGN(const std::int64_t version, checked_version(database, file, migrations.size()));
    ENGRAM_TRY(check_tables(database, file, migrations.first(static_cast<std::size_t>(version))));
    return version;
}

Result<void> make_durable(Database &database, const std::filesystem::path &file) {
    ENGRAM_ASSIGN(Statement statement, database.prepare("PRAGMA journal_mode = WAL"));
    {
        auto run = statement.run();
        ENGRAM_ASSIGN(const bool row, run.next());
        if (!row || run.text(0) != "wal") {
            return fail(ErrorCode::io,
                        std::format("{}: this file system allows no write-ahead log; choose a local disk", file.string()));
        }
    }
    // fullfsync: on macOS fsync alone doesn't reach the disk. secure_delete: a removed agent's words are overwritten.
    return database.execute(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;"
        "PRAGMA cell_size_check = ON");
}

}  // namespace

std::span<const std::string> registry_migrations() { return {&kVersion1, 1}; }

Result<Database> open_registry_file(const std::filesystem::path &file, std::span<const std::string> migrations) {
    std::error_code error;
    const auto status = std::filesystem::status(file, error);
    if (status.type() == std::filesystem::file_type::not_found) {
        // A log without its database holds committed turns, and SQLite would replay it into the new file.
        if (std::filesystem::exists(file.string() + "-wal", error)) {
            return fail(ErrorCode::corrupt,
                        std::format("{0} is missing but its log {0}-wal is there; put the file back, or move the log "
                                    "away to start without agents",
                                    file.string()));
        }
        ENGRAM_TRY(create_file(file, migrations));
    } else if (status.type() != std::filesystem::file_type::regular) {
        return fail(ErrorCode::io,
                    std::format("{} can't be opened: {}", file.string(), error ? error.message() : "it is not a file"));
    }
    const auto bytes = std::filesystem::file_size(file, error);
    if (!error && bytes == 0) {  // SQLite would take it for a new database, and throw away its log
        return std::unexpected(damaged_file(file, "is empty, which it never is when Engram made it"));
    }
    ENGRAM_ASSIGN(Database database, Database::open(file));
    ENGRAM_ASSIGN(const std::int64_t version, recognise(database, file, migrations).transform_error([&](Error cause) {
        // What is asked is right, so that what SQLite can't make sense of is the file.
        return cause.code == ErrorCode::internal ? damaged_file(file, std::format("can't be read ({})", cause.message)) : cause;
    }));
    ENGRAM_TRY(make_durable(database, file));
    if (version < static_cast<std::int64_t>(migrations.size())) ENGRAM_TRY(migrate(database, version, migrations));
    return database;
}

}  // namespace engram
