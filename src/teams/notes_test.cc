#include "teams/notes.h"

#include <gtest/gtest.h>

#include <format>
#include <random>

#include "agents/testing_manager.h"
#include "core/testing/test_seed.h"
#include "sqlite/database.h"
#include "teams/testing_runs.h"

namespace engram {
namespace {

using namespace testing;

class NotesTest : public ::testing::Test {
  protected:
    NotesTest() { store_ = must(TeamStore::open(home_.path() / "teams.db")); }

    void reopen() {
        store_.reset();
        store_ = must(TeamStore::open(home_.path() / "teams.db"));
    }
    void write(const std::string &title, const std::string &text, std::int64_t at = 1, const Team &team = kTeam) {
        must(store_->write(team, {.title = title, .text = text, .agent = "a", .updated_ms = at}));
    }
    std::string found(std::string_view words, const Team &team = kTeam, std::size_t most = 10) {
        std::string titles;
        for (const Note &note : must(store_->search(team, words, most))) titles += note.title + " ";
        return titles;
    }

    static inline const Team kTeam{.tenant = "t", .name = "harbour"};
    TemporaryFolder home_;
    std::unique_ptr<TeamStore> store_;
};

TEST_F(NotesTest, AreFoundByTheirWords) {
    write("tides", "High tide is at noon. The café closes then.", 1);
    write("cranes", "Crane two is broken; it needs a new rope at noon.", 2);
    write("berths", "Berth five is for the ferry.", 3);
    EXPECT_EQ(found("noon rope"), "cranes ") << "all of the words";
    EXPECT_EQ(found("Cafe"), "tides ");
    EXPECT_EQ(found("ferry rope"), "berths cranes ") << "any of them, when no note has all: the shorter note first";
    EXPECT_EQ(found("cranes"), "cranes ") << "the title counts";
    EXPECT_EQ(found(""), "berths cranes tides ") << "the newest first";
    EXPECT_EQ(found("", kTeam, 1), "berths ");
    EXPECT_EQ(found("submarine"), "");
    write("tides", "High tide is at two.", 4);
    EXPECT_EQ(found("noon"), "cranes ") << "what was replaced isn't found";
    reopen();
    EXPECT_EQ(must(store_->read(kTeam, "tides"))->text, "High tide is at two.");
    EXPECT_TRUE(must(store_->remove(kTeam, "tides")));
    EXPECT_FALSE(must(store_->remove(kTeam, "tides")));
    EXPECT_EQ(found("tide"), "");
}

TEST_F(NotesTest, BelongToOneTeamOfOneTenant) {
    write("secret", "The word is heron.", 1, {.tenant = "other", .name = "harbour"});
    write("secret", "The word is gull.", 1, {.tenant = "t", .name = "other"});
    EXPECT_EQ(found("word"), "");
    EXPECT_EQ(found(""), "");
    EXPECT_FALSE(must(store_->read(kTeam, "secret")));
}

TEST_F(NotesTest, HaveLimits) {
    const auto code = [&](const std::string &title, const std::string &text) {
        const auto written = store_->write(kTeam, {.title = title, .text = text, .agent = "a"});
        return written ? std::string() : written.error().message;
    };
    EXPECT_EQ(code("", "x"), "a note's title has 1 to 200 bytes");
    EXPECT_EQ(code(std::string(201, 'x'), "x"), "a note's title has 1 to 200 bytes");
    EXPECT_EQ(code("x", ""), "a note's text has 1 to 65536 bytes");
    EXPECT_EQ(code("x", std::string(kMaxNoteBytes, 'x')), "");
}

TEST_F(NotesTest, ATeamHasSoMany) {
    store_.reset();
    {
        auto database = must(sqlite::Database::open(home_.path() / "teams.db"));
        must(database.execute(std::format(
            "WITH RECURSIVE number(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM number WHERE n < {}) "
            "INSERT INTO notes (tenant, team, title, text, agent, updated_ms) SELECT 't', 'harbour', n, 'x', 'a', 1 FROM number",
            kMaxNotesOfTeam - 1)));
    }
    store_ = must(TeamStore::open(home_.path() / "teams.db"));
    write("the last", "one");
    const auto refused = store_->write(kTeam, {.title = "one more", .text = "x", .agent = "a"});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::over_budget);
    EXPECT_EQ(refused.error().message, "the team harbour has 10000 notes, and more are not possible: remove some");
    write("the last", "is written anew");
    write("the first", "of another team", 1, {.tenant = "t", .name = "other"});
    EXPECT_TRUE(must(store_->remove(kTeam, "7")));
    write("one more", "in its place");
}

// Whatever is searched for is words, never the search's own language.
TEST_F(NotesTest, AnyWordsCanBeSearchedFor) {
    write("a", "one two");
    std::mt19937_64 random(test_seed());
    const std::string_view signs = "\"*()^-+:{}NEAR AND OR NOT title one two \xc3\xa9\xff'";
    for (int i = 0; i < 2'000; ++i) {
        std::string words;
        for (auto n = random() % 30; n > 0; --n) words += signs[random() % signs.size()];
        const auto notes = store_->search(kTeam, words, 5);
        ASSERT_TRUE(notes) << words << ": " << notes.error().message;
    }
}

TEST_F(NotesTest, AgentsOfATeamShareThem) {
    const auto manager = open_manager(tiny_manager(home_.path()));
    for (const char *id : {"writer", "reader"}) {
        AgentSpec spec{.id = id};
        spec.card.team = "harbour";
        must(manager->create(spec));
    }
    must(manager->create({.id = "stranger"}));
    Notes notes(*store_);
    EXPECT_TRUE(notes.tools(*manager, must(manager->get("stranger"))).empty());
    EXPECT_EQ(notes.tools(*manager, must(manager->get("reader"))).size(), 4U);
    Runner runner({&notes});
    const auto called = [&](const std::string &agent, const std::string &call) {
        RunRequest request{.agent = agent, .messages = {{.role = "user", .content = "Go on."}}};
        request.sampling.grammar = calling({call});
        request.limits.steps = 2;
        return must(runner.run(*manager, request)).steps.at(1).output;
    };
    EXPECT_EQ(called("writer", R"({"name": "notes__write", "arguments": {"title": "tides", "text": "High at noon."}})"),
              "The note \"tides\" is written.");
    EXPECT_EQ(called("reader", R"({"name": "notes__read", "arguments": {"title": "tides"}})"), "High at noon.");
    EXPECT_EQ(called("reader", R"({"name": "notes__search", "arguments": {"words": "noon"}})"),
              "tides (by writer):\nHigh at noon.");
    EXPECT_EQ(called("reader", R"({"name": "notes__search", "arguments": {"words": "moon"}})"), "There are no such notes.");
    EXPECT_EQ(called("writer", R"({"name": "notes__remove", "arguments": {"title": "tides"}})"),
              "The note \"tides\" is removed.");
    EXPECT_EQ(called("reader", R"({"name": "notes__read", "arguments": {"title": "tides"}})"), "There is no note \"tides\".");
}

}  // namespace
}  // namespace engram
