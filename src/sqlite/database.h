// SQLite's C interface with owners for its handles and errors as values. Nothing here knows what is stored.
//
//     ENGRAM_ASSIGN(Statement names, database.prepare("SELECT name FROM people WHERE age > ?1"));
//     for (auto run = names.run(30);;) {
//         ENGRAM_ASSIGN(const bool row, run.next());
//         if (!row) break;
//         use(run.text(0));
//     }
//
// Threads: a Database and everything made from it belong to one thread at a time (the connection is opened without SQLite's own
// mutex). A Database must outlive its Statements, a Statement its Runs; one Run of a Statement exists at a time.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "engram/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace engram::sqlite {

// The error for SQLite's result `code` on this connection: `corrupt` for a damaged file (and for a violated constraint: whoever
// writes has made sure that there is none, so that the rows must contradict each other), `io` when the file system refused (no
// space, read-only, not permitted), `locked` when another process was busy with the file for too long, invalid_argument for a
// value beyond SQLite's limit of 1 GB, `internal` for the rest. The message names the file and what to do.
Error error_of(sqlite3 *database, int code);

// One execution of a prepared statement: bound values, then rows. Resets the statement when it goes out of scope.
class Run {
  public:
    template <typename... Values>
    explicit Run(sqlite3_stmt *statement, const Values &...values) : statement_(statement) {
        (bind(values), ...);
    }
    ~Run();
    Run(const Run &) = delete;
    Run &operator=(const Run &) = delete;

    Result<bool> next();    // true: at a row; false: no more rows
    Result<void> finish();  // runs to the end, for statements without rows

    // Columns of the current row, counted from 0. Views are valid until the next call of next().
    std::int64_t integer(int column) const;
    std::string_view text(int column) const;
    std::span<const std::byte> blob(int column) const;

  private:
    void bind_integer(std::int64_t value);
    void bind(std::string_view value);
    void bind(std::span<const std::byte> value);
    void bind(std::integral auto value) { bind_integer(static_cast<std::int64_t>(value)); }
    void note(int code);

    sqlite3_stmt *statement_;
    int bound_ = 0;
    int bind_error_ = 0;  // SQLITE_OK, or the first binding that failed; reported by next()
};

class Statement {
  public:
    Statement() = default;
    // Values are copied; integers, text and bytes, in the order of the statement's parameters.
    template <typename... Values>
    Run run(const Values &...values) {
        return Run(statement_.get(), values...);
    }

  private:
    friend class Database;
    struct Finalize {
        void operator()(sqlite3_stmt *statement) const noexcept;
    };
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
  public:
    // Opens an existing file for reading and writing (for reading only where the file system allows no more; writes then fail
    // with `io`). Waits up to five seconds for another process that is writing. SQLite reads nothing before the first statement,
    // so that a damaged file is noticed there.
    static Result<Database> open(const std::filesystem::path &file);

    Result<Statement> prepare(std::string_view sql);
    Result<void> execute(const std::string &sql);        // any number of statements; rows are ignored
    Result<std::int64_t> integer(std::string_view sql);  // first column of the first row; internal when there is none
    bool in_transaction() const;

  private:
    struct Close {
        void operator()(sqlite3 *database) const noexcept;
    };
    std::unique_ptr<sqlite3, Close> database_;
};

// Rolled back unless committed. `write` takes the write lock at once, so that a later statement can't find the file changed in
// between; `read` gives several statements one view of the file.
class Transaction {
  public:
    enum class Kind : std::uint8_t { read, write };
    static Result<Transaction> begin(Database &database, Kind kind);
    ~Transaction();
    Transaction(Transaction &&other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
    Transaction &operator=(Transaction &&) = delete;

    Result<void> commit();  // on an error nothing of the transaction stays

  private:
    explicit Transaction(Database &database) : database_(&database) {}
    Database *database_;  // null once committed or moved from
};

}  // namespace engram::sqlite
