// Damaged rows and damaged files: never wrong answers, never a crash, and other agents go on.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>

#include "core/testing/test_seed.h"
#include "registry/registry_fixture.h"

namespace engram {
namespace {

std::string content_of(const std::filesystem::path &file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::filesystem::path &file, const std::string &content) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
}

class RegistryDamageTest : public RegistryTest {
  protected:
    RegistryDamageTest() {
        registry_ = open();
        for (const char *id : {"a", "b", "c"}) {
            EXPECT_TRUE(registry_->create(agent(id)));
            for (int i = 0; i < 3; ++i) commit(id);
            expected_.push_back(conversation_of(*registry_, key(id)).value());
        }
    }

    void commit(const std::string &id) {
        const std::uint64_t n = registry_->get(key(id))->n_tokens;
        const std::vector<Token> tokens(20, static_cast<Token>(n) + 1000 * id.front());
        const Manifest manifest = random_manifest(random_, n + 20);
        EXPECT_TRUE(
            registry_->commit_turn({.key = key(id),
                                    .keep_tokens = n,
                                    .new_tokens = tokens,
                                    .new_messages = {{"user", "question of " + id, 1}, {"assistant", "answer to " + id, 2}},
                                    .manifest = &manifest}));
    }

    // Flips one bit of a text or blob of agent b (the second of three); a second call undoes it.
    void flip(const std::string &table, const std::string &column, std::int64_t offset) {
        const std::string owner = table == "agents" ? "key" : "agent";
        const std::int64_t row = query("SELECT min(rowid) FROM " + table + " WHERE " + owner + " = 2");
        sqlite3 *database = nullptr;
        sqlite3_blob *blob = nullptr;
        ASSERT_EQ(sqlite3_open(file_.c_str(), &database), SQLITE_OK);
        ASSERT_EQ(sqlite3_blob_open(database, "main", table.c_str(), column.c_str(), row, 1, &blob), SQLITE_OK);
        char byte = 0;
        ASSERT_EQ(sqlite3_blob_read(blob, &byte, 1, static_cast<int>(offset)), SQLITE_OK);
        byte = static_cast<char>(byte ^ 0x10);
        ASSERT_EQ(sqlite3_blob_write(blob, &byte, 1, static_cast<int>(offset)), SQLITE_OK);
        ASSERT_EQ(sqlite3_blob_close(blob), SQLITE_OK);
        ASSERT_EQ(sqlite3_close(database), SQLITE_OK);
    }

    std::int64_t length(const std::string &table, const std::string &column) {
        const std::string owner = table == "agents" ? "key" : "agent";
        return query("SELECT length(cast(" + column + " AS BLOB)) FROM " + table + " WHERE " + owner +
                     " = 2 ORDER BY rowid LIMIT 1");
    }

    void expect_others_whole() {
        EXPECT_EQ(conversation_of(*registry_, key("a")).value(), expected_[0]);
        EXPECT_EQ(conversation_of(*registry_, key("c")).value(), expected_[2]);
        EXPECT_EQ(registry_->list("default")->size(), 3U);
    }

    // Changes bytes of the closed file. `before` must be there once.
    void replace_bytes(const std::string &before, const std::string &after) {
        std::string content = content_of(file_);
        const std::size_t at = content.find(before);
        ASSERT_NE(at, std::string::npos) << before;
        ASSERT_EQ(content.find(before, at + 1), std::string::npos) << before;
        write_file(file_, content.replace(at, after.size(), after));
    }

