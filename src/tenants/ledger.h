// The ledger: what each agent of each tenant used on each day (UTC), in a database file of its own (usage.db).
//
// What happens is added to numbers in memory, and these are written in one transaction by flush(), which somebody calls every few
// seconds and at the end. kill -9 loses what wasn't written: the last seconds. Rows are never removed.
//
// Threads: thread-safe. add() never waits for the disk; flush() and query() do. Several processes may have the file open: their
// numbers add up.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "engram/error.h"
#include "ports/clock.h"
#include "sqlite/database.h"
#include "tenants/usage.h"

namespace engram {

struct UsageQuery {
    std::string from_day, to_day;  // both included; empty: no bound
    std::string tenant;            // empty: all
    UsageColumns columns;          // rows that differ only in other columns are added up
};

class Ledger {
  public:
    // Creates the file (0600) when absent; its folder must exist. io, locked, corrupt (the file is left as it is), incompatible.
    static Result<std::unique_ptr<Ledger>> open(const std::filesystem::path &file, Clock &clock);

    // `agent` is empty for what belongs to no agent. When a hundred thousand rows wait to be written (the disk is full, say),
    // what would be one more is counted for no agent: the tenant's sum stays right.
    void add(std::string_view tenant, std::string_view agent, const Usage &usage);

    Result<void> flush();  // on an error nothing is lost: the next call tries again

    // What was written, by day, tenant and agent. invalid_argument: a day that is none; corrupt: a row can't be right.
    Result<std::vector<UsageRow>> query(const UsageQuery &query) const;

  private:
    using Key = std::tuple<std::string, std::string, std::string>;  // day, tenant, agent
    using Numbers = std::map<Key, Usage>;

    explicit Ledger(Clock &clock) : clock_(clock) {}
    Result<void> write(const Numbers &numbers);

    Clock &clock_;
    std::mutex waiting_mutex_;  // for waiting_; never held over I/O
    Numbers waiting_;
    mutable std::mutex database_mutex_;  // for the rest
    sqlite::Database database_;
    mutable sqlite::Statement insert_, select_;
};

}  // namespace engram
