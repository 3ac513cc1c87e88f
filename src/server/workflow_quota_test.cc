// Workflows of a running server: they keep to the quotas of their tenants, and wait for approvals.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <format>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "chat/bounded_json.h"
#include "engine/testing/tiny_models.h"
#include "engram/teams.h"
#include "http/testing/client.h"
#include "ports/clock.h"
#include "server/server.h"
#include "teams/testing_runs.h"
#include "tenants/tenants.h"

namespace engram::server {
namespace {

using namespace std::chrono_literals;

const std::string kOneTurn = "name: w\nagents: {x: {}}\nnodes: {a: {agent: x, prompt: hi, memory: fork, max_tokens: 4}}\n";

class WorkflowQuotaTest : public ::testing::Test {
  protected:
    void SetUp() override {
        for (const char *tenant : {"red", "blue"}) give_key(tenant);
    }
    void give_key(const std::string &tenant) {
        limit(tenant, [](Quota &quota) { quota = {}; });
        const auto key = store().create_key({.tenant = tenant, .label = {}, .scopes = Scopes::parse("chat,agents").value()},
                                            system_clock().wall_ms());
        ASSERT_TRUE(key) << key.error().message;
        keys_[tenant] = key->text;
    }
    TenantStore store() const { return TenantStore::open(tenants_path(home_.path())).value(); }
    void limit(const std::string &tenant, const std::function<void(Quota &)> &change) {
        EXPECT_TRUE(store().set_tenant(tenant, change, system_clock().wall_ms()));
    }

    void start(RunAgent run = {}) {
        ServeOptions options;
        options.manager.home = home_.path();
        options.manager.model = testing::tiny_options("tiny-llama", 2048);
        options.manager.storage.block_tokens = 32;
        options.port = 0;
        options.run = std::move(run);
        auto server = Server::start(std::move(options));
        ASSERT_TRUE(server) << server.error().message;
        server_ = std::move(*server);
    }

    struct Answer {
        int status = 0;
        std::string text;
        OrderedJson json;
    };
    Answer ask(const std::string &who, const char *method, const std::string &target, const OrderedJson &body = {}) {
        http::TestClient client(server_->port());
        const auto reply =
            client.ask(method, target, body.is_null() ? "" : body.dump(), std::format("x-api-key: {}\r\n", keys_.at(who)));
        EXPECT_TRUE(reply.has_value());
        if (!reply) return {};
        return {.status = reply->status, .text = reply->body, .json = OrderedJson::parse(reply->body, nullptr, false)};
    }
    Answer begin(const std::string &who, const std::string &definition, bool stream = false) {
        return ask(who, "POST", "/v1/workflows", {{"definition", definition}, {"stream", stream}});
    }
    OrderedJson state_of_last(const std::string &who) { return ask(who, "GET", "/v1/workflows").json["runs"][0]["state"]; }
    std::size_t agents(const std::string &who) { return ask(who, "GET", "/v1/agents").json["agents"].size(); }

