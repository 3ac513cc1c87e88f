#include "sqlite/database.h"

#include <sqlite3.h>

#include <format>

namespace engram::sqlite {
namespace {

constexpr int kBusyTimeoutMs = 5000;

ErrorCode code_of(int sqlite_code) {
    switch (sqlite_code & 0xff) {
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_CONSTRAINT: return ErrorCode::corrupt;
        case SQLITE_FULL:
        case SQLITE_IOERR:
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
        case SQLITE_AUTH: return ErrorCode::io;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_PROTOCOL: return ErrorCode::locked;
        case SQLITE_TOOBIG: return ErrorCode::invalid_argument;
        default: return ErrorCode::internal;
    }
}

std::string_view advice_for(int sqlite_code) {
    switch (sqlite_code & 0xff) {
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return "the file was left as it is: restore it from a backup, try `sqlite3 FILE .recover`, or move it away to start "
                   "without what it holds";
        case SQLITE_CONSTRAINT: return "its rows contradict each other and nothing was changed; restore the file from a backup";
        case SQLITE_FULL: return "nothing was changed; make room on the disk and try again";
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_PERM: return "nothing was changed; check the permissions of the file and its folder";
        case SQLITE_IOERR: return "nothing was changed; check the disk";
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_PROTOCOL: return "another process holds it; try again when that one is done";
        case SQLITE_TOOBIG: return "a single text or token list may have at most 1 GB";
        default: return "please report this";
    }
}

Error make_error(sqlite3 *database, int code, std::string_view file) {
    // The connection's own message tells more, but only while its last error is still this one.
    const bool own = database != nullptr && (sqlite3_errcode(database) & 0xff) == (code & 0xff);
    return Error{.code = code_of(code),
                 .message = std::format("the database {}: {}; {}", file, own ? sqlite3_errmsg(database) : sqlite3_errstr(code),
                                        advice_for(code))};
}

}  // namespace

Error error_of(sqlite3 *database, int code) {
    const char *file = sqlite3_db_filename(database, "main");
    return make_error(database, code, file == nullptr ? "" : file);
}

Run::~Run() {
    sqlite3_reset(statement_);  // its code repeats what next() has already reported
    sqlite3_clear_bindings(statement_);
}

Result<bool> Run::next() {
    sqlite3 *const database = sqlite3_db_handle(statement_);
    if (bind_error_ != SQLITE_OK) return std::unexpected(error_of(database, bind_error_));
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return std::unexpected(error_of(database, code));
}

Result<void> Run::finish() {
    for (;;) {
        ENGRAM_ASSIGN(const bool row, next());
        if (!row) return {};
    }
}

std::int64_t Run::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view Run::text(int column) const {
    const auto *data = sqlite3_column_text(statement_, column);  // before column_bytes, which counts the text's bytes
    const int size = sqlite3_column_bytes(statement_, column);
    return data == nullptr ? std::string_view()
                           : std::string_view(reinterpret_cast<const char *>(data), static_cast<std::size_t>(size));
}

std::span<const std::byte> Run::blob(int column) const {
    const auto *data = static_cast<const std::byte *>(sqlite3_column_blob(statement_, column));
    const int size = sqlite3_column_bytes(statement_, column);
    return data == nullptr ? std::span<const std::byte>() : std::span(data, static_cast<std::size_t>(size));
}

void Run::bind_integer(std::int64_t value) { note(sqlite3_bind_int64(statement_, ++bound_, value)); }

void Run::bind(std::string_view value) {
    // A null pointer would bind NULL, not an empty text.
    const char *data = value.data() == nullptr ? "" : value.data();
    note(sqlite3_bind_text64(statement_, ++bound_, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

void Run::bind(std::span<const std::byte> value) {
    ++bound_;
    note(value.empty() ? sqlite3_bind_zeroblob(statement_, bound_, 0)
                       : sqlite3_bind_blob64(statement_, bound_, value.data(), value.size(), SQLITE_TRANSIENT));
}

void Run::note(int code) {
    if (bind_error_ == SQLITE_OK) bind_error_ = code;
}

void Statement::Finalize::operator()(sqlite3_stmt *statement) const noexcept { sqlite3_finalize(statement); }

void Database::Close::operator()(sqlite3 *database) const noexcept { sqlite3_close(database); }

Result<Database> Database::open(const std::filesystem::path &file) {
    sqlite3 *handle = nullptr;
    const int code = sqlite3_open_v2(file.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    Database database;
    database.database_.reset(handle);  // SQLite makes a handle even when opening fails
    if (code != SQLITE_OK) return std::unexpected(make_error(handle, code, file.string()));
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_busy_timeout(handle, kBusyTimeoutMs);
    // The schema is trusted as little as the rows: a doctored file can't run functions or write to SQLite's own tables.
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    return database;
}

Result<Statement> Database::prepare(std::string_view sql) {
    sqlite3_stmt *handle = nullptr;
    const int code = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                        &handle, nullptr);
    Statement statement;
    statement.statement_.reset(handle);
    if (code != SQLITE_OK) return std::unexpected(error_of(database_.get(), code));
    return statement;
}

Result<void> Database::execute(const std::string &sql) {
    const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return std::unexpected(error_of(database_.get(), code));
    return {};
}

Result<std::int64_t> Database::integer(std::string_view sql) {
    ENGRAM_ASSIGN(Statement statement, prepare(sql));
    auto run = statement.run();
    ENGRAM_ASSIGN(const bool row, run.next());
    if (!row) return fail(ErrorCode::internal, std::format("no row from: {}", sql));
    return run.integer(0);
}

bool Database::in_transaction() const { return sqlite3_get_autocommit(database_.get()) == 0; }

Result<Transaction> Transaction::begin(Database &database, Kind kind) {
    ENGRAM_TRY(database.execute(kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN DEFERRED"));
    return Transaction(database);
}

Transaction::~Transaction() {
    // SQLite itself rolls back after some errors (a full disk, for one); a second ROLLBACK would only be an error.
    if (database_ != nullptr && database_->in_transaction()) (void)database_->execute("ROLLBACK");
}

Result<void> Transaction::commit() {
    ENGRAM_TRY(database_->execute("COMMIT"));
    database_ = nullptr;
    return {};
}

}  // namespace engram::sqlite
