// What Engram asks of other servers, asked of its own transport.
#include "http/fetch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <format>
#include <mutex>
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

    static Result<void> move(const HttpRequest &, HttpResponder &responder) {
        responder.send({.status = 307, .headers = {{"Location", "/echo"}}, .body = ""});
        return {};
    }

    static Result<void> long_headers(const HttpRequest &request, HttpResponder &responder) {
        HttpAnswer answer;
        for (int i = 0; i < std::stoi(std::string(request.parameter("count"))); ++i) {
            answer.headers.emplace_back(std::format("X-{}", i), std::string(64UZ << 10U, 'x'));
        }
        responder.send(answer);
        return {};
    }

    std::string url(std::string_view path) const { return std::format("http://127.0.0.1:{}{}", server_->port(), path); }

    std::unique_ptr<HttpServer> server_ =
        start_server({make_route("POST", "/echo", echo), make_route("DELETE", "/echo", echo), make_route("GET", "/echo", echo),
                      make_route("GET", "/count", count), make_route("GET", "/headers/{count}", long_headers),
                      make_route("POST", "/moved", move)});
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

// As many values of 64 KiB as the path says: those that fit, and with their names one too many.
TEST_F(FetchTest, HeadersOfAnAnswerAreBounded) {
    const auto with_headers = [&](std::size_t count) {
        return fetcher_.send({.method = "GET", .url = url(std::format("/headers/{}", count))}, {});
    };
    const auto three = with_headers(3);
    ASSERT_TRUE(three) << three.error().message;
    EXPECT_EQ(three->header("x-2").size(), 64UZ << 10U);
    const auto four = with_headers(4);
    ASSERT_FALSE(four);
    EXPECT_TRUE(four.error().message.contains(" sent more than ")) << four.error().message;
}

// A name that leads here is refused when it was looked up, and nothing comes here by a redirect.
TEST_F(FetchTest, AddressesOfOthersStayOnTheInternet) {
    const FetchRequest request{.url = url("/echo"), .body = "{}", .public_only = true};
    const auto refused = fetcher_.send(request, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
    std::array<char, 256> name{};
    ASSERT_EQ(gethostname(name.data(), name.size() - 1), 0);
    const FetchRequest by_name{
        .url = std::format("http://{}:{}/echo", name.data(), server_->port()), .body = "{}", .public_only = true};
    const auto looked_up = fetcher_.send(by_name, {});
    ASSERT_FALSE(looked_up) << "this machine's own name";
    EXPECT_EQ(fetcher_.send({.url = url("/moved")}, {})->status, 307) << "a redirect is a reply";
}

TEST(Responder, OffersTakeAllOrNothing) {
    std::mutex mutex;
    HttpResponder kept;
    const auto stream = [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
        responder.start(200, {{"content-type", "text/event-stream"}});
        const std::scoped_lock lock(mutex);
        kept = std::move(responder);
        return {};
    };
    const auto server = start_server({make_route("GET", "/", stream)});
    ASSERT_NE(server, nullptr);
    TestClient client(server->port(), 4096);
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ASSERT_TRUE(client.receive_until("event-stream"));
    ASSERT_TRUE(eventually([&] {
        const std::scoped_lock lock(mutex);
        return kept.status() == 200;
    }));
    const std::string piece(64UZ << 10U, 'x');
    std::size_t taken = 0;
    while (kept.offer(piece)) ++taken;  // until the client, who doesn't read, is behind: no write waits
    EXPECT_GE(taken, 1U);
    EXPECT_FALSE(kept.gone());
    client.leave_hard();
    EXPECT_TRUE(eventually([&] { return kept.gone(); }));
    EXPECT_FALSE(kept.offer("more"));
}

}  // namespace
}  // namespace engram::http
