// The rows of table `turn_habits`: at most one for each agent. What can't be read is as if it weren't there: it was a guess.
//
// Threads: as sqlite::Statement. Callers open the transaction.
#pragma once

#include <cstdint>
#include <vector>

#include "registry/registry.h"
#include "sqlite/database.h"

namespace engram {

class HabitTable {
  public:
    static Result<HabitTable> open(sqlite::Database &database);

    Result<std::vector<HabitRow>> list();  // the latest last
    Result<void> replace(std::int64_t agent, const TurnHabit &habit);
    Result<void> keep_newest(std::size_t rows);

  private:
    sqlite::Statement list_, replace_, trim_;
};

}  // namespace engram
