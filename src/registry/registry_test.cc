#include "registry/registry.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <thread>
#include <tuple>

#include "registry/registry_fixture.h"
#include "registry/token_table.h"

namespace engram {
namespace {

TEST_F(RegistryTest, FilesAreForTheOwnerOnly) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    for (const auto &entry : std::filesystem::directory_iterator(folder_)) {
        struct stat status{};
        ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0600U) << entry.path();
    }
    EXPECT_TRUE(std::filesystem::exists(file_));
}

TEST_F(RegistryTest, NothingButTheDatabaseStaysBehind) {
    ASSERT_TRUE(open()->create(agent("a")));
    for (const auto &entry : std::filesystem::directory_iterator(folder_)) EXPECT_EQ(entry.path(), file_);
}

TEST_F(RegistryTest, AgentsSurviveReopening) {
    AgentRow row = agent("analyst");
    row.pinned = true;
    row.n_turns = 7;
    row.model = "tiny";
    row.vocabulary = "abcd";
    row.forked_from = "older";
    row.system_prompt = std::string("with NUL \0 and \xff", 16);
    row.kind = AgentKind::conversation;
    row.session = "the client's";
    row.expires_ms = 1234;
    row.retention = Retention::one_day;
    {
        const auto created = open()->create(row);
        ASSERT_TRUE(created) << why(created);
        EXPECT_EQ(*created, row);
    }
    const auto registry = open();
    const auto found = registry->get(row.key);
    ASSERT_TRUE(found) << why(found);
    EXPECT_EQ(*found, row);
    EXPECT_EQ(registry->tokens(row.key), std::vector<Token>{});
    EXPECT_EQ(registry->messages(row.key)->size(), 0U);
    EXPECT_EQ(registry->manifest(row.key).value(), std::optional<Manifest>{});
}

TEST_F(RegistryTest, ANewAgentHasNothingSaid) {
    AgentRow row = agent("a");
    row.n_tokens = 5;
    row.n_messages = 5;
    const auto created = open()->create(row);
    ASSERT_TRUE(created);
    EXPECT_EQ(created->n_tokens, 0U);
    EXPECT_EQ(created->n_messages, 0U);
}

TEST_F(RegistryTest, NamesAreCheckedEverywhere) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("good")));
    for (const std::string bad : {"", ".hidden", "../../etc/passwd", "a/b", "a\\b", "a b", "a\n", "caf\xc3\xa9"}) {
        EXPECT_EQ(code_of(registry->create(agent(bad))), ErrorCode::invalid_argument) << bad;
        EXPECT_EQ(code_of(registry->get(key(bad))), ErrorCode::invalid_argument) << bad;
        EXPECT_EQ(code_of(registry->remove(key(bad))), ErrorCode::invalid_argument) << bad;
        EXPECT_EQ(code_of(registry->rename(key("good"), bad)), ErrorCode::invalid_argument) << bad;
        EXPECT_EQ(code_of(registry->fork(key("good"), bad, 0)), ErrorCode::invalid_argument) << bad;
        AgentRow row = agent("fine");
        row.key.tenant = bad;
        EXPECT_EQ(code_of(registry->create(row)), ErrorCode::invalid_argument) << bad;
    }
    EXPECT_EQ(registry->list("")->size(), 1U);
    EXPECT_EQ(code_of(registry->create(agent(std::string(129, 'a')))), ErrorCode::invalid_argument);
    EXPECT_TRUE(registry->create(agent(std::string(128, 'a'))));
}

