// MCP over a pair of pipes, as a client that started the process has them.
#include "server/mcp_stdio.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "agents/testing_manager.h"
#include "core/testing/test_seed.h"
#include "protocol/mcp/wire.h"
#include "server/testing/json_pipes.h"

namespace engram {
namespace {

using namespace std::chrono_literals;
namespace mcp = protocol::mcp;

class McpStdioTest : public ::testing::Test, protected testing::JsonPipes {
  protected:
    void SetUp() override {
        manager_ = testing::open_manager(testing::tiny_manager(home_.path()));
        ASSERT_NE(manager_, nullptr);
        ASSERT_TRUE(manager_->create({.id = "ada", .system_prompt = "You are Ada."}));
    }
    void TearDown() override {
        stop_.request_stop();
        if (server_.joinable()) server_.join();
    }
    void start(McpStdioOptions options = {}) {
        options.agents = manager_.get();
        if (!options.run) {
            options.run = [this](AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
                return runner_.run(agents, request, sink, std::move(stop));
            };
        }
        options.in = in_[0];
        options.out = out_[1];
        server_ = std::thread([this, options] {
            const auto served = serve_mcp_stdio(options, stop_.get_token());
            EXPECT_TRUE(served) << served.error().message;
            ended_ = 1;
        });
    }
    static OrderedJson newer(int id, const std::string &method, OrderedJson params = OrderedJson::object()) {
        params["_meta"][std::string(mcp::kMetaVersion)] = mcp::kStatelessVersion;
        params["_meta"][std::string(mcp::kMetaCapabilities)] = OrderedJson::object();
        return request(id, method, std::move(params));
    }
    static OrderedJson asking(const char *message) {
        return {{"name", "ask_agent"}, {"arguments", {{"agent", "ada"}, {"message", message}, {"max_tokens", 4}}}};
    }
    void initialize() {
        say(request(1, "initialize", {{"protocolVersion", "2025-11-25"}, {"capabilities", OrderedJson::object()}}));
        EXPECT_EQ(hear()["result"]["protocolVersion"], "2025-11-25");
    }
    static bool becomes(const std::atomic<int> &value, int wanted) {
        for (int tries = 0; tries < 60'000 && value != wanted; ++tries) std::this_thread::sleep_for(1ms);
        return value == wanted;
    }
    RunAgent endless() {
        return [this](AgentManager &, const RunRequest &, const RunSink &, std::stop_token stop) -> Result<RunResult> {
            ++running_;
            while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
            --running_;
            return RunResult{.end = RunEnd::cancelled};
        };
    }

    testing::TemporaryFolder home_;
    std::unique_ptr<AgentManager> manager_;
    Runner runner_{{}};
    std::stop_source stop_;
    std::thread server_;
    std::atomic<int> ended_ = 0, running_ = 0;
};

TEST_F(McpStdioTest, AnswersInBothErasAndEndsWithItsInput) {
    start();
    say(request(1, "tools/list"));
    EXPECT_EQ(hear()["error"]["code"], protocol::kRpcInvalidRequest);  // before initialize
    say(newer(2, "server/discover"));
    EXPECT_EQ(hear()["result"]["resultType"], "complete");
    initialize();
    say(OrderedJson{{"jsonrpc", "2.0"}, {"method", "notifications/initialized"}});
    say(request(3, "tools/list"));
    EXPECT_EQ(hear()["result"]["tools"].size(), 6U);
    say(request(4, "tools/call", asking("What happened?")));
    const OrderedJson answer = hear();
    EXPECT_EQ(answer["id"], 4);
    EXPECT_EQ(answer["result"]["structuredContent"]["agent"], "ada") << answer;
    OrderedJson params = asking("And then?");
    params["_meta"]["progressToken"] = 9;
    say(newer(5, "tools/call", params));
    EXPECT_EQ(hear()["params"]["progressToken"], 9);
    end_input();
    std::size_t responses = 0;
    EXPECT_TRUE(becomes(ended_, 1));
    ::close(std::exchange(out_[1], -1));
    for (OrderedJson heard = hear(); heard.is_object(); heard = hear()) responses += heard.value("id", 0) == 5;
    EXPECT_EQ(responses, 1U);  // what was under way was answered
}

TEST_F(McpStdioTest, ACancelledRequestGetsNoAnswer) {
    McpStdioOptions options;
    options.run = endless();
    start(options);
    initialize();
    say(request(7, "tools/call", asking("Go on.")));
    say(newer(8, "tools/call", asking("Go on.")));
    ASSERT_TRUE(becomes(running_, 2));
    say(request(7, "ping"));
    EXPECT_EQ(hear()["error"]["code"], protocol::kRpcInvalidRequest);  // the id is taken
    for (const int id : {7, 8}) {
        say(OrderedJson{{"jsonrpc", "2.0"}, {"method", "notifications/cancelled"}, {"params", {{"requestId", id}}}});
    }
    EXPECT_TRUE(becomes(running_, 0));
    say(request(9, "ping"));
    EXPECT_EQ(hear()["id"], 9);
}

TEST_F(McpStdioTest, AReaderThatHasGoneCancels) {
    McpStdioOptions options;
    options.run = endless();
    start(options);
    initialize();
    say(request(7, "tools/call", asking("Go on.")));
    ASSERT_TRUE(becomes(running_, 1));
    end_input();
    ::close(std::exchange(out_[0], -1));
    EXPECT_TRUE(becomes(ended_, 1));
    EXPECT_EQ(running_, 0);
}

TEST_F(McpStdioTest, StopEndsItAtOnce) {
    McpStdioOptions options;
    options.run = endless();
    start(options);
    initialize();
    say(request(7, "tools/call", asking("Go on.")));
    ASSERT_TRUE(becomes(running_, 1));
    stop_.request_stop();
    EXPECT_TRUE(becomes(ended_, 1));
}

// The conformance tests' fixtures ask the client.
TEST_F(McpStdioTest, AToolMayAskTheClient) {
    McpStdioOptions options;
    options.fixtures = true;
    start(options);
    initialize();
    say(request(3, "tools/call", {{"name", "test_elicitation"}, {"arguments", {{"message", "Who?"}}}}));
    const OrderedJson question = hear();
    ASSERT_EQ(question["method"], "elicitation/create") << question;
    EXPECT_EQ(question["params"]["message"], "Who?");
    say(OrderedJson{
        {"jsonrpc", "2.0"}, {"id", question["id"]}, {"result", {{"action", "accept"}, {"content", {{"response", "me"}}}}}});
    const OrderedJson answer = hear();
    EXPECT_EQ(answer["id"], 3);
    EXPECT_EQ(answer["result"]["content"][0]["text"], R"(User response: action=accept, content={"response":"me"})");
}

TEST_F(McpStdioTest, RandomLinesAndLongOnesDoNoHarm) {
    std::mt19937 random(static_cast<std::uint32_t>(test_seed()));
    McpStdioOptions options;
    options.max_line_bytes = 1 << 16;
    start(options);
    const std::string good = request(1, "tools/call", {{"name", "list_agents"}}).dump();
    for (int round = 0; round < 200; ++round) {
        std::string line = good;
        for (int changes = 0; changes < 3; ++changes) line[random() % line.size()] = static_cast<char>(random());
        say(line + "\n\n");
    }
    std::thread listener([&] {  // while the long line is written
        while (hear().value("id", OrderedJson()) != "last") {
        }
    });
    say(std::string(1 << 18, 'x') + "\n");
    say(OrderedJson{{"jsonrpc", "2.0"}, {"id", "last"}, {"method", "ping"}});
    listener.join();
    EXPECT_EQ(ended_, 0);
}

}  // namespace
}  // namespace engram
