// What a running server refuses because it is too much.
#include <gtest/gtest.h>

#include <cstdint>
#include <format>
#include <memory>
#include <string>
#include <vector>

#include "chat/bounded_json.h"
#include "engine/testing/tiny_models.h"
#include "http/testing/client.h"
#include "server/mcp_session.h"
#include "server/server.h"

namespace engram {
namespace {

class ServerLimitsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        ServeOptions options;
        options.manager.home = home_.path();
        options.manager.model = testing::tiny_options("tiny-llama", 2048);
        options.manager.model.max_running = 1;
        options.max_waiting = 1;
        options.port = 0;
        auto server = Server::start(std::move(options));
        ASSERT_TRUE(server) << server.error().message;
        server_ = std::move(*server);
    }
    http::Reply ask(const char *target, const OrderedJson &body) {
        http::TestClient client(server_->port());
        return client.ask("POST", target, body.dump()).value_or(http::Reply{});
    }

    testing::TemporaryFolder home_;
    std::unique_ptr<Server> server_;
};

// One runs, one waits, and the third is told to come back. Those two have prompts for far longer than that takes.
TEST_F(ServerLimitsTest, SoManyRequestsWaitForTheModel) {
    const OrderedJson one = {{"prompt", "a"}, {"max_tokens", 1}};
    EXPECT_EQ(ask("/v1/completions", one).status, 200);
    const OrderedJson many = {{"prompt", std::vector<std::string>(1000, "a")}, {"max_tokens", 50}, {"stream", true}};
    const std::string body = many.dump();
    const std::string request =
        std::format("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", body.size(), body);
    http::TestClient first(server_->port()), second(server_->port());
    for (http::TestClient *client : {&first, &second}) {
        ASSERT_TRUE(client->send(request));
        ASSERT_TRUE(client->receive_until("data:")) << "it has its place, and answers in turns with the other one";
    }
    const http::Reply third = ask("/v1/completions", one);
    EXPECT_EQ(third.status, 429) << third.body;
    EXPECT_FALSE(third.header("retry-after").empty());
    EXPECT_TRUE(third.body.contains("2 requests run or wait already")) << third.body;
}

TEST_F(ServerLimitsTest, ABatchHasSoManyTurns) {
    const auto batch_of = [&](std::size_t turns) {
        OrderedJson body = {{"turns", OrderedJson::array()}};
        for (std::size_t i = 0; i < turns; ++i) body["turns"].push_back({{"agent", std::format("nobody{}", i)}, {"prompt", "a"}});
        return ask("/v1/agents/batch", body);
    };
    const http::Reply most = batch_of(256);
    EXPECT_EQ(most.status, 200) << most.body;
    const http::Reply more = batch_of(257);
    EXPECT_EQ(more.status, 400);
    EXPECT_TRUE(more.body.contains("turns: must have at most 256 elements")) << more.body;
}

TEST(McpSessionTest, HasSoManyRequestsUnderWayAndSubscriptions) {
    server::McpSession session;
    std::vector<std::unique_ptr<server::McpSession::Under>> under;
    for (std::int64_t id = 0; id < 256; ++id) {
        under.push_back(session.begin(id, {}));
        ASSERT_NE(under.back(), nullptr) << id;
    }
    EXPECT_EQ(session.begin(256, {}), nullptr);
    under.pop_back();
    EXPECT_NE(session.begin(256, {}), nullptr) << "one has ended";
    for (int i = 0; i < 1024; ++i) ASSERT_TRUE(session.subscribe(std::format("engram://agents/a{}", i)));
    EXPECT_FALSE(session.subscribe("engram://agents/one-more"));
    EXPECT_TRUE(session.subscribe("engram://agents/a0")) << "it is one of them";
}

}  // namespace
}  // namespace engram