    testing::TemporaryFolder home_;
    std::map<std::string, std::string> keys_;
    std::mutex mutex_;  // for what a test counts
    std::condition_variable_any changed_;
    std::size_t now_ = 0, most_ = 0;
    std::unique_ptr<Server> server_;  // last: its runs use the others
};

TEST_F(WorkflowQuotaTest, AllAgentsOfADefinitionMustFit) {
    limit("red", [](Quota &quota) { quota.agents = 2; });
    start();
    const std::string nodes = "nodes: {n: {text: x}}\n";
    const Answer refused = begin("red", "name: w\nagents: {a: {}, b: {}, c: {}, d: {}, e: {}}\n" + nodes);
    EXPECT_EQ(refused.status, 507) << refused.text;
    EXPECT_TRUE(refused.text.contains("tenant red has 0 of 2 agents and can't have 5 more")) << refused.text;
    EXPECT_EQ(agents("red"), 0U);
    EXPECT_TRUE(ask("red", "GET", "/v1/workflows").json["runs"].empty()) << "nothing has begun";
    const std::string two = "name: w\nagents: {a: {}, b: {}}\n" + nodes;
    EXPECT_EQ(begin("red", two, true).status, 200);
    EXPECT_EQ(state_of_last("red"), "finished");
    EXPECT_EQ(agents("red"), 2U);
    EXPECT_EQ(begin("red", two).status, 202) << "those that are there aren't made";
}

TEST_F(WorkflowQuotaTest, TurnsWaitForTheirTenantsRoom) {
    limit("red", [](Quota &quota) { quota.concurrent_requests = 1; });
    start([this](AgentManager &manager, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
        {
            std::unique_lock lock(mutex_);
            most_ = std::max(most_, ++now_);
            changed_.notify_all();
            changed_.wait_for(lock, 300ms, [this] { return most_ > 1; });  // the other branch has the time to come, too
        }
        auto done = Runner({}).run(manager, request, sink, std::move(stop));
        const std::scoped_lock lock(mutex_);
        --now_;
        return done;
    });
    const std::string two =
        "name: w\nagents: {x: {}, y: {}}\nnodes:\n"
        "  a: {agent: x, prompt: hi, max_tokens: 4}\n  b: {agent: y, prompt: hi, max_tokens: 4}\n";
    // The client that listens doesn't take the one place either.
    const Answer ended = begin("red", two, true);
    EXPECT_EQ(ended.status, 200) << ended.text;
    EXPECT_EQ(state_of_last("red"), "finished") << ended.text;
    const std::scoped_lock lock(mutex_);
    EXPECT_EQ(most_, 1U);
}

TEST_F(WorkflowQuotaTest, OneTenantsRunsLeaveRoomForAnothers) {
    start([this](AgentManager &, const RunRequest &, const RunSink &, const std::stop_token &stop) -> Result<RunResult> {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, stop, [] { return false; });  // until the server ends
        return RunResult{.end = RunEnd::cancelled};
    });
    Answer last;
    for (int run = 0; run < 16; ++run) {
        last = begin("red", kOneTurn);
        ASSERT_EQ(last.status, 202) << run << ": " << last.text;
    }
    const Answer refused = begin("red", kOneTurn);
    EXPECT_EQ(refused.status, 429) << refused.text;
    EXPECT_TRUE(refused.text.contains("tenant red has 16 workflows running already")) << refused.text;
    EXPECT_EQ(begin("blue", kOneTurn).status, 202);
    const std::string one = "/v1/workflows/" + last.json["id"].get<std::string>();
    EXPECT_EQ(ask("red", "POST", one + "/cancel").status, 202);
    for (int tries = 0; tries < 500 && ask("red", "GET", one).json["state"] != "cancelled"; ++tries)
        std::this_thread::sleep_for(20ms);
    Answer next = begin("red", kOneTurn);
    for (int tries = 0; tries < 500 && next.status == 429; ++tries) {  // until its thread has gone
        std::this_thread::sleep_for(20ms);
        next = begin("red", kOneTurn);
    }
    EXPECT_EQ(next.status, 202) << "one has ended: " << next.text;
}

TEST_F(WorkflowQuotaTest, SoManyRunAtATime) {
    const auto tenant = [](int i) { return std::format("t{}", i); };
    for (int i = 0; i < 17; ++i) give_key(tenant(i));
    start([this](AgentManager &, const RunRequest &, const RunSink &, const std::stop_token &stop) -> Result<RunResult> {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, stop, [] { return false; });  // until the server ends
        return RunResult{.end = RunEnd::cancelled};
    });
    for (int run = 0; run < 256; ++run) ASSERT_EQ(begin(tenant(run / 16), kOneTurn).status, 202) << run;
    const Answer refused = begin(tenant(16), kOneTurn);
    EXPECT_EQ(refused.status, 429) << refused.text;
    EXPECT_TRUE(refused.text.contains("256 workflows are running already: try again when one has ended")) << refused.text;
}

// A tool that a person must allow.
class Stamp final : public ToolSource {
  public:
    std::vector<ChatTool> tools(const AgentManager &, const AgentInfo &) override {
        return {{.name = "stamp", .description = "Stamps a letter", .parameters = R"({"type":"object","properties":{}})"}};
    }
    bool needs_approval(const AgentInfo &, std::string_view) const override { return true; }
    ToolOutcome call(const ToolContext &, const ChatToolCall &) override { return {.text = "stamped"}; }
};

using WorkflowApprovalTest = WorkflowQuotaTest;

TEST_F(WorkflowApprovalTest, ARunGoesOnWhenAPersonHasDecided) {
    Stamp stamp;
    Runner runner({&stamp});
    start([&](AgentManager &manager, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
        RunRequest asked = request;
        asked.max_tokens = 200;
        asked.sampling.grammar = request.approvals.empty() ? testing::calling({R"({"name": "stamp", "arguments": {}})"})
                                                           : testing::saying("It is stamped.");
        return runner.run(manager, asked, sink, std::move(stop));
    });
    EXPECT_EQ(begin("red", kOneTurn, true).status, 200);  // until it waits
    EXPECT_EQ(state_of_last("red"), "waiting");
    const std::string id = ask("red", "GET", "/v1/workflows").json["runs"][0]["id"].get<std::string>();
    const std::string one = "/v1/workflows/" + id;
    Answer run = ask("red", "GET", one);
    EXPECT_EQ(run.json["steps"][0]["calls"][0]["name"], "stamp") << run.text;
    EXPECT_EQ(ask("blue", "POST", one + "/approve", {{"node", "a"}, {"allow", true}}).status, 404);
    EXPECT_EQ(ask("red", "POST", one + "/approve", {{"node", "b"}, {"allow", true}}).status, 400);
    EXPECT_EQ(ask("red", "POST", one + "/approve", {{"node", "a"}, {"allow", true}}).status, 202);
    for (int tries = 0; tries < 500 && run.json["state"] != "finished"; ++tries) {
        std::this_thread::sleep_for(20ms);
        run = ask("red", "GET", one);
    }
    EXPECT_EQ(run.json["steps"][0]["text"], "It is stamped.") << run.text;
    server_.reset();  // before what its runs use
}

}  // namespace
}  // namespace engram::server