TEST_F(RegistryTest, MissingAndTakenNames) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    ASSERT_TRUE(registry->create(agent("b")));
    EXPECT_EQ(code_of(registry->create(agent("a"))), ErrorCode::already_exists);
    EXPECT_EQ(code_of(registry->rename(key("a"), "b")), ErrorCode::already_exists);
    EXPECT_EQ(code_of(registry->fork(key("a"), "b", 0)), ErrorCode::already_exists);
    EXPECT_EQ(code_of(registry->get(key("c"))), ErrorCode::not_found);
    EXPECT_EQ(code_of(registry->remove(key("c"))), ErrorCode::not_found);
    EXPECT_EQ(code_of(registry->rename(key("c"), "d")), ErrorCode::not_found);
    EXPECT_EQ(code_of(registry->fork(key("c"), "d", 0)), ErrorCode::not_found);
    EXPECT_EQ(code_of(registry->touch(key("c"), 0)), ErrorCode::not_found);
    EXPECT_EQ(code_of(registry->commit_turn({.key = key("c")})), ErrorCode::not_found);
    EXPECT_EQ(code_of(registry->tokens(key("c"))), ErrorCode::not_found);
}

TEST_F(RegistryTest, ListsByIdWithinATenant) {
    const auto registry = open();
    for (const char *id : {"b", "a", "B", "a-1"}) ASSERT_TRUE(registry->create(agent(id)));
    AgentRow other = agent("a");
    other.key.tenant = "other";
    ASSERT_TRUE(registry->create(other));
    std::vector<std::string> ids;
    const auto mine = registry->list("default");
    for (const AgentRow &row : *mine) ids.push_back(row.key.id);
    EXPECT_EQ(ids, (std::vector<std::string>{"B", "a", "a-1", "b"}));
    EXPECT_EQ(registry->list("")->size(), 5U);
    EXPECT_EQ(registry->list("other")->size(), 1U);
    EXPECT_EQ(registry->list("nobody")->size(), 0U);
}

TEST_F(RegistryTest, ATurnIsStoredWhole) {
    const std::vector<Token> tokens{1, 2, -3, 262'143};
    const Manifest manifest{
        .fingerprint = {}, .block_tokens = 256, .n_kv = 4, .parts = {{.kind = PartKind::state, .first_position = 4}}};
    TurnCommit turn{.key = key("a"), .new_tokens = tokens, .new_messages = {{"user", "hi", 10}, {"assistant", "", 11}}};
    turn.manifest = &manifest;
    turn.now_ms = 1'800'000'000'042;
    turn.model = "tiny";
    turn.vocabulary = "beef";
    {
        const auto registry = open();
        ASSERT_TRUE(registry->create(agent("a")));
        const auto committed = registry->commit_turn(turn);
        ASSERT_TRUE(committed) << why(committed);
    }
    const auto registry = open();
    const auto row = registry->get(key("a"));
    EXPECT_EQ(row->n_tokens, 4U);
    EXPECT_EQ(row->n_messages, 2U);
    EXPECT_EQ(row->n_turns, 1U);
    EXPECT_EQ(row->updated_ms, turn.now_ms);
    EXPECT_EQ(row->last_used_ms, turn.now_ms);
    EXPECT_EQ(row->model, "tiny");
    EXPECT_EQ(row->vocabulary, "beef");
    EXPECT_EQ(registry->tokens(key("a")), tokens);
    EXPECT_EQ(*registry->messages(key("a")), turn.new_messages);
    EXPECT_EQ(registry->manifest(key("a")).value(), manifest);

    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .keep_tokens = 4, .counts_as_turn = false}));
    EXPECT_EQ(registry->get(key("a"))->n_turns, 1U);
    EXPECT_EQ(registry->get(key("a"))->model, "tiny");
    EXPECT_EQ(registry->manifest(key("a")).value(), manifest);
}

TEST_F(RegistryTest, KeepsAPrefixFromTheMiddleOfARun) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    const std::vector<Token> first{1, 2, 3, 4}, second{5, 6, 7}, third{8};
    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .new_tokens = first}));
    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .keep_tokens = 4, .new_tokens = second}));
    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .keep_tokens = 6, .new_tokens = third}));
    EXPECT_EQ(registry->tokens(key("a")), (std::vector<Token>{1, 2, 3, 4, 5, 6, 8}));
    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .keep_tokens = 2, .new_tokens = third}));
    EXPECT_EQ(registry->tokens(key("a")), (std::vector<Token>{1, 2, 8}));
    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .keep_tokens = 2}));
    EXPECT_EQ(registry->tokens(key("a")), (std::vector<Token>{1, 2}));
    ASSERT_TRUE(registry->commit_turn({.key = key("a")}));
    EXPECT_EQ(registry->tokens(key("a")), std::vector<Token>{});
}