    std::unique_ptr<Registry> registry_;
    std::vector<Conversation> expected_;
    std::mt19937_64 random_{5};
};

TEST_F(RegistryDamageTest, AnyFlippedByteOfTokens) {
    for (std::int64_t i = 0; i < length("token_runs", "tokens"); ++i) {
        flip("token_runs", "tokens", i);
        const auto tokens = registry_->tokens(key("b"));
        ASSERT_EQ(code_of(tokens), ErrorCode::corrupt) << i;
        EXPECT_NE(why(tokens).find("agent b "), std::string::npos) << why(tokens);
        EXPECT_EQ(*registry_->messages(key("b")), expected_[1].messages);
        expect_others_whole();
        flip("token_runs", "tokens", i);
    }
    EXPECT_EQ(registry_->tokens(key("b")), expected_[1].tokens);
}

TEST_F(RegistryDamageTest, AnyFlippedByteOfAManifest) {
    for (std::int64_t i = 0; i < length("manifests", "manifest"); ++i) {
        flip("manifests", "manifest", i);
        ASSERT_EQ(code_of(registry_->manifest(key("b"))), ErrorCode::corrupt) << i;
        std::vector<std::string> bad, good;
        EXPECT_TRUE(registry_->for_each_manifest(
            [&](const AgentRow &row, const Result<Manifest> &manifest) { (manifest ? good : bad).push_back(row.key.id); }));
        EXPECT_EQ(bad, std::vector<std::string>{"b"});
        EXPECT_EQ(good, (std::vector<std::string>{"a", "c"}));
        EXPECT_EQ(registry_->tokens(key("b")), expected_[1].tokens);
        flip("manifests", "manifest", i);
    }
    flip("manifests", "manifest", 3);
    commit("b");  // the next turn brings a new one
    EXPECT_TRUE(registry_->manifest(key("b")));
    flip("manifests", "manifest", 3);
    EXPECT_TRUE(registry_->clear_manifest(key("b")));
    EXPECT_EQ(registry_->manifest(key("b")).value(), std::nullopt);
}

TEST_F(RegistryDamageTest, AnyFlippedByteOfAMessage) {
    for (const std::string column : {"role", "content", "tool_call_id", "thinking", "prefix", "public_id"}) {
        for (std::int64_t i = 0; i < length("messages", column); ++i) {
            flip("messages", column, i);
            ASSERT_EQ(code_of(registry_->messages(key("b"))), ErrorCode::corrupt) << column << i;
            EXPECT_EQ(registry_->tokens(key("b")), expected_[1].tokens);
            flip("messages", column, i);
        }
    }
    expect_others_whole();
}

TEST_F(RegistryDamageTest, AFlippedByteOfTheAgentsRow) {
    for (const std::string column : {"system_prompt", "description"}) {
        flip("agents", column, 2);
        EXPECT_EQ(code_of(registry_->get(key("b"))), ErrorCode::corrupt);
        EXPECT_EQ(code_of(registry_->tokens(key("b"))), ErrorCode::corrupt);
        EXPECT_EQ(code_of(registry_->commit_turn({.key = key("b")})), ErrorCode::corrupt);
        EXPECT_EQ(code_of(registry_->fork(key("b"), "d", 0)), ErrorCode::corrupt);
        const AgentRow row = registry_->list("default").value()[1];
        EXPECT_EQ(row.key, key("b"));
        EXPECT_EQ(row.system_prompt, "");
        EXPECT_NE(row.description.find("damaged"), std::string::npos);
        int errors = 0;
        EXPECT_TRUE(
            registry_->for_each_manifest([&](const AgentRow &, const Result<Manifest> &manifest) { errors += !manifest; }));
        EXPECT_EQ(errors, 1);
        expect_others_whole();
        flip("agents", column, 2);
    }
    EXPECT_EQ(conversation_of(*registry_, key("b")).value(), expected_[1]);
    tamper("UPDATE agents SET id = 'r' WHERE id = 'b'");  // now named 'r': still listed, and can be removed by that name
    EXPECT_EQ(code_of(registry_->get(key("b"))), ErrorCode::not_found);
    EXPECT_EQ(code_of(registry_->get(key("r"))), ErrorCode::corrupt);
    EXPECT_TRUE(registry_->remove(key("r")));
}

TEST_F(RegistryDamageTest, ADamagedAgentCanBeRemovedAndMadeAgain) {
    flip("agents", "system_prompt", 0);
    flip("token_runs", "tokens", 0);
    ASSERT_TRUE(registry_->remove(key("b")));
    ASSERT_TRUE(registry_->create(agent("b")));
    commit("b");
    EXPECT_TRUE(conversation_of(*registry_, key("b")));
}

TEST_F(RegistryDamageTest, ATurnDoesNotBuildOnDamage) {
    flip("token_runs", "tokens", 0);
    const std::vector<Token> tokens{1};
    EXPECT_EQ(code_of(registry_->commit_turn({.key = key("b"), .keep_tokens = 10, .new_tokens = tokens})), ErrorCode::corrupt);
    EXPECT_EQ(registry_->get(key("b"))->n_tokens, 60U);
    ASSERT_TRUE(registry_->commit_turn({.key = key("b"), .new_tokens = tokens}));  // nothing of the damaged run is kept
    EXPECT_EQ(registry_->tokens(key("b")), tokens);
}

TEST_F(RegistryDamageTest, RowsThatAreLostSwappedOrCountedWrong) {
    using Read = ErrorCode (*)(const Registry &, const AgentKey &);
    const Read tokens = [](const Registry &r, const AgentKey &k) { return code_of(r.tokens(k)); };
    const Read messages = [](const Registry &r, const AgentKey &k) { return code_of(r.messages(k)); };
    const Read manifest = [](const Registry &r, const AgentKey &k) { return code_of(r.manifest(k)); };
    const Read row = [](const Registry &r, const AgentKey &k) { return code_of(r.get(k)); };
    const std::vector<std::pair<std::string, Read>> cases{
        {"DELETE FROM token_runs WHERE agent = 2 AND first = 0", tokens},
        {"DELETE FROM token_runs WHERE agent = 2 AND first = 20", tokens},
        {"DELETE FROM token_runs WHERE agent = 2 AND first = 40", tokens},
        {"UPDATE token_runs SET first = first + 1 WHERE agent = 2", tokens},
        {"UPDATE token_runs SET tokens = x'010203' WHERE agent = 2 AND first = 20", tokens},
        {"UPDATE token_runs SET tokens = x'' WHERE agent = 2 AND first = 40", tokens},
        {"UPDATE token_runs SET checksum = 0 WHERE agent = 2", tokens},
        {"DELETE FROM messages WHERE agent = 2 AND ordinal = 0", messages},
        {"DELETE FROM messages WHERE agent = 2 AND ordinal = 5", messages},
        {"DELETE FROM messages WHERE agent = 2", messages},
        {"UPDATE messages SET ordinal = ordinal + 10 WHERE agent = 2", messages},
        {"UPDATE messages SET ordinal = -1 WHERE agent = 2 AND ordinal = 0; UPDATE messages SET ordinal = 0 WHERE agent = 2 AND "
         "ordinal = 2;"
         "UPDATE messages SET ordinal = 2 WHERE agent = 2 AND ordinal = -1",
         messages},
        {"UPDATE messages SET (checksum, content) = (SELECT checksum, content FROM messages WHERE agent = 1 AND ordinal = 0)"
         " WHERE agent = 2 AND ordinal = 0",
         messages},
        {"UPDATE token_runs SET (checksum, tokens) = (SELECT checksum, tokens FROM token_runs WHERE agent = 1 AND first = 20)"
         " WHERE agent = 2 AND first = 20",
         tokens},
        {"UPDATE manifests SET (checksum, manifest) = (SELECT checksum, manifest FROM manifests WHERE agent = 1) WHERE agent = 2",
         manifest},
        {"UPDATE messages SET created_ms = 9 WHERE agent = 2 AND ordinal = 3", messages},
        {"UPDATE agents SET n_tokens = 10 WHERE key = 2", row},
        {"UPDATE agents SET n_tokens = -1 WHERE key = 2", row},
        {"UPDATE agents SET n_messages = 9223372036854775807 WHERE key = 2", row},
        {"UPDATE agents SET pinned = 1 WHERE key = 2", row},
        {"UPDATE agents SET checksum = checksum + 1 WHERE key = 2", row},
    };
    registry_.reset();
    const auto backup = folder_ / "backup.db";
    std::filesystem::copy_file(file_, backup);
    for (const auto &[sql, read] : cases) {
        std::filesystem::copy_file(backup, file_, std::filesystem::copy_options::overwrite_existing);
        tamper(sql);
        registry_ = open();
        EXPECT_EQ(read(*registry_, key("b")), ErrorCode::corrupt) << sql;
        expect_others_whole();
        registry_.reset();
    }
}

// In an entry of the index of names the agent's key (2 for b) follows the id; in the table other bytes do.
constexpr std::string_view kIndexedB("defaultb\x02");

TEST_F(RegistryDamageTest, ANameInTheIndexThatLeadsToAnotherAgent) {
    registry_.reset();
    replace_bytes(std::string(kIndexedB), "defaultb\x03");
    registry_ = open();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(conversation_of(*registry_, key({"abc"[i]})).value(), expected_[i]);
    EXPECT_EQ(code_of(registry_->create(agent("b"))), ErrorCode::already_exists);
    const auto removed = registry_->remove(key("b"));
    EXPECT_TRUE(removed || removed.error().code == ErrorCode::corrupt) << why(removed);
    EXPECT_EQ(conversation_of(*registry_, key("c")).value(), expected_[2]);
}

TEST_F(RegistryDamageTest, ANameThatTheIndexLacks) {
    for (const std::string entry : {"defaultc\x02", "defaultq\x02"}) {
        registry_.reset();
        replace_bytes(std::string(kIndexedB), entry);
        registry_ = open();
        for (int i = 0; i < 3; ++i) EXPECT_EQ(conversation_of(*registry_, key({"abc"[i]})).value(), expected_[i]);
        EXPECT_EQ(code_of(registry_->create(agent("b"))), ErrorCode::already_exists);
        EXPECT_EQ(code_of(registry_->get(key("q"))), entry == "defaultq\x02" ? ErrorCode::corrupt : ErrorCode::not_found);
        registry_.reset();
        replace_bytes(entry, std::string(kIndexedB));
    }
}

TEST_F(RegistryDamageTest, ARowThatTheTableLacks) {
    const std::int64_t page = query("SELECT rootpage FROM sqlite_schema WHERE name = 'agents'");
    registry_.reset();
    std::string content = content_of(file_);
    char &rows = content[static_cast<std::size_t>(page - 1) * 4096 + 4];  // lower byte of the leaf's count
    ASSERT_EQ(rows, 3);
    rows = 2;
    write_file(file_, content);
    registry_ = open();
    EXPECT_EQ(conversation_of(*registry_, key("a")).value(), expected_[0]);
    EXPECT_EQ(conversation_of(*registry_, key("b")).value(), expected_[1]);
    EXPECT_EQ(code_of(registry_->get(key("c"))), ErrorCode::corrupt);
    EXPECT_EQ(code_of(registry_->create(agent("c"))), ErrorCode::corrupt);
    EXPECT_EQ(code_of(registry_->list("")), ErrorCode::corrupt);
    EXPECT_EQ(code_of(registry_->get(key("d"))), ErrorCode::not_found);
}

TEST_F(RegistryDamageTest, DamagedDefinitionsAndHeader) {
    registry_.reset();
    const std::string whole = content_of(file_);
    for (const auto &[before, after] :
         {std::pair("pinned INTEGER", "pinnee INTEGER"), std::pair("forked_from TEXT NOT", "forked_from TEXT NOP"),
          std::pair("UNIQUE (agent, first)", "UNIQUE (agent, fIrst)")}) {
        replace_bytes(before, after);
        EXPECT_EQ(code_of(Registry::open(file_)), ErrorCode::corrupt) << after;
        write_file(file_, whole);
    }
    for (const int bit : {0, 1, 3, 4, 5, 6, 7}) {  // of 4, the format of the schema; 0 is one too
        std::string content = whole;
        content.at(47) = static_cast<char>(content.at(47) ^ (1 << bit));
        write_file(file_, content);
        EXPECT_EQ(code_of(Registry::open(file_)), ErrorCode::corrupt) << bit;
        EXPECT_EQ(content_of(file_), content);
    }
}

TEST_F(RegistryDamageTest, AForkCopiesNoDamage) {
    flip("manifests", "manifest", 3);
    const auto fork = registry_->fork(key("b"), "d", 1);
    ASSERT_TRUE(fork) << why(fork);
    EXPECT_EQ(registry_->tokens(key("d")), expected_[1].tokens);
    EXPECT_EQ(registry_->manifest(key("d")).value(), std::nullopt);
    flip("token_runs", "tokens", 3);
    EXPECT_EQ(code_of(registry_->fork(key("b"), "e", 1)), ErrorCode::corrupt);
    EXPECT_EQ(code_of(registry_->get(key("e"))), ErrorCode::not_found);
}

TEST_F(RegistryTest, AFileThatIsNoDatabaseIsLeftAsItIs) {
    for (const std::string &content :
         {std::string(), std::string("abc"), std::string(5000, 'x'), "SQLite format 3" + std::string(200, '\0')}) {
        write_file(file_, content);
        const auto opened = Registry::open(file_);
        EXPECT_EQ(code_of(opened), ErrorCode::corrupt) << content.size() << why(opened);
        EXPECT_NE(why(opened).find(file_.string()), std::string::npos) << why(opened);
        EXPECT_EQ(content_of(file_), content);
    }
}

TEST_F(RegistryTest, ALogWithoutItsFileIsNotMixedIntoANewOne) {
    write_file(file_.string() + "-wal", "committed turns");
    EXPECT_EQ(code_of(Registry::open(file_)), ErrorCode::corrupt);
    EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(RegistryTest, FoldersAndMissingFolders) {
    EXPECT_EQ(code_of(Registry::open(folder_)), ErrorCode::io);
    EXPECT_EQ(code_of(Registry::open(folder_ / "none" / "registry.db")), ErrorCode::io);
}

// Reads everything, changes something; errors are fine, wrong answers and internal errors are not.
void use_damaged(const std::filesystem::path &file, const std::vector<AgentKey> &keys,
                 const std::vector<Conversation> &expected) {
    const auto fine = [](const auto &result) {
        EXPECT_TRUE(result || (result.error().code != ErrorCode::internal && result.error().code != ErrorCode::not_found))
            << why(result);
        return result.has_value();
    };
    const auto registry = Registry::open(file);
    if (!fine(registry)) return;
    fine((*registry)->list(""));
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const auto tokens = (*registry)->tokens(keys[i]);
        const auto messages = (*registry)->messages(keys[i]);
        const auto manifest = (*registry)->manifest(keys[i]);
        EXPECT_TRUE(!fine(tokens) || *tokens == expected[i].tokens);
        EXPECT_TRUE(!fine(messages) || *messages == expected[i].messages);
        EXPECT_TRUE(!fine(manifest) || !*manifest || *manifest == expected[i].manifest);
        const Turn turn{
            .keep_tokens = expected[i].tokens.size(), .keep_messages = 0, .tokens = {1}, .messages = {{"user", "x", 1}}};
        fine((*registry)->commit_turn(turn.commit(keys[i])));
    }
    fine((*registry)->for_each_manifest([](const AgentRow &, const Result<Manifest> &) {}));
    fine((*registry)->integrity_check());
    fine((*registry)->remove(keys[0]));
}

TEST_F(RegistryDamageTest, AFileThatWasCutOrHitAnywhere) {
    registry_.reset();
    const std::string whole = content_of(file_);
    const std::vector<AgentKey> keys{key("a"), key("b"), key("c")};
    const auto attempt = [&](const std::string &content) {
        std::filesystem::remove(file_.string() + "-wal");
        std::filesystem::remove(file_.string() + "-shm");
        write_file(file_, content);
        use_damaged(file_, keys, expected_);
    };
    for (std::size_t cut = 0; cut < whole.size(); cut += 1 + whole.size() / 30) {
        SCOPED_TRACE(cut);
        attempt(whole.substr(0, cut));
    }
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    for (int round = 0; round < 1000; ++round) {
        std::string content = whole;
        // Half of the hits go to the first page (header and schema) and to the ends of pages, where SQLite fills them from.
        const std::size_t page = random() % (whole.size() / 4096);
        const std::size_t at =
            round % 3 == 0 ? random() % 4096 : page * 4096 + (round % 3 == 1 ? random() % 100 : random() % 4096);
        content[at] = static_cast<char>(content[at] ^ (1 << random() % 8));
        SCOPED_TRACE("byte " + std::to_string(at) + ", seed " + std::to_string(seed));
        attempt(content);
    }
}

}  // namespace
}  // namespace engram
