// Agents with the tools of real server processes.
#include "teams/tool_servers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <stop_token>
#include <thread>

#include "agents/testing_manager.h"
#include "teams/testing_runs.h"

namespace engram {
namespace {

using namespace testing;

mcp::ServerConfig play(const std::string &odd = {}) {
    mcp::ServerConfig config{.name = "play", .command = "python3", .args = {"-B", ENGRAM_MCP_TEST_SERVER}};
    if (!odd.empty()) config.args.push_back(odd);
    return config;
}

AgentSpec with_tools(const std::string &id, std::vector<std::string> tools, std::vector<std::string> approvals = {}) {
    AgentSpec spec{.id = id, .system_prompt = "You play."};
    spec.card.tools = std::move(tools);
    spec.card.approvals = std::move(approvals);
    return spec;
}

class ToolServersTest : public ::testing::Test {
  protected:
    ToolServersTest() { open({play()}); }

    void open(std::vector<mcp::ServerConfig> configs) {
        runner_.reset();
        servers_.reset();
        store_.reset();
        store_ = must(TeamStore::open(home_.path() / "teams.db"));
        servers_ = std::make_unique<ToolServers>(std::move(configs), *store_);
        runner_ = std::make_unique<Runner>(std::vector<ToolSource *>{servers_.get()});
    }
    std::string names_for(const AgentSpec &spec) { return names_for(must(manager_->create(spec))); }
    std::string names_for(const AgentInfo &info) {
        EXPECT_TRUE(servers_->prepare(info, {}).empty());
        std::string names;
        for (const ChatTool &tool : servers_->tools(*manager_, info)) names += tool.name + " ";
        return names;
    }
    RunResult run(const std::string &agent, const std::vector<std::string> &calls, const RunSink &sink = {}) {
        RunRequest request{.agent = agent, .messages = {{.role = "user", .content = "Play."}}};
        request.sampling.grammar = calling(calls);
        request.limits.steps = 2;
        return must(runner_->run(*manager_, request, sink));
    }