TEST_F(RegistryTest, TruncatesTheTranscript) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    ASSERT_TRUE(
        registry->commit_turn({.key = key("a"), .new_messages = {{"user", "1", 1}, {"assistant", "2", 2}, {"user", "3", 3}}}));
    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .new_messages = {{"assistant", "new", 4}}, .keep_messages = 1}));
    EXPECT_EQ(*registry->messages(key("a")), (std::vector<MessageRow>{{"user", "1", 1}, {"assistant", "new", 4}}));
    EXPECT_EQ(registry->get(key("a"))->n_messages, 2U);
}

TEST_F(RegistryTest, RefusesATurnThatDoesNotFit) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    const std::vector<Token> tokens{1, 2};
    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .new_tokens = tokens}));
    const Manifest too_long{.block_tokens = 256, .n_kv = 5};
    const Manifest odd_blocks{.block_tokens = 100, .n_kv = 1};
    EXPECT_EQ(code_of(registry->commit_turn({.key = key("a"), .keep_tokens = 3})), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(registry->commit_turn({.key = key("a"), .keep_messages = 1})), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(registry->commit_turn({.key = key("a"), .keep_tokens = 2, .new_tokens = tokens, .manifest = &too_long})),
              ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(registry->set_manifest(key("a"), odd_blocks)), ErrorCode::invalid_argument);
    EXPECT_EQ(registry->tokens(key("a")), tokens);  // also after the one that failed last, at its manifest
    EXPECT_EQ(registry->get(key("a"))->n_turns, 1U);
}

// An imported agent: a crash between its name and its words would leave one that has forgotten everything.
TEST_F(RegistryTest, AnAgentComesWithAllThatWasSaidToItOrNotAtAll) {
    const auto registry = open();
    const std::vector<Token> tokens{1, 2, 3};
    const Manifest too_long{.block_tokens = 256, .n_kv = 5};
    TurnCommit said{.key = key("a"),
                    .new_tokens = tokens,
                    .new_messages = {{.role = "user", .content = "Hello"}, {.role = "assistant", .content = "Hi."}},
                    .manifest = &too_long,
                    .model = "a model",
                    .counts_as_turn = false};
    AgentRow row = agent("a");
    row.n_turns = 1;
    EXPECT_EQ(code_of(registry->create_with(row, said)), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(registry->get(key("a"))), ErrorCode::not_found) << "what failed at its end has left an agent without words";
    said.manifest = nullptr;
    const auto created = registry->create_with(row, said);
    ASSERT_TRUE(created) << why(created);
    EXPECT_EQ(registry->get(key("a")), *created);
    EXPECT_EQ((std::tuple{created->n_tokens, created->n_messages, created->n_turns, created->model}),
              (std::tuple{3U, 2U, 1U, "a model"}));
    EXPECT_EQ(registry->tokens(key("a")), tokens);
    EXPECT_EQ(registry->messages(key("a"))->at(1).content, "Hi.");
    EXPECT_EQ(code_of(registry->create_with(row, said)), ErrorCode::already_exists);
}

TEST_F(RegistryTest, JoinsManyRuns) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    std::vector<Token> expected;
    for (Token i = 0; i < 2 * TokenTable::kMaxRuns + 20; ++i) {
        ASSERT_TRUE(registry->commit_turn({.key = key("a"), .keep_tokens = expected.size(), .new_tokens = std::span(&i, 1)}));
        expected.push_back(i);
    }
    EXPECT_EQ(registry->tokens(key("a")), expected);
    EXPECT_LE(query("SELECT count(*) FROM token_runs"), TokenTable::kMaxRuns);
    EXPECT_GT(query("SELECT max(length(tokens)) FROM token_runs"), 256 * 4);
}

