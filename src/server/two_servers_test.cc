// A circle of work through two running servers: each is asked over A2A, as a real other one is.
#include <gtest/gtest.h>

#include <format>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>

#include "chat/bounded_json.h"
#include "engine/testing/tiny_models.h"
#include "engram/teams.h"
#include "http/testing/client.h"
#include "server/server.h"

namespace engram::server {
namespace {

using namespace std::chrono_literals;

class TwoServersTest : public ::testing::Test {
  protected:
    // `elsewhere`: an agent of another server, "name" and the port there; a port of 0 here is any.
    static std::unique_ptr<Server> start(const std::filesystem::path &home, std::uint16_t port, const std::string &elsewhere = {},
                                         std::uint16_t elsewhere_port = 0, RunAgent run = {}) {
        ServeOptions options;
        options.manager.home = home;
        options.manager.model = testing::tiny_options("tiny-llama", 2048);
        options.manager.storage.block_tokens = 32;
        options.port = port;
        options.run = std::move(run);
        if (!elsewhere.empty()) {
            options.tool_servers = home / "elsewhere.json";
            const std::string url = std::format("http://127.0.0.1:{}/a2a/agents/{}", elsewhere_port, elsewhere);
            std::ofstream(options.tool_servers) << OrderedJson{{"a2aAgents", {{elsewhere, {{"url", url}}}}}}.dump();
        }
        auto server = Server::start(std::move(options));
        EXPECT_TRUE(server) << server.error().message;
        return server ? std::move(*server) : nullptr;
    }

    struct Answer {
        int status = 0;
        std::string text;
        OrderedJson json;
    };
    static Answer post(const Server &server, const std::string &target, const OrderedJson &body) {
        http::TestClient client(server.port());
        const auto reply = client.ask("POST", target, body.dump(), "Content-Type: application/json\r\n");
        EXPECT_TRUE(reply.has_value()) << target;
        if (!reply) return {};
        return {.status = reply->status, .text = reply->body, .json = OrderedJson::parse(reply->body, nullptr, false)};
    }

    testing::TemporaryFolder home_here_, home_there_;
};

// The chief here gives work to the keeper there, who gives it back to the chief, as its server's runner does when a model says
// so.
TEST_F(TwoServersTest, ACircleIsRefusedWhereItCloses) {
    std::unique_ptr<Server> here = start(home_here_.path(), 0);
    ASSERT_NE(here, nullptr);
    const std::uint16_t here_port = here->port();
    std::shared_ptr<Runner> runner;
    std::mutex mutex;
    std::string refused;  // guarded by mutex
    const RunAgent gives_it_back = [&](AgentManager &agents, const RunRequest &request, const RunSink &sink,
                                       std::stop_token stop) {
        RunRequest back = request;
        back.delegate_to = "chief";
        auto done = runner->run(agents, back, sink, std::move(stop));
        const std::scoped_lock lock(mutex);
        if (done) refused = done->warning;
        return done;
    };
    const std::unique_ptr<Server> there = start(home_there_.path(), 0, "chief", here_port, gives_it_back);
    ASSERT_NE(there, nullptr);
    auto opened = open_runner({.home = home_there_.path(), .servers = home_there_.path() / "elsewhere.json"});
    ASSERT_TRUE(opened) << opened.error().message;
    runner = *opened;
    // Only now it is known where the other one is.
    ASSERT_TRUE(here->stop(0ms));
    here.reset();
    here = start(home_here_.path(), here_port, "keeper", there->port());
    ASSERT_NE(here, nullptr);
    ASSERT_EQ(post(*here, "/v1/agents", {{"id", "chief"}, {"card", {{"colleagues", {"keeper"}}}}}).status, 201);
    ASSERT_EQ(post(*there, "/v1/agents", {{"id", "keeper"}, {"card", {{"colleagues", {"chief"}}}}}).status, 201);

    const Answer given = post(*here, "/v1/agents/chief/delegate", {{"to", "keeper"}, {"task", "Do it."}});
    ASSERT_EQ(given.status, 200) << given.text;
    const std::scoped_lock lock(mutex);
    EXPECT_TRUE(refused.contains("chief waits for this answer already (chief > home-")) << refused;
    EXPECT_TRUE(refused.contains("/default/keeper > chief)")) << refused;
    EXPECT_TRUE(given.text.contains("chief waits for this answer already")) << "whoever began it is told: " << given.text;
    EXPECT_EQ(given.json["end"], "failed");
}

// What the keeper there may not do by itself is decided here.
TEST_F(TwoServersTest, ACallThereWaitsForAPersonHere) {
    const RunAgent asks = [](AgentManager &, const RunRequest &request, const RunSink &,
                             const std::stop_token &) -> Result<RunResult> {
        const auto decided = request.approvals.find("call_1");
        if (decided != request.approvals.end()) return RunResult{.text = decided->second ? "It is gone." : "It is still there."};
        RunResult waits{.end = RunEnd::approval};
        waits.pending.push_back({.id = "call_1", .name = "erase", .arguments = R"({"file":"x"})"});
        return waits;
    };
    const std::unique_ptr<Server> there = start(home_there_.path(), 0, {}, 0, asks);
    ASSERT_NE(there, nullptr);
    std::unique_ptr<Server> here = start(home_here_.path(), 0, "keeper", there->port());
    ASSERT_NE(here, nullptr);
    ASSERT_EQ(post(*here, "/v1/agents", {{"id", "chief"}, {"card", {{"colleagues", {"keeper"}}}}}).status, 201);
    ASSERT_EQ(post(*there, "/v1/agents", {{"id", "keeper"}}).status, 201);
    const std::string target = "/v1/agents/chief/delegate";
    const Answer waits = post(*here, target, {{"to", "keeper"}, {"task", "Erase it."}});
    EXPECT_EQ(waits.json["end"], "approval") << waits.text;
    EXPECT_EQ(waits.json["pending"][0],
              (OrderedJson{{"id", "keeper/call_1"}, {"agent", "keeper"}, {"name", "erase"}, {"arguments", {{"file", "x"}}}}))
        << waits.text;
    ASSERT_TRUE(here->stop(0ms));
    here.reset();
    here = start(home_here_.path(), 0, "keeper", there->port());
    ASSERT_NE(here, nullptr);
    EXPECT_EQ(post(*here, target, {{"to", "keeper"}, {"approvals", {{"keeper/call_2", "allow"}}}}).status, 400);
    const Answer done = post(*here, target, {{"to", "keeper"}, {"approvals", {{"keeper/call_1", "allow"}}}});
    EXPECT_EQ(done.json["end"], "answered") << done.text;
    EXPECT_EQ(done.json["answer"], "It is gone.");
}

}  // namespace
}  // namespace engram::server
