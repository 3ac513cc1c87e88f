// Agents of other servers as an agent here asks them: here, where a server can be had to ask.
#include "teams/remote_agents.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <format>
#include <thread>

#include "agents/testing_manager.h"
#include "http/testing/test_server.h"
#include "teams/run_budget.h"

namespace engram {
namespace {

using namespace std::chrono_literals;

// A server whose agent begins a context for whoever names none, and does any work at once.
class RemoteAgentsTest : public ::testing::Test {
  protected:
    Result<void> answer(const http::HttpRequest &request, http::HttpResponder &responder) {
        const OrderedJson params = OrderedJson::parse(request.body)["params"];
        std::unique_lock lock(mutex_);
        std::string context = params["message"].value("contextId", "");
        if (context.empty()) context = std::format("c{}", ++begun_);
        contexts_.push_back(context);
        changed_.notify_all();
        // Slow: a second question has time to come before the first is answered.
        changed_.wait_for(lock, 300ms, [this] { return contexts_.size() > 1; });
        lock.unlock();
        responder.send({.status = 200,
                        .headers = {{"content-type", "application/json"}},
                        .body = std::format(R"({{"jsonrpc":"2.0","id":1,"result":{{"task":{{"id":"t","contextId":"{}",
                            "status":{{"state":"TASK_STATE_COMPLETED"}},
                            "artifacts":[{{"artifactId":"a","parts":[{{"text":"done"}}]}}]}}}}}})",
                                            context)});
        return {};
    }
    Result<void> card(http::HttpResponder &responder) const {
        responder.send({.status = 200,
                        .headers = {{"content-type", "application/json"}},
                        .body = std::format(R"({{"name":"legal","description":"Reads contracts.","capabilities":{{}},
                            "supportedInterfaces":[{{"url":"{}/agent","protocolBinding":"JSONRPC","protocolVersion":"1.0"}}]}})",
                                            server_->address())});
        return {};
    }

    std::mutex mutex_;  // for what follows
    std::condition_variable changed_;
    std::vector<std::string> contexts_;
    int begun_ = 0;
    testing::TemporaryFolder home_;
    std::unique_ptr<http::HttpServer> server_ = http::start_server(
        {http::make_route("GET", "/agent/.well-known/agent-card.json",
                          [this](const http::HttpRequest &, http::HttpResponder &responder) { return card(responder); }),
         http::make_route("POST", "/agent", [this](const http::HttpRequest &request, http::HttpResponder &responder) {
             return answer(request, responder);
         })});
};

TEST_F(RemoteAgentsTest, TwoCallsAtOnceAreOneConversation) {
    const auto manager = testing::open_manager(testing::tiny_manager(home_.path()));
    ASSERT_NE(manager, nullptr);
    const auto ada = manager->create({.id = "ada"});
    ASSERT_TRUE(ada) << ada.error().message;
    const auto store = TeamStore::open(home_.path() / "team.db");
    ASSERT_TRUE(store) << store.error().message;
    RemoteAgents remotes({{.name = "legal", .url = server_->address() + "/agent"}}, **store);
    RunBudget budget(1min, 1'000'000, {});
    const RunLimits limits{};
    const RunSink sink;
    const auto ask = [&] {
        const ToolContext context{
            .agents = *manager, .agent = *ada, .chain = {}, .budget = budget, .limits = limits, .sink = sink, .stop = {}};
        const ToolOutcome outcome = remotes.ask(context, "legal", "Is it sound?", {});
        EXPECT_FALSE(outcome.failed) << outcome.text;
    };
    std::thread first(ask);
    std::thread second(ask);
    first.join();
    second.join();
    EXPECT_EQ(contexts_, (std::vector<std::string>{"c1", "c1"}));
}

}  // namespace
}  // namespace engram
