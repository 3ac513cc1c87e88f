#include "registry/habit_table.h"

#include <utility>

#include "registry/habit_codec.h"
#include "sqlite/row_checksum.h"

namespace engram {
namespace {

std::int64_t checksum_of(std::int64_t agent, std::int64_t began_ms, std::span<const std::byte> habit) {
    return RowChecksum().integer(agent).integer(began_ms).blob(habit).value();
}

}  // namespace

Result<HabitTable> HabitTable::open(sqlite::Database &database) {
    HabitTable table;
    ENGRAM_ASSIGN(table.list_,
                  database.prepare("SELECT a.tenant, a.id, h.agent, h.began_ms, h.checksum, h.habit"
                                   " FROM turn_habits AS h JOIN agents AS a ON a.key = h.agent ORDER BY h.began_ms"));
    ENGRAM_ASSIGN(table.replace_, database.prepare("INSERT OR REPLACE INTO turn_habits (agent, began_ms, checksum, habit)"
                                                   " VALUES (?1, ?2, ?3, ?4)"));
    ENGRAM_ASSIGN(table.trim_, database.prepare("DELETE FROM turn_habits WHERE agent IN (SELECT agent FROM turn_habits"
                                                " ORDER BY began_ms DESC LIMIT -1 OFFSET ?1)"));
    return table;
}

Result<std::vector<HabitRow>> HabitTable::list() {
    std::vector<HabitRow> rows;
    for (auto run = list_.run();;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) return rows;
        const auto bytes = run.blob(5);
        if (checksum_of(run.integer(2), run.integer(3), bytes) != run.integer(4)) continue;
        std::optional<TurnHabit> habit = decode_habit(bytes);
        if (!habit) continue;
        habit->agent = run.text(1);
        rows.push_back({.tenant = std::string(run.text(0)), .habit = std::move(*habit)});
    }
}

Result<void> HabitTable::replace(std::int64_t agent, const TurnHabit &habit) {
    const std::vector<std::byte> bytes = encode_habit(habit);
    const std::span<const std::byte> view(bytes);
    return replace_.run(agent, habit.last_began_ms, checksum_of(agent, habit.last_began_ms, view), view).finish();
}

Result<void> HabitTable::keep_newest(std::size_t rows) { return trim_.run(rows).finish(); }

}  // namespace engram
