#include "registry/schema.h"

#include <gtest/gtest.h>

#include <array>

#include "registry/manifest_codec.h"
#include "registry/registry_fixture.h"
#include "registry/row_checksum.h"

namespace engram {
namespace {

TEST_F(RegistryTest, MigratesOnOpenAndKeepsTheRows) {
    ASSERT_TRUE(open()->create(agent("a")));
    std::vector<std::string> migrations(registry_migrations().begin(), registry_migrations().end());
    const auto newest = static_cast<std::int64_t>(migrations.size());
    migrations.emplace_back("CREATE TABLE later (x INTEGER)");
    migrations.emplace_back("INSERT INTO later SELECT count(*) FROM agents");
    {
        auto database = open_registry_file(file_, migrations);
        ASSERT_TRUE(database) << why(database);
        EXPECT_EQ(database->integer("SELECT x FROM later"), 1);
        EXPECT_EQ(database->integer("PRAGMA user_version"), newest + 2);
    }
    EXPECT_TRUE(open_registry_file(file_, migrations));  // nothing runs twice
    const auto older = Registry::open(file_);            // the program of today finds a file from the future
    EXPECT_EQ(code_of(older), ErrorCode::incompatible) << why(older);
}

TEST_F(RegistryTest, Version1sChecksumsAreMadeAnew) {
    const std::vector<Token> tokens{7, 8};
    const auto bytes = std::as_bytes(std::span(tokens));
    const Manifest manifest{.block_tokens = 32, .n_kv = 2};
    const auto encoded = encode_manifest(manifest).value();
    {
        auto database = open_registry_file(file_, registry_migrations().first(1));
        ASSERT_TRUE(database) << why(database);
        auto agents =
            database->prepare("INSERT INTO agents VALUES (?1, 't', ?2, 1, 2, 3, 1, 2, 1, 4, ?3, 'm', 'v', 'f', 'd', 's')");
        auto messages = database->prepare("INSERT INTO messages VALUES (?1, 0, 5, ?2, 'user', 'hello')");
        auto runs = database->prepare("INSERT INTO token_runs VALUES (?1, 0, ?2, ?3)");
        auto manifests = database->prepare("INSERT INTO manifests VALUES (?1, ?2, ?3)");
        for (const std::int64_t agent : {1, 2}) {
            const std::string id = agent == 1 ? "whole" : "damaged";
            const std::int64_t damage = agent - 1;
            auto sum = RowChecksum().text("t").text(id);
            for (const int n : {1, 2, 3, 1, 2, 1, 4}) sum.integer(n);
            for (const char *text : {"m", "v", "f", "d", "s"}) sum.text(text);
            ASSERT_TRUE(agents->run(agent, id, sum.value()).finish());
            const std::int64_t message = RowChecksum().integer(0).integer(5).text("user").text("hello").value();
            ASSERT_TRUE(messages->run(agent, message + damage).finish());
            ASSERT_TRUE(runs->run(agent, RowChecksum().integer(0).blob(bytes).value() + damage, bytes).finish());
            const std::span<const std::byte> view(encoded);
            ASSERT_TRUE(manifests->run(agent, RowChecksum().blob(view).value() + damage, view).finish());
        }
    }
    const auto registry = open();
    const AgentKey whole{.tenant = "t", .id = "whole"}, damaged{.tenant = "t", .id = "damaged"};
    EXPECT_EQ(registry->tokens(whole), tokens);
    EXPECT_EQ(registry->messages(whole).value(), (std::vector<MessageRow>{{"user", "hello", 5}}));
    EXPECT_EQ(registry->manifest(whole).value(), manifest);
    EXPECT_EQ(registry->get(damaged)->n_turns, 4U);
    EXPECT_EQ(code_of(registry->tokens(damaged)), ErrorCode::corrupt);
    EXPECT_EQ(code_of(registry->messages(damaged)), ErrorCode::corrupt);
    EXPECT_EQ(code_of(registry->manifest(damaged)), ErrorCode::corrupt);
}

TEST_F(RegistryTest, AMigrationThatFailsLeavesTheOldVersion) {
    ASSERT_TRUE(open()->create(agent("a")));
    std::vector<std::string> migrations(registry_migrations().begin(), registry_migrations().end());
    migrations.emplace_back("CREATE TABLE later (x INTEGER)");
    migrations.emplace_back("INSERT INTO nowhere VALUES (1)");
    EXPECT_FALSE(open_registry_file(file_, migrations));
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
    auto database = open_registry_file(file_, registry_migrations());
    ASSERT_TRUE(database) << why(database);
    EXPECT_EQ(database->integer("PRAGMA synchronous"), 2);  // FULL
    EXPECT_EQ(database->integer("PRAGMA foreign_keys"), 1);
    EXPECT_EQ(database->integer("SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
}

}  // namespace
}  // namespace engram
