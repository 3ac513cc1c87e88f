// Workflow runs of a server that end otherwise than they should.
#include "server/workflow_host.h"

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agents/testing_manager.h"
#include "chat/bounded_json.h"
#include "http/testing/test_server.h"
#include "server/server.h"
#include "sqlite/database.h"

namespace engram {
namespace {

class WorkflowHostTest : public ::testing::Test {
  protected:
    void SetUp() override {
        ServeOptions options;
        options.manager = testing::tiny_manager(home_.path());
        options.port = 0;
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

    testing::TemporaryFolder home_;
    std::mutex mutex_;
    std::vector<std::string> warnings_;  // guarded by mutex_
    std::unique_ptr<Server> server_;
};

TEST_F(WorkflowHostTest, ARunThatAnErrorEndedIsCancelledAtOnce) {
    change_store(
        "CREATE TRIGGER no_room BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'no room'); END;"
        "CREATE TRIGGER no_event BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no room'); END");
    const OrderedJson begun = ask("POST", "/v1/workflows", 202,
                                  {{"definition",
                                    "name: w\nagents: {ada: {system_prompt: You count.}}\n"
                                    "nodes: {count: {agent: ada, prompt: Count., max_tokens: 2}}\n"}});
    const std::string target = "/v1/workflows/" + begun.value("id", "");
    ASSERT_TRUE(http::eventually([this] {
        const std::scoped_lock lock(mutex_);
        return !warnings_.empty();
    }));
    change_store("DROP TRIGGER no_room; DROP TRIGGER no_event");
    EXPECT_EQ(ask("GET", target, 200)["state"], "running");
    EXPECT_EQ(ask("POST", target + "/cancel", 202)["state"], "cancelled");
    EXPECT_EQ(ask("GET", target, 200)["state"], "cancelled");
}

}  // namespace
}  // namespace engram