    TemporaryFolder home_;
    std::unique_ptr<AgentManager> manager_ = open_manager(tiny_manager(home_.path()));
    std::unique_ptr<TeamStore> store_;
    std::unique_ptr<ToolServers> servers_;
    std::unique_ptr<Runner> runner_;
};

const std::string kEcho = R"({"name": "play__echo", "arguments": {"text": "hello"}})";

TEST_F(ToolServersTest, AnAgentHasWhatItsCardAllows) {
    EXPECT_EQ(names_for(with_tools("none", {})), "");
    EXPECT_EQ(names_for(with_tools("some", {"play/echo", "play/co*", "other/*"})), "play__echo play__count ");
    EXPECT_EQ(names_for(with_tools("all", {"*"})), "play__echo play__fail play__count play__sleep play__where play__die ");
    mcp::ServerConfig theirs = play();
    theirs.tenants = {"somebody else"};
    open({theirs});
    EXPECT_EQ(names_for(with_tools("tenant", {"*"})), "");
}

TEST_F(ToolServersTest, ToolsAreCalled) {
    must(manager_->create(with_tools("a", {"play/*"})));
    int told = 0;
    const RunResult done =
        run("a", {kEcho, R"({"name": "play__fail", "arguments": {}})", R"({"name": "play__count", "arguments": {}})"},
            [&](const RunEvent &event) { told += std::holds_alternative<RunToolProgress>(event) ? 1 : 0; });
    ASSERT_GE(done.steps.size(), 4U);
    EXPECT_EQ(done.steps[1].output, "hello");
    EXPECT_FALSE(done.steps[1].failed);
    EXPECT_EQ(done.steps[2].output, "it went wrong");
    EXPECT_TRUE(done.steps[2].failed);
    EXPECT_EQ(done.steps[3].output, "3");
    EXPECT_EQ(told, 3);
}

TEST_F(ToolServersTest, AServerThatDiesIsStartedAgain) {
    must(manager_->create(with_tools("a", {"play/*"})));
    const RunResult died = run("a", {R"({"name": "play__die", "arguments": {}})"});
    EXPECT_TRUE(died.steps.at(1).failed);
    EXPECT_TRUE(died.steps.at(1).output.starts_with("the tool server play doesn't answer: ")) << died.steps.at(1).output;
    EXPECT_EQ(run("a", {kEcho}).steps.at(1).output, "hello");
}

TEST_F(ToolServersTest, AServerThatNeverAnswersHoldsUpNoRunBeyondItsTime) {
    mcp::ServerConfig mute = play("mute");
    mute.name = "mute";
    open({play(), mute});
    EXPECT_TRUE(names_for(with_tools("b", {"play/*"})).contains("play__echo"));
    must(manager_->create(with_tools("a", {"*"})));
    RunRequest request{.agent = "a", .messages = {{.role = "user", .content = "Play."}}};
    request.limits.time = std::chrono::milliseconds(500);
    const RunResult late = must(runner_->run(*manager_, request));
    EXPECT_EQ(late.end, RunEnd::time);
    EXPECT_TRUE(late.warning.starts_with("the tools of mute are missing, since they could not be listed: ")) << late.warning;
    // The next one, which has ten minutes, doesn't wait for it and goes on with what there is.
    const RunResult next = run("a", {kEcho});
    EXPECT_EQ(next.steps.at(1).output, "hello");
    EXPECT_TRUE(next.warning.starts_with("the tools of mute are missing")) << next.warning;
}

// One run connects, and another one that needs the server too waits for that: each can be stopped by itself.
TEST_F(ToolServersTest, WhoWaitsForAConnectionCanBeStopped) {
    open({play("mute")});
    const AgentInfo info = must(manager_->create(with_tools("a", {"play/*"})));
    std::stop_source first, second;
    std::atomic<int> ended = 0;
    const auto prepare = [&](const std::stop_token &stop) {
        EXPECT_EQ(servers_->prepare(info, stop).size(), 1U);
        ++ended;
    };
    const std::jthread one([&] { prepare(first.get_token()); });
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    std::jthread other([&] { prepare(second.get_token()); });
    second.request_stop();
    other.join();
    EXPECT_EQ(ended.load(), 1) << "the first one is still at it";
    first.request_stop();
}

TEST_F(ToolServersTest, WhatAServerHasByNowCountsFromTheNextRunOn) {
    const TemporaryFolder folder;
    const std::string file = (folder.path() / "extra").string();
    open({play("extra=" + file)});
    const AgentInfo info = must(manager_->create(with_tools("a", {"play/*"})));
    EXPECT_FALSE(names_for(info).contains("play__extra"));
    std::ofstream(file) << "It has one more.";
    open({play("extra=" + file)});
    EXPECT_FALSE(names_for(info).contains("play__extra")) << "that is remembered";
    EXPECT_EQ(run("a", {kEcho}).steps.at(1).output, "hello");
    EXPECT_TRUE(names_for(info).contains("play__extra")) << "it was connected to";
    open({play("extra=" + file)});
    EXPECT_TRUE(names_for(info).contains("play__extra"));
}

// A server that is down changes no prompt: its tools are known, and only calls fail.
TEST_F(ToolServersTest, AServerThatIsDownKeepsItsPlaceInThePrompt) {
    must(manager_->create(with_tools("a", {"play/*"})));
    const RunResult first = run("a", {kEcho});
    mcp::ServerConfig down = play();
    const TemporaryFolder bin;
    std::filesystem::create_symlink("/nowhere/python3", bin.path() / "python3");
    const std::string path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): one thread
    open({play()});
    ::setenv("PATH", bin.path().c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    const RunResult second = run("a", {kEcho});
    ::setenv("PATH", path.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    EXPECT_TRUE(second.steps.at(1).failed);
    EXPECT_TRUE(second.steps.at(1).output.contains("there is no program python3")) << second.steps.at(1).output;
    EXPECT_GE(second.steps.at(0).cached_tokens + 1, first.steps.back().prompt_tokens) << "nothing was read again";
}

TEST_F(ToolServersTest, APersonDecidesWhereTheCardSaysSo) {
    must(manager_->create(with_tools("a", {"play/*"}, {"play/e*"})));
    EXPECT_EQ(run("a", {kEcho}).end, RunEnd::approval);
    mcp::ServerConfig trusting = play();
    trusting.auto_approve = {"echo"};
    open({trusting});
    EXPECT_EQ(run("a", {kEcho}).steps.at(1).output, "hello");
}

TEST_F(ToolServersTest, AreLookedAt) {
    open({play(), {.name = "gone", .command = "engram-no-such-program"}});
    const auto looks = servers_->look("default", {});
    ASSERT_EQ(looks.size(), 2U);
    EXPECT_EQ(looks[0].version, "2026-07-28");
    EXPECT_EQ(looks[0].tools.size(), 6U);
    EXPECT_EQ(looks[0].trouble, "");
    EXPECT_TRUE(looks[1].trouble.contains("there is no program")) << looks[1].trouble;
}

}  // namespace
}  // namespace engram