TEST_F(RegistryTest, AForkGoesOnByItself) {
    const auto registry = open();
    std::mt19937_64 random(1);
    ASSERT_TRUE(registry->create(agent("a")));
    Conversation expected;
    for (int i = 0; i < 10; ++i) {
        const Turn turn = random_turn(random, expected);
        ASSERT_TRUE(registry->commit_turn(turn.commit(key("a"))));
        turn.apply(expected);
    }
    ASSERT_TRUE(registry->set_pinned(key("a"), true));
    const auto child = registry->fork(key("a"), "b", 99);
    ASSERT_TRUE(child) << why(child);
    EXPECT_EQ(child->forked_from, "a");
    EXPECT_EQ(child->created_ms, 99);
    EXPECT_FALSE(child->pinned);
    EXPECT_EQ(child->system_prompt, "You are a.");
    EXPECT_EQ(registry->get(key("b")), *child);
    EXPECT_EQ(conversation_of(*registry, key("b")), expected);

    ASSERT_TRUE(registry->commit_turn({.key = key("b")}));
    EXPECT_EQ(conversation_of(*registry, key("a")), expected);
    ASSERT_TRUE(registry->remove(key("a")));
    EXPECT_EQ(registry->tokens(key("b")), std::vector<Token>{});
}

// A transcript in which two turns ended.
std::vector<MessageRow> two_turns() {
    return {{.role = "user", .content = "1"},
            {.role = "assistant", .content = "2", .n_tokens = 4, .prefix = "p1", .public_id = "msg_1"},
            {.role = "user", .content = "3"},
            {.role = "assistant", .content = "4", .thinking = "hm", .n_tokens = 9, .prefix = "p2", .public_id = "msg_2"}};
}

TEST_F(RegistryTest, ForksAPartOfATranscript) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    const std::vector<Token> tokens{1, 2, 3, 4, 5, 6, 7, 8, 9};
    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .new_tokens = tokens, .new_messages = two_turns()}));
    const auto child = registry->fork(key("a"), "b", 99, 2);
    ASSERT_TRUE(child) << why(child);
    EXPECT_EQ(child->n_messages, 2U);
    EXPECT_EQ(child->n_tokens, 4U);
    EXPECT_EQ(*registry->get(key("b")), *child);
    EXPECT_EQ(registry->tokens(key("b")), (std::vector<Token>{1, 2, 3, 4}));
    EXPECT_EQ(registry->messages(key("b"))->back().content, "2");
    EXPECT_EQ(registry->tokens(key("a")), tokens);
    EXPECT_EQ(code_of(registry->fork(key("a"), "c", 99, 3)), ErrorCode::invalid_argument) << "no turn ended there";
    EXPECT_EQ(code_of(registry->get(key("c"))), ErrorCode::not_found);
    EXPECT_EQ(registry->fork(key("a"), "d", 99, 0)->n_tokens, 0U);
    EXPECT_EQ(registry->fork(key("a"), "e", 99, 4)->n_tokens, 9U);
}

