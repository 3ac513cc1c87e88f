// What a program gets that uses the library: a runner over a home folder.
#include <gtest/gtest.h>

#include <fstream>

#include "agents/testing_manager.h"
#include "engram/teams.h"
#include "teams/testing_runs.h"

namespace engram {
namespace {

using namespace testing;

// A tool of the program's own.
class Clock : public ToolSource {
  public:
    explicit Clock(std::string name) : name_(std::move(name)) {}

    std::vector<ChatTool> tools(const AgentManager &, const AgentInfo &) override {
        return {{.name = name_, .description = "Says what time it is"}};
    }
    bool needs_approval(const AgentInfo &, std::string_view) const override { return false; }
    ToolOutcome call(const ToolContext &, const ChatToolCall &) override {
        ++calls;
        return {.text = "noon"};
    }

    int calls = 0;

  private:
    const std::string name_;
};

class OpenRunnerTest : public ::testing::Test {
  protected:
    OpenRunnerTest() {
        AgentSpec chief{.id = "chief", .system_prompt = "You ask others."};
        chief.card.colleagues = {"clerk"};
        chief.card.team = "harbour";
        must(manager_->create(chief));
        must(manager_->create({.id = "clerk", .system_prompt = "You know the tides."}));
    }

    RunResult run(Runner &runner, const std::string &call) {
        RunRequest request{.agent = "chief", .messages = {{.role = "user", .content = "Do it."}}};
        request.sampling.grammar = calling({call});
        request.max_tokens = 200;
        request.limits.steps = 2;
        return must(runner.run(*manager_, request));
    }

    TemporaryFolder home_;
    std::unique_ptr<AgentManager> manager_ = open_manager(tiny_manager(home_.path()));
};

TEST_F(OpenRunnerTest, GivesOwnToolsColleaguesAndNotes) {
    Clock clock("clock");
    const auto runner = must(open_runner({.home = home_.path(), .sources = {&clock}}));
    const RunResult told = run(*runner, R"({"name": "clock", "arguments": {}})");
    ASSERT_GE(told.steps.size(), 2U);
    EXPECT_EQ(told.steps[1].output, "noon");

    const std::string note = R"({"name": "notes__write", "arguments": {"title": "tide", "text": "high at noon"}})";
    EXPECT_FALSE(run(*runner, note).steps.at(1).failed);

    RunRequest given{.agent = "chief", .messages = {{.role = "user", .content = "When is high tide?"}}};
    given.delegate_to = "clerk";
    given.limits.result_tokens = 8;
    const RunResult done = must(runner->run(*manager_, given));
    ASSERT_EQ(done.steps.size(), 1U);
    EXPECT_EQ(done.steps[0].kind, RunStep::Kind::delegation);
    EXPECT_EQ(must(manager_->transcript("clerk")).size(), 2U);
}

TEST_F(OpenRunnerTest, KeepsWhatItNeedsAndNotesOutliveIt) {
    auto first = must(open_runner({.home = home_.path()}));
    EXPECT_FALSE(
        run(*first, R"({"name": "notes__write", "arguments": {"title": "tide", "text": "high at noon"}})").steps.at(1).failed);
    first.reset();
    const auto second = must(open_runner({.home = home_.path()}));
    const RunResult read = run(*second, R"({"name": "notes__read", "arguments": {"title": "tide"}})");
    EXPECT_TRUE(read.steps.at(1).output.contains("high at noon")) << read.steps.at(1).output;
}

TEST_F(OpenRunnerTest, AnOwnToolNeverTakesAnothersName) {
    Clock impostor("notes__read");
    const auto runner = must(open_runner({.home = home_.path(), .sources = {&impostor}}));
    run(*runner, R"({"name": "notes__read", "arguments": {"title": "tide"}})");
    EXPECT_EQ(impostor.calls, 0);
}

TEST_F(OpenRunnerTest, SaysWhatIsWrongWithTheServers) {
    const std::filesystem::path file = home_.path() / "servers.json";
    EXPECT_EQ(open_runner({.home = home_.path(), .servers = file}).error().code, ErrorCode::not_found);
    std::ofstream(file) << R"({"mcpServers": {"files": {"command": 7}}})";
    const auto wrong = open_runner({.home = home_.path(), .servers = file});
    ASSERT_FALSE(wrong.has_value());
    EXPECT_EQ(wrong.error().code, ErrorCode::invalid_argument);
    EXPECT_TRUE(wrong.error().message.contains("files")) << wrong.error().message;
    std::ofstream(home_.path() / "mcp.json") << R"({"mcpServers": {"gone": {"command": "/nowhere/at/all"}}})";
    EXPECT_TRUE(open_runner({.home = home_.path()}).has_value()) << "a server is started when it is needed";
}

}  // namespace
}  // namespace engram
