#include "sqlite/testing/database_fixture.h"

#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>

#include "sqlite/database.h"

namespace engram {

DatabaseFileTest::DatabaseFileTest(const std::string &file_name) {
    // In memory where that is possible: the tests sync some ten thousand times.
    const std::filesystem::path memory = "/dev/shm";
    const auto base = std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
    std::string pattern = (base / "engram_database.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    file_ = folder_ / file_name;
}

DatabaseFileTest::~DatabaseFileTest() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

void DatabaseFileTest::tamper(const std::string &sql) {
    sqlite3 *database = nullptr;
    ASSERT_EQ(sqlite3_open(file_.c_str(), &database), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database) << " in: " << sql;
    EXPECT_TRUE(sqlite3_total_changes(database) > 0 || sql.starts_with("PRAGMA")) << "nothing changed by: " << sql;
    ASSERT_EQ(sqlite3_close(database), SQLITE_OK);
}

std::int64_t DatabaseFileTest::query(const std::string &sql) {
    auto database = sqlite::Database::open(file_);
    EXPECT_TRUE(database) << why(database);
    const auto value = database->integer(sql);
    EXPECT_TRUE(value) << why(value);
    return value.value_or(-1);
}

}  // namespace engram