TEST_F(RegistryTest, ConversationsExpireAndForksOfThemHaveTheirOwnTime) {
    const auto registry = open();
    AgentRow row = agent("c1");
    row.kind = AgentKind::conversation;
    row.expires_ms = 100;
    ASSERT_TRUE(registry->create(row));
    ASSERT_TRUE(registry->create(agent("named")));
    const auto fork =
        registry->fork(key("c1"), "c2", 1, UINT64_MAX, {.kind = AgentKind::conversation, .session = "s", .expires_ms = 50});
    ASSERT_TRUE(fork) << why(fork);
    EXPECT_EQ(fork->session, "s");
    ASSERT_TRUE(registry->fork(key("c1"), "copy", 1)) << "somebody's own: it never expires";
    const auto expired = [&](std::int64_t now, std::size_t limit = 10) { return registry->expired(now, limit).value(); };
    EXPECT_TRUE(expired(49).empty());
    EXPECT_EQ(expired(50), std::vector{key("c2")});
    EXPECT_EQ(expired(100), (std::vector{key("c2"), key("c1")}));
    EXPECT_EQ(expired(100, 1), std::vector{key("c2")});
    ASSERT_TRUE(registry->commit_turn({.key = key("c2"), .expires_ms = 200}));
    ASSERT_TRUE(registry->set_pinned(key("c1"), true));
    EXPECT_TRUE(expired(199).empty());
    ASSERT_TRUE(registry->commit_turn({.key = key("c2"), .front = AgentFront{.system_prompt = "new", .tools = "[]"}}));
    EXPECT_EQ(registry->get(key("c2"))->system_prompt, "new");
    EXPECT_EQ(registry->get(key("c2"))->tools, "[]");
    EXPECT_EQ(registry->get(key("c2"))->expires_ms, 200);
}

TEST_F(RegistryTest, RetentionIsKeptUntilItIsChanged) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    EXPECT_EQ(registry->get(key("a"))->retention, Retention::standard);
    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .retention = Retention::one_hour}));
    ASSERT_TRUE(registry->commit_turn({.key = key("a")}));
    EXPECT_EQ(registry->get(key("a"))->retention, Retention::one_hour);
    EXPECT_EQ(registry->fork(key("a"), "b", 1)->retention, Retention::standard);
    ASSERT_TRUE(registry->set_retention(key("a"), Retention::forever));
    EXPECT_EQ(open()->get(key("a"))->retention, Retention::forever);
    EXPECT_EQ(code_of(registry->set_retention(key("nobody"), Retention::forever)), ErrorCode::not_found);
}

TEST_F(RegistryTest, ListsWhoWasUsedLast) {
    auto registry = open();
    const std::vector<Token> tokens{1, 2, 3};
    std::int64_t now = 0;
    for (const auto &[tenant, id, vocabulary, kind] :
         {std::tuple("default", "a", "v", AgentKind::agent), std::tuple("default", "b", "v", AgentKind::conversation),
          std::tuple("default", "c", "other", AgentKind::conversation), std::tuple("default", "d", "v", AgentKind::conversation),
          std::tuple("zoo", "e", "v", AgentKind::conversation), std::tuple("default", "new", "v", AgentKind::conversation)}) {
        AgentRow row = agent(id);
        row.key.tenant = tenant;
        row.kind = kind;
        ASSERT_TRUE(registry->create(row));
        if (row.key.id == "new") continue;  // it has no tokens
        ASSERT_TRUE(registry->commit_turn(
            {.key = row.key, .new_tokens = tokens, .now_ms = ++now, .model = "m", .vocabulary = vocabulary}));
    }
    const auto used = [&](std::string_view tenant, const Registry::UsedLast &which) {
        std::string ids;
        for (const AgentRow &row : registry->used_last(tenant, which).value()) ids += row.key.id;
        return ids;
    };
    EXPECT_EQ(used("default", {.vocabulary = "v", .limit = 10}), "dba");
    EXPECT_EQ(used("default", {.vocabulary = "v", .unnamed_only = true, .limit = 10}), "db");
    EXPECT_EQ(used("default", {.vocabulary = "v", .limit = 1}), "d");
    EXPECT_EQ(used("zoo", {.vocabulary = "v", .limit = 10}), "e");
    EXPECT_EQ(used("nobody", {.vocabulary = "v", .limit = 10}), "");
    ASSERT_TRUE(registry->touch(key("a"), ++now));
    EXPECT_EQ(used("default", {.vocabulary = "v", .limit = 10}), "adb");
    ASSERT_TRUE(registry->remove(key("d")));
    EXPECT_EQ(used("default", {.vocabulary = "v", .limit = 10}), "ab");
    registry.reset();
    tamper("UPDATE agents SET n_turns = 77 WHERE id = 'b'");
    registry = open();
    EXPECT_EQ(used("default", {.vocabulary = "v", .limit = 10}), "a") << "what is damaged is left out";
}

