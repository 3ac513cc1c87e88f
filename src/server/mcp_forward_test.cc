// A client on a pair of pipes whose messages go to a server over HTTP, which may not be there all the time.
#include "server/mcp_forward.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agents/testing_manager.h"
#include "http/testing/test_server.h"
#include "server/server.h"
#include "server/testing/json_pipes.h"

namespace engram {
namespace {

using namespace std::chrono_literals;

class McpForwardTest : public ::testing::Test, protected testing::JsonPipes {
  protected:
    void TearDown() override {
        stop_.request_stop();
        if (forward_.joinable()) forward_.join();
    }
    void serve(std::uint16_t port) {
        ServeOptions options;
        options.manager = testing::tiny_manager(home_.path());
        options.port = port;
        auto server = Server::start(std::move(options));
        ASSERT_TRUE(server) << server.error().message;
        server_ = std::move(*server);
    }
    void forward_to(const std::string &url) {
        forward_ = std::thread([this, url] {
            const McpForwardOptions options{.url = url, .key = "", .in = in_[0], .out = out_[1]};
            const auto done = forward_mcp_stdio(options, stop_.get_token());
            EXPECT_TRUE(done) << done.error().message;
        });
    }
    static OrderedJson initialize() {
        return request(1, "initialize", {{"protocolVersion", "2025-11-25"}, {"capabilities", OrderedJson::object()}});
    }
    static OrderedJson initialized() { return {{"jsonrpc", "2.0"}, {"method", "notifications/initialized"}}; }

    testing::TemporaryFolder home_;
    std::unique_ptr<Server> server_;
    std::stop_source stop_;
    std::thread forward_;
};

TEST_F(McpForwardTest, AServerThatWasStartedAgainIsGoneOnWith) {
    serve(0);
    const std::uint16_t port = server_->port();
    forward_to(server_->address() + "/mcp");
    say(initialize());
    EXPECT_EQ(hear()["result"]["protocolVersion"], "2025-11-25");
    say(initialized());
    say(request(2, "tools/list"));
    EXPECT_EQ(hear()["result"]["tools"].size(), 6U);
    ASSERT_TRUE(server_->stop(0ms));
    server_.reset();
    serve(port);
    for (const int id : {3, 4}) {
        say(request(id, "tools/list"));
        const OrderedJson answer = hear();
        EXPECT_EQ(answer["id"], id);
        EXPECT_EQ(answer["result"]["tools"].size(), 6U) << answer;
    }
}

TEST_F(McpForwardTest, NothingOvertakesANotification) {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> methods;
    const auto server =
        http::start_server({http::make_route("POST", "/mcp", [&](const http::HttpRequest &asked, http::HttpResponder &responder) {
            const OrderedJson message = OrderedJson::parse(asked.body);
            const std::string method = message["method"];
            std::unique_lock lock(mutex);
            if (method == "notifications/initialized") {  // slow: what comes behind it has time to overtake it
                changed.wait_for(lock, 300ms, [&] { return methods.size() > 1; });
            }
            methods.push_back(method);
            changed.notify_all();
            lock.unlock();
            if (!message.contains("id")) {
                responder.send({.status = 202, .headers = {}, .body = ""});
                return Result<void>{};
            }
            const OrderedJson result{{"protocolVersion", "2025-11-25"}};
            const OrderedJson answer{{"jsonrpc", "2.0"}, {"id", message["id"]}, {"result", result}};
            responder.send({.status = 200,
                            .headers = {{"content-type", "application/json"}, {"mcp-session-id", "s1"}},
                            .body = answer.dump()});
            return Result<void>{};
        })});
    forward_to(server->address() + "/mcp");
    say(initialize());
    hear();
    say(initialized());
    say(request(2, "tools/list"));
    EXPECT_EQ(hear()["id"], 2);
    {
        const std::scoped_lock lock(mutex);
        EXPECT_EQ(methods, (std::vector<std::string>{"initialize", "notifications/initialized", "tools/list"}));
    }
    stop_.request_stop();
    forward_.join();
}

}  // namespace
}  // namespace engram
