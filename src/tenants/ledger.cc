#include "tenants/ledger.h"

#include <algorithm>
#include <format>
#include <utility>

#include "sqlite/database_file.h"

namespace engram {
namespace {

constexpr std::size_t kMostWaiting = 100'000;
// Half of what a column holds, so that two of them can be added: SQLite would make a sum that is too large a floating-point
// number.
constexpr std::int64_t kMostCounted = (1LL << 62) - 1;

// In order of the primary key without a row number: a day's rows lie together.
const std::string kVersion1 = R"(
    CREATE TABLE usage (
        day TEXT NOT NULL,
        tenant TEXT NOT NULL,
        agent TEXT NOT NULL,
        requests INTEGER NOT NULL,
        computed_tokens INTEGER NOT NULL,
        reused_tokens INTEGER NOT NULL,
        generated_tokens INTEGER NOT NULL,
        stored_byte_seconds INTEGER NOT NULL,
        PRIMARY KEY (day, tenant, agent)
    ) STRICT, WITHOUT ROWID;
)";

sqlite::FileKind file_kind() {
    return {.name = "the ledger",
            .holds = "what was used so far",
            .application_id = 0x456e6775,
            .migrations = {&kVersion1, 1}};  // "Engu"
}

std::int64_t bounded(std::uint64_t value) { return static_cast<std::int64_t>(std::min<std::uint64_t>(value, kMostCounted)); }

Result<Usage> usage_of(const sqlite::Run &run, int first_column) {
    std::array<std::uint64_t, 5> values{};
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::int64_t value = run.integer(first_column + static_cast<int>(i));
        if (value < 0) {
            return fail(ErrorCode::corrupt,
                        std::format("the ledger's row of {}, tenant {}, agent {} holds a number below zero; restore "
                                    "the file from a backup, or delete the row with the sqlite3 shell",
                                    run.text(0), run.text(1), run.text(2)));
        }
        values.at(i) = static_cast<std::uint64_t>(value);
    }
    return Usage{.requests = values[0],
                 .computed_tokens = values[1],
                 .reused_tokens = values[2],
                 .generated_tokens = values[3],
                 .stored_byte_seconds = values[4]};
}

}  // namespace

Result<std::unique_ptr<Ledger>> Ledger::open(const std::filesystem::path &file, Clock &clock) {
    std::unique_ptr<Ledger> ledger(new Ledger(clock));
    ENGRAM_ASSIGN(ledger->database_, sqlite::open_file(file, file_kind()));
    ENGRAM_ASSIGN(ledger->insert_,
                  ledger->database_.prepare(std::format(
                      "INSERT INTO usage (day, tenant, agent, requests, computed_tokens, reused_tokens, generated_tokens,"
                      " stored_byte_seconds) VALUES (?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT DO UPDATE SET"
                      " requests = min(requests, {0}) + excluded.requests,"
                      " computed_tokens = min(computed_tokens, {0}) + excluded.computed_tokens,"
                      " reused_tokens = min(reused_tokens, {0}) + excluded.reused_tokens,"
                      " generated_tokens = min(generated_tokens, {0}) + excluded.generated_tokens,"
                      " stored_byte_seconds = min(stored_byte_seconds, {0}) + excluded.stored_byte_seconds",
                      kMostCounted)));
    ENGRAM_ASSIGN(ledger->select_, ledger->database_.prepare(
                                       "SELECT day, tenant, agent, requests, computed_tokens, reused_tokens, generated_tokens,"
                                       " stored_byte_seconds FROM usage WHERE (?1 = '' OR day >= ?1) AND (?2 = '' OR day <= ?2)"
                                       " AND (?3 = '' OR tenant = ?3) ORDER BY day, tenant, agent"));
    return ledger;
}

void Ledger::add(std::string_view tenant, std::string_view agent, const Usage &usage) {
    Key key(day_of(clock_.wall_ms()), tenant, agent);
    const std::scoped_lock lock(waiting_mutex_);
    if (waiting_.size() >= kMostWaiting && !waiting_.contains(key)) std::get<2>(key).clear();
    waiting_[std::move(key)] += usage;
}

Result<void> Ledger::flush() {
    const std::scoped_lock database_lock(database_mutex_);
    Numbers numbers;
    {
        const std::scoped_lock lock(waiting_mutex_);
        numbers = std::exchange(waiting_, {});
    }
    if (numbers.empty()) return {};
    auto written = write(numbers);
    if (!written) {
        const std::scoped_lock lock(waiting_mutex_);
        for (const auto &[key, usage] : numbers) waiting_[key] += usage;
    }
    return written;
}

Result<void> Ledger::write(const Numbers &numbers) {
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    for (const auto &[key, usage] : numbers) {
        const auto &[day, tenant, agent] = key;
        ENGRAM_TRY(insert_
                       .run(day, tenant, agent, bounded(usage.requests), bounded(usage.computed_tokens),
                            bounded(usage.reused_tokens), bounded(usage.generated_tokens), bounded(usage.stored_byte_seconds))
                       .finish());
    }
    return transaction.commit();
}

Result<std::vector<UsageRow>> Ledger::query(const UsageQuery &query) const {
    for (const std::string &day : {query.from_day, query.to_day}) {
        if (!day.empty()) ENGRAM_TRY(validate_day(day));
    }
    Numbers sums;
    const std::scoped_lock lock(database_mutex_);
    for (auto run = select_.run(query.from_day, query.to_day, query.tenant);;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) break;
        ENGRAM_ASSIGN(const Usage usage, usage_of(run, 3));
        const auto shown = [](bool wanted, std::string_view text) { return std::string(wanted ? text : std::string_view()); };
        sums[{shown(query.columns.day, run.text(0)), shown(query.columns.tenant, run.text(1)),
              shown(query.columns.agent, run.text(2))}] += usage;
    }
    std::vector<UsageRow> rows;
    for (auto &[key, usage] : sums) {
        rows.push_back({.day = std::get<0>(key), .tenant = std::get<1>(key), .agent = std::get<2>(key), .usage = usage});
    }
    return rows;
}

}  // namespace engram