TEST_F(RegistryTest, FindsConversationsByWhatWasSaid) {
    const auto registry = open();
    const auto found = [&](std::string_view prefix, std::string_view tenant = "default") {
        return registry->find_prefix(tenant, prefix).value();
    };
    const std::vector<Token> tokens{1, 2, 3, 4, 5, 6, 7, 8, 9};
    for (const char *id : {"a", "b", "c"}) {
        ASSERT_TRUE(registry->create(agent(id)));
        std::vector<MessageRow> messages = two_turns();
        if (id[0] == 'c') messages.resize(2);
        ASSERT_TRUE(registry->commit_turn({.key = key(id), .new_tokens = tokens, .new_messages = messages}));
    }
    EXPECT_EQ(found("p1"), (MessagePlace{.key = key("c"), .ordinal = 1})) << "it ends there";
    EXPECT_TRUE(found("p2") && found("p2")->ordinal == 3);
    ASSERT_TRUE(registry->touch(key("b"), 1'900'000'000'000));
    EXPECT_EQ(found("p2"), (MessagePlace{.key = key("b"), .ordinal = 3})) << "it was used last";
    EXPECT_EQ(found("p2", "other"), std::nullopt) << "another tenant's is not there";
    EXPECT_EQ(found("p3"), std::nullopt);
    EXPECT_EQ(found(""), std::nullopt);
    EXPECT_EQ(registry->find_public_id("default", "msg_1")->value().ordinal, 1U);
    EXPECT_EQ(*registry->find_public_id("other", "msg_1"), std::nullopt);
    ASSERT_TRUE(registry->remove(key("a")));
    ASSERT_TRUE(registry->remove(key("b")));
    EXPECT_EQ(found("p2"), std::nullopt);
}

TEST_F(RegistryTest, RemovesEveryRowOfAnAgent) {
    const auto registry = open();
    std::mt19937_64 random(2);
    for (const char *id : {"a", "b"}) {
        ASSERT_TRUE(registry->create(agent(id)));
        const std::vector<Token> tokens{1, 2, 3};
        const Manifest manifest = random_manifest(random, 3);
        ASSERT_TRUE(registry->commit_turn(
            {.key = key(id), .new_tokens = tokens, .new_messages = {{"user", "secret words", 1}}, .manifest = &manifest}));
    }
    ASSERT_TRUE(registry->remove(key("a")));
    for (const std::string table : {"agents", "messages", "token_runs", "manifests"}) {
        EXPECT_EQ(query("SELECT count(*) FROM " + table), 1) << table;
    }
    ASSERT_TRUE(registry->create(agent("a")));
    EXPECT_EQ(registry->tokens(key("a")), std::vector<Token>{});
    EXPECT_EQ(registry->tokens(key("b")), (std::vector<Token>{1, 2, 3}));
}

TEST_F(RegistryTest, RenamesPinsAndTouches) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    const std::vector<Token> tokens{1};
    ASSERT_TRUE(registry->commit_turn({.key = key("a"), .new_tokens = tokens}));
    ASSERT_TRUE(registry->rename(key("a"), "b"));
    EXPECT_EQ(code_of(registry->get(key("a"))), ErrorCode::not_found);
    EXPECT_EQ(registry->tokens(key("b")), tokens);
    ASSERT_TRUE(registry->set_pinned(key("b"), true));
    ASSERT_TRUE(registry->touch(key("b"), 77));
    EXPECT_TRUE(registry->get(key("b"))->pinned);
    EXPECT_EQ(registry->get(key("b"))->last_used_ms, 77);
    ASSERT_TRUE(registry->set_pinned(key("b"), false));
    EXPECT_FALSE(registry->get(key("b"))->pinned);
}

