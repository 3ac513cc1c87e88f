#include "registry/schema.h"

#include <gtest/gtest.h>

#include <array>
#include <format>

#include "registry/registry_fixture.h"

namespace engram {
namespace {

TEST_F(RegistryTest, MigratesOnOpenAndKeepsTheRows) {
    ASSERT_TRUE(open()->create(agent("a")));
    sqlite::FileKind kind = registry_file_kind();
    std::vector<std::string> migrations(kind.migrations.begin(), kind.migrations.end());
    const auto newest = static_cast<std::int64_t>(migrations.size());
    migrations.emplace_back("CREATE TABLE later (x INTEGER)");
    migrations.emplace_back("INSERT INTO later SELECT count(*) FROM agents");
    kind.migrations = migrations;
    {
        auto database = sqlite::open_file(file_, kind);
        ASSERT_TRUE(database) << why(database);
        EXPECT_EQ(database->integer("SELECT x FROM later"), 1);
        EXPECT_EQ(database->integer("PRAGMA user_version"), newest + 2);
    }
    EXPECT_TRUE(sqlite::open_file(file_, kind));  // nothing runs twice
    const auto older = Registry::open(file_);     // the program of today finds a file from the future
    EXPECT_EQ(code_of(older), ErrorCode::incompatible) << why(older);
}

TEST_F(RegistryTest, RowsFromBeforeRetentionAreWhole) {
    ASSERT_TRUE(open()->create(agent("a")));
    tamper(
        "PRAGMA user_version = 1; DROP INDEX agents_by_use; ALTER TABLE agents DROP COLUMN forked_at; ALTER TABLE agents DROP "
        "COLUMN card; ALTER TABLE agents DROP COLUMN "
        "retention; DROP TABLE turn_habits");
    const auto registry = open();
    const auto row = registry->get(key("a"));
    ASSERT_TRUE(row) << why(row);
    EXPECT_EQ(row->retention, Retention::standard);
    ASSERT_TRUE(registry->set_retention(key("a"), Retention::one_hour));
    EXPECT_EQ(open()->get(key("a"))->retention, Retention::one_hour);
}

TEST_F(RegistryTest, ToolsAndCallsAreCoveredByTheChecksums) {
    AgentRow row = agent("a");
    row.tools.clear();
    ASSERT_TRUE(open()->create(row));
    ASSERT_TRUE(open()->commit_turn({.key = key("a"), .new_messages = {{.role = "user", .content = "x"}}}));
    tamper("UPDATE messages SET tool_calls = '[]'");
    EXPECT_EQ(code_of(open()->messages(key("a"))), ErrorCode::corrupt);
    tamper("UPDATE agents SET tools = '[]'");
    EXPECT_EQ(code_of(open()->get(key("a"))), ErrorCode::corrupt);
    ASSERT_TRUE(open()->create(agent("b")));
    tamper("UPDATE agents SET tools = '' WHERE id = 'b'");
    EXPECT_EQ(code_of(open()->get(key("b"))), ErrorCode::corrupt);
    for (const char *retention : {"forever", "standard", "whenever"}) {
        const std::string id = retention;
        AgentRow kept = agent(id);
        if (id == "standard") kept.retention = Retention::one_hour;
        ASSERT_TRUE(open()->create(kept));
        tamper(std::format("UPDATE agents SET retention = '{0}' WHERE id = '{0}'", id));
        EXPECT_EQ(code_of(open()->get(key(id))), ErrorCode::corrupt) << id;
    }
}

TEST_F(RegistryTest, AMigrationThatFailsLeavesTheOldVersion) {
    ASSERT_TRUE(open()->create(agent("a")));
    sqlite::FileKind kind = registry_file_kind();
    std::vector<std::string> migrations(kind.migrations.begin(), kind.migrations.end());
    migrations.emplace_back("CREATE TABLE later (x INTEGER)");
    migrations.emplace_back("INSERT INTO nowhere VALUES (1)");
    kind.migrations = migrations;
    EXPECT_FALSE(sqlite::open_file(file_, kind));
    EXPECT_EQ(query("SELECT count(*) FROM sqlite_schema WHERE name = 'later'"), 0);
    EXPECT_TRUE(open()->get(key("a")));
}

TEST_F(RegistryTest, TablesFromTheFuture) {
    ASSERT_TRUE(open()->create(agent("a")));
    tamper("PRAGMA user_version = 1000");
    const auto opened = Registry::open(file_);
    EXPECT_EQ(code_of(opened), ErrorCode::incompatible);
    EXPECT_NE(why(opened).find("1000"), std::string::npos) << why(opened);
    tamper("PRAGMA user_version = 0");
    EXPECT_EQ(code_of(Registry::open(file_)), ErrorCode::corrupt);
}

TEST_F(RegistryTest, AnotherProgramsDatabase) {
    tamper("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')");
    EXPECT_EQ(code_of(Registry::open(file_)), ErrorCode::incompatible);
    EXPECT_EQ(query("SELECT count(*) FROM recipes"), 1);
}

TEST_F(RegistryTest, AMissingTable) {
    ASSERT_TRUE(open()->create(agent("a")));
    tamper("PRAGMA foreign_keys = OFF; DROP TABLE manifests");
    EXPECT_EQ(code_of(Registry::open(file_)), ErrorCode::corrupt);
}

TEST_F(RegistryTest, CommitsAreDurable) {
    auto database = sqlite::open_file(file_, registry_file_kind());
    ASSERT_TRUE(database) << why(database);
    EXPECT_EQ(database->integer("PRAGMA synchronous"), 2);  // FULL
    EXPECT_EQ(database->integer("PRAGMA foreign_keys"), 1);
    EXPECT_EQ(database->integer("SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
}

}  // namespace
}  // namespace engram
