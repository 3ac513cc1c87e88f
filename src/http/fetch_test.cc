// What Engram asks of other servers, asked of its own transport.
#include "http/fetch.h"

#include <gtest/gtest.h>

#include <format>
#include <thread>

#include "http/testing/test_server.h"

namespace engram::http {
namespace {

class FetchTest : public ::testing::Test {
  protected:
    static Result<void> echo(const HttpRequest &request, HttpResponder &responder) {
        responder.send({.status = 200 + static_cast<int>(request.body.size() % 2),
                        .headers = {{"Content-Type", "text/plain"}, {"X-Token", std::string(request.header("X-Token"))}},
                        .body = request.method + " " + request.body});
        return {};
    }
    static Result<void> count(const HttpRequest &, HttpResponder &responder) {
        responder.start(200, {{"Content-Type", "text/event-stream"}});
        for (int i = 0; responder.write(std::format("{} ", i)); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return {};
    }

    std::string url(std::string_view path) const { return std::format("http://127.0.0.1:{}{}", server_->port(), path); }

    std::unique_ptr<HttpServer> server_ = start_server({make_route("POST", "/echo", echo), make_route("DELETE", "/echo", echo),
                                                        make_route("GET", "/echo", echo), make_route("GET", "/count", count)});
    Fetcher fetcher_ = *Fetcher::create();
};

TEST_F(FetchTest, SendsAndReceives) {
    const auto reply = fetcher_.send({.url = url("/echo"), .headers = {{"X-Token", "t1"}}, .body = "odd"}, {});
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->status, 201);
    EXPECT_EQ(reply->body, "POST odd");
    EXPECT_EQ(reply->header("x-token"), "t1");
    EXPECT_EQ(reply->header("content-type"), "text/plain");
    EXPECT_EQ(fetcher_.send({.method = "DELETE", .url = url("/echo")}, {})->body, "DELETE ");
    EXPECT_EQ(fetcher_.send({.method = "GET", .url = url("/echo")}, {})->body, "GET ");
    EXPECT_EQ(fetcher_.send({.url = url("/nowhere")}, {})->status, 404) << "a status that says no is a reply";
    EXPECT_EQ(fetcher_.send({.url = url("/echo"), .headers = {{"X-Token", "a\r\nX-Token: b"}}}, {})->header("x-token"), "")
        << "a value can't bring another header";
}

TEST_F(FetchTest, GivesABodyAwayAsItComes) {
    std::string taken;
    const auto reply =
        fetcher_.send({.method = "GET", .url = url("/count")}, {}, [&](const FetchReply &head, std::string_view piece) {
            EXPECT_EQ(head.status, 200);
            EXPECT_EQ(head.header("content-type"), "text/event-stream");
            taken += piece;
            return !taken.contains(" 7 ");
        });
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_TRUE(taken.starts_with("0 1 2 3 "));
    EXPECT_EQ(reply->body, "");
    EXPECT_EQ(fetcher_.send({.url = url("/echo"), .body = "x"}, {})->body, "POST x") << "the next request isn't troubled";
}

TEST_F(FetchTest, EndsWhenItShould) {
    const auto endless = [&](FetchRequest request, const std::stop_token &stop) {
        request.method = "GET";
        request.url = url("/count");
        const auto reply = fetcher_.send(request, stop);
        return reply ? "" : std::format("{} {}", error_code_name(reply.error().code), reply.error().message);
    };
    std::stop_source stop;
    std::jthread later([&] { stop.request_stop(); });
    EXPECT_TRUE(endless({}, stop.get_token()).starts_with("cancelled "));
    EXPECT_TRUE(endless({.timeout = std::chrono::milliseconds(50)}, {}).contains("could not be reached: Operation timed out"));
    EXPECT_TRUE(endless({.max_reply_bytes = 100}, {}).contains(" sent more than "));
    EXPECT_EQ(fetcher_.send({.url = "file:///etc/hostname"}, {}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(fetcher_.send({.url = "http://127.0.0.1:1/"}, {}).error().code, ErrorCode::io);
}

}  // namespace
}  // namespace engram::http