TEST_F(RegistryTest, VisitsAllManifests) {
    const auto registry = open();
    std::mt19937_64 random(3);
    std::vector<Manifest> expected;
    for (int i = 0; i < 600; ++i) {  // more than two pages
        const std::string id = std::to_string(i);
        ASSERT_TRUE(registry->create(agent(id)));
        if (i % 2 == 0) continue;
        expected.push_back(random_manifest(random, 0));
        ASSERT_TRUE(registry->set_manifest(key(id), expected.back()));
    }
    ASSERT_TRUE(registry->clear_manifest(key("1")));
    expected.erase(expected.begin());
    std::vector<Manifest> seen;
    const auto visited = registry->for_each_manifest([&](const AgentRow &row, const Result<Manifest> &manifest) {
        ASSERT_TRUE(manifest) << why(manifest);
        EXPECT_EQ(registry->get(row.key), row);  // the visitor may use the registry
        seen.push_back(*manifest);
    });
    EXPECT_TRUE(visited) << why(visited);
    EXPECT_EQ(seen, expected);
}

TEST_F(RegistryTest, RemembersHashesOfUnchangedFiles) {
    const Registry::FileStamp stamp{.path = "/models/a.gguf", .bytes = 10, .modified_ns = 20, .inode = UINT64_MAX};
    Digest digest;
    std::ranges::fill(digest.bytes, std::uint8_t{7});
    ASSERT_TRUE(open()->remember_hash(stamp, Digest{}));
    ASSERT_TRUE(open()->remember_hash(stamp, digest));
    const auto registry = open();
    EXPECT_EQ(registry->remembered_hash(stamp), digest);
    for (const auto change : {0, 1, 2, 3}) {
        Registry::FileStamp other = stamp;
        if (change == 0) other.path += 'x';
        if (change == 1) other.bytes += 1;
        if (change == 2) other.modified_ns += 1;
        if (change == 3) other.inode -= 1;
        EXPECT_EQ(registry->remembered_hash(other), std::nullopt) << change;
    }
    tamper("UPDATE model_hashes SET digest = zeroblob(32)");
    EXPECT_EQ(registry->remembered_hash(stamp), std::nullopt);
}

TEST_F(RegistryTest, ASoundFileHasNoProblems) {
    const auto registry = open();
    ASSERT_TRUE(registry->create(agent("a")));
    EXPECT_EQ(registry->integrity_check(), std::vector<std::string>{});
}

TEST_F(RegistryTest, ServesSeveralThreads) {
    const auto registry = open();
    constexpr int kThreads = 4, kTurns = 25;
    ASSERT_TRUE(registry->create(agent("shared")));
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < kThreads; ++t) {
            threads.emplace_back([&registry, t] {
                std::mt19937_64 random(static_cast<std::uint64_t>(t));
                const AgentKey own = key("agent" + std::to_string(t));
                EXPECT_TRUE(registry->create(agent(own.id)));
                Conversation expected;
                for (int i = 0; i < kTurns; ++i) {
                    const Turn turn = random_turn(random, expected);
                    EXPECT_TRUE(registry->commit_turn(turn.commit(own)));
                    turn.apply(expected);
                    EXPECT_EQ(conversation_of(*registry, own), expected);
                    EXPECT_TRUE(registry->commit_turn({.key = key("shared"), .new_messages = {{"user", own.id, i}}}));
                    EXPECT_TRUE(registry->for_each_manifest([](const AgentRow &, const Result<Manifest> &m) { EXPECT_TRUE(m); }));
                }
            });
        }
    }
    EXPECT_EQ(registry->messages(key("shared"))->size(), static_cast<std::size_t>(kThreads * kTurns));
    EXPECT_EQ(registry->list("")->size(), 5U);
}

}  // namespace
}  // namespace engram
