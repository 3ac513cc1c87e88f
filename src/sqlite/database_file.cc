#include "sqlite/database_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <format>
#include <set>
#include <system_error>

namespace engram::sqlite {
namespace {

Error damaged_file(const std::filesystem::path &file, const FileKind &kind, std::string_view what) {
    return Error{.code = ErrorCode::corrupt,
                 .message = std::format("{} {} {}; it was left as it is, restore it from a backup or move it away to start "
                                        "without {}",
                                        kind.name, file.string(), what, kind.holds)};
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

Result<void> migrate(Database &database, std::int64_t from, const FileKind &kind) {
    ENGRAM_ASSIGN(auto transaction, Transaction::begin(database, Transaction::Kind::write));
    for (const std::string &migration : kind.migrations.subspan(static_cast<std::size_t>(from))) {
        ENGRAM_TRY(database.execute(migration));
    }
    ENGRAM_TRY(database.execute(
        std::format("PRAGMA user_version = {}; PRAGMA application_id = {}", kind.migrations.size(), kind.application_id)));
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
    // fullfsync: on macOS fsync alone doesn't reach the disk. secure_delete: what is removed is overwritten.
    return database.execute(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;"
        "PRAGMA cell_size_check = ON");
}

Result<void> create_file(const std::filesystem::path &file, const FileKind &kind) {
    std::string temporary = file.string() + ".new.XXXXXX";
    const int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);  // 0600
    if (descriptor < 0) return std::unexpected(system_error(file, "create"));
    ::close(descriptor);  // before SQLite opens it: closing any descriptor of a file drops the process's locks on it
    const auto fill = [&]() -> Result<void> {
        ENGRAM_ASSIGN(Database database, Database::open(temporary));
        ENGRAM_TRY(migrate(database, 0, kind));
        return make_durable(database, temporary);  // here, where nobody else can be in the way of a new journal mode
    };
    auto made = fill();
    if (made) made = publish(temporary, file);
    ::unlink(temporary.c_str());
    ENGRAM_TRY(std::move(made));
    return sync_folder(file.has_parent_path() ? file.parent_path() : std::filesystem::path("."));
}

// The version of the tables, after making sure that this is such a file and that this program can read it.
Result<std::int64_t> checked_version(Database &database, const std::filesystem::path &file, const FileKind &kind) {
    ENGRAM_ASSIGN(const std::int64_t application, database.integer("PRAGMA application_id"));
    ENGRAM_ASSIGN(const std::int64_t version, database.integer("PRAGMA user_version"));
    if (application != kind.application_id) {
        return fail(ErrorCode::incompatible,
                    std::format("{} is another database, and not {}; it was left as it is, move it away or choose another folder",
                                file.string(), kind.name));
    }
    if (version > static_cast<std::int64_t>(kind.migrations.size())) {
        return fail(ErrorCode::incompatible,
                    std::format("{} was written by a newer version of Engram (tables of version {}, this program "
                                "knows {}); it was left as it is, update Engram to use it",
                                file.string(), version, kind.migrations.size()));
    }
    if (version < 1) {
        return std::unexpected(
            damaged_file(file, kind, std::format("says that its tables have version {}, which never was", version)));
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
Result<void> check_tables(Database &database, const std::filesystem::path &file, const FileKind &kind) {
    ENGRAM_ASSIGN(Database fresh, Database::open(":memory:"));
    ENGRAM_TRY(migrate(fresh, 0, kind));
    ENGRAM_ASSIGN(const auto expected, definitions(fresh));
    ENGRAM_ASSIGN(const auto found, definitions(database));
    if (std::ranges::includes(found, expected)) return {};  // a person may have added an index
    return std::unexpected(damaged_file(file, kind, "lacks some of its tables, or their definitions are damaged"));
}

Result<std::int64_t> recognise(Database &database, const std::filesystem::path &file, const FileKind &kind) {
    ENGRAM_ASSIGN(const std::int64_t version, checked_version(database, file, kind));
    FileKind then = kind;
    then.migrations = kind.migrations.first(static_cast<std::size_t>(version));
    ENGRAM_TRY(check_tables(database, file, then));
    return version;
}

}  // namespace

Result<Database> open_file(const std::filesystem::path &file, const FileKind &kind) {
    std::error_code error;
    const auto status = std::filesystem::status(file, error);
    if (status.type() == std::filesystem::file_type::not_found) {
        // A log without its database holds committed rows, and SQLite would replay it into the new file. With one that somebody
        // has made since we looked it is another matter.
        const bool has_log = std::filesystem::exists(file.string() + "-wal", error);
        if (has_log && !std::filesystem::exists(file, error)) {
            return fail(ErrorCode::corrupt,
                        std::format("{0} is missing but its log {0}-wal is there; put the file back, or move the log "
                                    "away to start without {1}",
                                    file.string(), kind.holds));
        }
        if (!has_log) ENGRAM_TRY(create_file(file, kind));
    } else if (status.type() != std::filesystem::file_type::regular) {
        return fail(ErrorCode::io,
                    std::format("{} can't be opened: {}", file.string(), error ? error.message() : "it is not a file"));
    }
    const auto bytes = std::filesystem::file_size(file, error);
    if (!error && bytes == 0) {  // SQLite would take it for a new database, and throw away its log
        return std::unexpected(damaged_file(file, kind, "is empty, which it never is when Engram made it"));
    }
    ENGRAM_ASSIGN(Database database, Database::open(file));
    ENGRAM_ASSIGN(const std::int64_t version, recognise(database, file, kind).transform_error([&](Error cause) {
        // What is asked is right, so that what SQLite can't make sense of is the file.
        return cause.code == ErrorCode::internal ? damaged_file(file, kind, std::format("can't be read ({})", cause.message))
                                                 : cause;
    }));
    ENGRAM_TRY(make_durable(database, file));
    if (version < static_cast<std::int64_t>(kind.migrations.size())) ENGRAM_TRY(migrate(database, version, kind));
    return database;
}

}  // namespace engram::sqlite
