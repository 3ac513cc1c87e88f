// Workflow runs of a server that end otherwise than they should.
#include "server/workflow_host.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agents/testing_file_size_limit.h"
#include "agents/testing_manager.h"
#include "chat/bounded_json.h"
#include "http/testing/test_server.h"
#include "server/server.h"
#include "sqlite/database.h"

namespace engram {
namespace {

class WorkflowHostTest : public ::testing::Test {
  protected:
    void SetUp() override { start(); }
    void start() {
        ServeOptions options;
        options.manager = testing::tiny_manager(home_.path());
        options.port = 0;
        options.run = [this](AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
            while (never_answers_ && !stop.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
            auto result = Runner({}).run(agents, request, sink, std::move(stop));
            if (fills_disk_.exchange(false)) {
                full_.emplace(0);
                never_answers_ = never_answers_again_.load();
            }
            return result;
        };
        options.warn = [this](std::string_view sentence) {
            const std::scoped_lock lock(mutex_);
            warnings_.emplace_back(sentence);
        };
        auto server = Server::start(std::move(options));
        ASSERT_TRUE(server) << server.error().message;
        server_ = std::move(*server);
    }
    OrderedJson ask(const char *method, const std::string &target, int status, const OrderedJson &body = {}) {
        http::TestClient client(server_->port());
        const auto reply = client.ask(method, target, body.is_null() ? "" : body.dump(), "");
        EXPECT_TRUE(reply.has_value());
        if (!reply) return {};
        EXPECT_EQ(reply->status, status) << reply->body;
        return OrderedJson::parse(reply->body, nullptr, false);
    }
    void change_store(const std::string &sql) {
        auto database = sqlite::Database::open(home_.path() / "workflows.db");
        ASSERT_TRUE(database) << database.error().message;
        const auto done = database->execute(sql);
        ASSERT_TRUE(done) << done.error().message;
    }

    OrderedJson begin() {
        return ask("POST", "/v1/workflows", 202,
                   {{"definition",
                     "name: w\nagents: {ada: {system_prompt: You count.}}\n"
                     "nodes: {count: {agent: ada, prompt: Count., max_tokens: 2}}\n"}});
    }
    bool warned() {
        const std::scoped_lock lock(mutex_);
        return !warnings_.empty();
    }
    bool is_in(const std::string &target, const std::string &state) {
        return http::eventually([&] { return ask("GET", target, 200)["state"] == state; });
    }

    testing::TemporaryFolder home_;
    std::atomic<bool> fills_disk_ = false;  // the next run of an agent, when it has answered
    std::atomic<bool> never_answers_ = false, never_answers_again_ = false;
    std::optional<testing::FileSizeLimit> full_;
    std::mutex mutex_;
    std::vector<std::string> warnings_;  // guarded by mutex_
    std::unique_ptr<Server> server_;
};

TEST_F(WorkflowHostTest, ARunThatAnErrorEndedIsCancelledAtOnce) {
    change_store(
        "CREATE TRIGGER no_room BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'no room'); END;"
        "CREATE TRIGGER no_event BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no room'); END");
    const std::string target = "/v1/workflows/" + begin().value("id", "");
    ASSERT_TRUE(http::eventually([this] { return warned(); }));
    change_store("DROP TRIGGER no_room; DROP TRIGGER no_event");
    EXPECT_EQ(ask("GET", target, 200)["state"], "running");
    EXPECT_EQ(ask("POST", target + "/cancel", 202)["state"], "cancelled");
    EXPECT_EQ(ask("GET", target, 200)["state"], "cancelled");
}

// On a full disk: its agent has answered, and nothing can be written down.
TEST_F(WorkflowHostTest, ARunGoesOnWhenThereIsRoomAgain) {
    fills_disk_ = true;
    const std::string target = "/v1/workflows/" + begin().value("id", "");
    ASSERT_TRUE(http::eventually([this] { return warned(); }));
    EXPECT_EQ(ask("GET", target, 200)["state"], "running");
    full_.reset();
    EXPECT_TRUE(is_in(target, "finished"));
    EXPECT_EQ(ask("GET", "/v1/agents/ada/transcript", 200)["messages"].size(), 2U) << "it is asked once";
    EXPECT_EQ(ask("GET", "/v1/agents", 200)["agents"].size(), 1U) << "forks stay behind";
}

TEST_F(WorkflowHostTest, ARunThatWaitsForRoomIsCancelled) {
    fills_disk_ = never_answers_again_ = true;
    const std::string target = "/v1/workflows/" + begin().value("id", "");
    ASSERT_TRUE(http::eventually([this] { return warned(); }));
    ask("POST", target + "/cancel", 500);
    full_.reset();
    const OrderedJson asked = ask("POST", target + "/cancel", 202);
    EXPECT_TRUE(is_in(target, "cancelled")) << asked;
    EXPECT_EQ(ask("GET", "/v1/agents", 200)["agents"].size(), 1U) << "forks stay behind";
}

TEST_F(WorkflowHostTest, ARunWhoseDefinitionIsNoneAnyMoreHasFailed) {
    const std::string target = "/v1/workflows/" + begin().value("id", "");
    ASSERT_TRUE(is_in(target, "finished"));
    server_.reset();
    change_store("UPDATE runs SET state = 'running', definition = 'nodes: 1'");
    start();
    ASSERT_TRUE(is_in(target, "failed"));
    EXPECT_NE(ask("GET", target, 200)["error"].get<std::string>().find("nodes"), std::string::npos);
}

}  // namespace
}  // namespace engram
