#include "http/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <mutex>
#include <nlohmann/json.hpp>
#include <semaphore>
#include <stdexcept>
#include <thread>

#include "http/testing/client.h"
#include "http/testing/test_server.h"

namespace engram::http {
namespace {

using namespace std::chrono_literals;

HttpHandler echo() {
    return [](const HttpRequest &request, HttpResponder &responder) -> Result<void> {
        responder.send({.headers = {{"Content-Type", "text/plain"}, {"X-Method", request.method}}, .body = request.body});
        return {};
    };
}

HttpHandler stream(std::vector<std::string> pieces) {
    return [pieces = std::move(pieces)](const HttpRequest &, HttpResponder &responder) -> Result<void> {
        responder.start(200, {{"Content-Type", "text/event-stream"}});
        for (const std::string &piece : pieces) responder.write(piece);
        responder.end();
        return {};
    };
}

// --- answers -------------------------------------------------------------------------------------------------------------

TEST(HttpServer, AnswersSeveralRequestsOnOneConnection) {
    const auto server = start_server({make_route("POST", "/echo", echo())});
    TestClient client(server->port());
    for (const std::string body : {"one", "", "three"}) {
        const auto reply = client.ask("POST", "/echo", body);
        ASSERT_TRUE(reply);
        EXPECT_EQ(reply->status, 200);
        EXPECT_EQ(reply->body, body);
        EXPECT_EQ(reply->header("content-type"), "text/plain");
        EXPECT_EQ(reply->header("content-length"), std::to_string(body.size()));
        EXPECT_FALSE(reply->header("date").empty());
    }
    EXPECT_EQ(server->counts().connections, 1);
}

TEST(HttpServer, GivesHandlersWhatWasSent) {
    std::promise<HttpRequest> seen;
    const auto server = start_server({make_route("PUT", "/v1/agents/{id}/notes/{note}",
                                                 [&](const HttpRequest &request, HttpResponder &responder) -> Result<void> {
                                                     seen.set_value(request);
                                                     responder.send({.status = 201});
                                                     return {};
                                                 })});
    TestClient client(server->port());
    const auto reply =
        client.ask("PUT", "/v1/agents/caf%C3%A9/notes/a%2Fb?q=1+2&q=3&flag", "text", "X-One: first\r\nx-one: second\r\n");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 201);
    const HttpRequest request = seen.get_future().get();
    EXPECT_EQ(request.method, "PUT");
    EXPECT_EQ(request.path, "/v1/agents/caf%C3%A9/notes/a%2Fb");
    EXPECT_EQ(request.route, "/v1/agents/{id}/notes/{note}");
    EXPECT_EQ(request.parameter("id"), "caf\xC3\xA9");
    EXPECT_EQ(request.parameter("note"), "a/b");
    EXPECT_EQ(request.parameter("other"), "");
    EXPECT_EQ(request.query_value("q"), "1 2");
    EXPECT_EQ(request.query_value("flag"), "");
    EXPECT_FALSE(request.query_value("none"));
    EXPECT_EQ(request.header("X-ONE"), "first");
    EXPECT_EQ(request.body, "text");
    EXPECT_TRUE(request.peer.starts_with("127.0.0.1:"));
}

TEST(HttpServer, ListsItsRoutes) {
    const auto server = start_server({make_route("GET", "/a/{x}", echo()), make_route("POST", "/a/{x}", echo())});
    const std::vector<std::pair<std::string, std::string>> expected = {{"GET", "/a/{x}"}, {"POST", "/a/{x}"}};
    EXPECT_EQ(server->routes(), expected);
}

TEST(HttpServer, StreamsPieceByPiece) {
    std::binary_semaphore go_on{0};
    const auto server = start_server({make_route("GET", "/s", [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
        EXPECT_TRUE(responder.start(200, {{"Content-Type", "text/event-stream"}}));
        EXPECT_FALSE(responder.send({})) << "the answer has begun already";
        EXPECT_TRUE(responder.write("data: one\n\n"));
        go_on.acquire();  // the first piece must arrive while the second one isn't there
        EXPECT_TRUE(responder.write("data: two\n\n"));
        EXPECT_TRUE(responder.end());
        EXPECT_FALSE(responder.write("late"));
        return {};
    })});
    TestClient client(server->port());
    ASSERT_TRUE(client.send("GET /s HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    ASSERT_TRUE(client.receive_until("data: one\n\n"));
    go_on.release();
    const auto reply = client.receive();
    ASSERT_TRUE(reply);
    EXPECT_TRUE(reply->whole);
    EXPECT_EQ(reply->body, "data: one\n\ndata: two\n\n");
    EXPECT_EQ(reply->header("content-length"), "");
}

TEST(HttpServer, StreamsToClientsThatWantTheConnectionClosed) {
    const auto server = start_server({make_route("GET", "/s", stream({"one ", "two"}))});
    TestClient closing(server->port());
    const auto reply = closing.ask("GET", "/s", "", "Connection: close\r\n");
    ASSERT_TRUE(reply);
    EXPECT_TRUE(reply->whole);
    EXPECT_EQ(reply->body, "one two");
    EXPECT_EQ(reply->header("connection"), "close");
    EXPECT_TRUE(closing.closed());

    TestClient old(server->port());
    ASSERT_TRUE(old.send("GET /s HTTP/1.0\r\n\r\n"));
    const auto old_reply = old.receive();
    ASSERT_TRUE(old_reply);
    EXPECT_EQ(old_reply->header("transfer-encoding"), "");
    EXPECT_EQ(old_reply->body, "one two");
}

TEST(HttpServer, PutsLongPiecesThroughWhole) {
    std::string text;
    for (int i = 0; text.size() < 3'000'000; i++) text += std::format("{} ", i);
    const auto server = start_server({make_route("GET", "/s", stream({text, "", "end"})), make_route("POST", "/echo", echo())});
    TestClient client(server->port());
    const auto streamed = client.ask("GET", "/s");
    ASSERT_TRUE(streamed && streamed->whole);
    EXPECT_TRUE(streamed->body == text + "end");
    const auto whole = client.ask("POST", "/echo", text);
    ASSERT_TRUE(whole && whole->whole);
    EXPECT_TRUE(whole->body == text);
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
    const auto server = start_server({make_route("GET", "/n/{n}",
                                                 [](const HttpRequest &request, HttpResponder &responder) -> Result<void> {
                                                     responder.send({.body = std::string(request.parameter("n"))});
                                                     return {};
                                                 }),
                                      make_route("GET", "/s", stream({"stream"}))});
    TestClient client(server->port());
    std::string requests;
    for (int i = 0; i < 100; i++) {
        requests += std::format("GET /n/{} HTTP/1.1\r\nHost: localhost\r\n\r\nGET /s HTTP/1.1\r\nHost: localhost\r\n\r\n", i);
    }
    ASSERT_TRUE(client.send(requests));
    for (int i = 0; i < 100; i++) {
        const auto number = client.receive();
        ASSERT_TRUE(number);
        EXPECT_EQ(number->body, std::to_string(i));
        const auto streamed = client.receive();
        ASSERT_TRUE(streamed);
        EXPECT_EQ(streamed->body, "stream");
    }
}

TEST(HttpServer, TakesChunkedBodiesAndThoseThatWaitToBeAskedFor) {
    const auto server = start_server({make_route("POST", "/echo", echo())});
    TestClient client(server->port());
    ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"));
    ASSERT_TRUE(client.send("4;name=value\r\nWiki\r\n"));
    ASSERT_TRUE(client.send("5\r\npe"));
    ASSERT_TRUE(client.send("dia\r\n0\r\nTrailer: x\r\n\r\n"));
    const auto chunked = client.receive();
    ASSERT_TRUE(chunked);
    EXPECT_EQ(chunked->body, "Wikipedia");

    ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"));
    const auto asked = client.receive(true);
    ASSERT_TRUE(asked);
    EXPECT_EQ(asked->status, 100);
    ASSERT_TRUE(client.send("body"));
    const auto reply = client.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->body, "body");
}

TEST(HttpServer, AnswersHeadAndOptions) {
    const auto server = start_server({make_route("GET", "/a", echo()), make_route("GET", "/fixed", answer_with("12345")),
                                      make_route("DELETE", "/a", echo()), make_route("GET", "/s", stream({"x"}))});
    TestClient client(server->port());
    const auto head = client.ask("HEAD", "/fixed");
    ASSERT_TRUE(head);
    EXPECT_EQ(head->status, 200);
    EXPECT_EQ(head->header("content-length"), "5");
    EXPECT_EQ(client.ask("HEAD", "/a")->header("x-method"), "HEAD");
    EXPECT_EQ(client.ask("HEAD", "/s")->header("content-type"), "text/event-stream");
    const auto options = client.ask("OPTIONS", "/a");
    ASSERT_TRUE(options);
    EXPECT_EQ(options->status, 204);
    EXPECT_EQ(options->header("allow"), "DELETE, GET, HEAD, OPTIONS");
    EXPECT_EQ(client.ask("OPTIONS", "*")->status, 204);
    EXPECT_EQ(client.ask("OPTIONS", "/nowhere")->status, 404);
}

TEST(HttpServer, KeepsSaneRequestIdsAndMakesOthers) {
    const auto server =
        start_server({make_route("GET", "/id", [](const HttpRequest &request, HttpResponder &responder) -> Result<void> {
            responder.send({.headers = {{"X-Request-Id", "not the handler's business"}}, .body = request.id});
            return {};
        })});
    TestClient client(server->port());
    const auto kept = client.ask("GET", "/id", "", "X-Request-Id: trace-7.a_B\r\n");
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->body, "trace-7.a_B");
    EXPECT_EQ(kept->header("x-request-id"), "trace-7.a_B");
    std::string last;
    for (const std::string &header : {std::string("X-Request-Id: a b\r\n"), "X-Request-Id: " + std::string(129, 'a') + "\r\n",
                                      std::string("X-Request-Id: \"}\r\n"), std::string()}) {
        const auto made = client.ask("GET", "/id", "", header);
        ASSERT_TRUE(made);
        EXPECT_EQ(made->body.size(), 32) << made->body;
        EXPECT_EQ(made->header("x-request-id"), made->body);
        EXPECT_NE(made->body, last);
        last = made->body;
    }
}

TEST(HttpServer, KeepsLineEndsOutOfHeaders) {
    const auto server = start_server({make_route("GET", "/a", [](const HttpRequest &, HttpResponder &responder) -> Result<void> {
        responder.send({.headers = {{"X-Text", "one\r\nX-Evil: two"}}});
        return {};
    })});
    TestClient client(server->port());
    const auto reply = client.ask("GET", "/a");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->header("x-evil"), "");
}

// --- handlers ------------------------------------------------------------------------------------------------------------

TEST(HttpServer, SaysInTheCallersWordsWhenAHandlerFails) {
    const auto server = start_server({
        make_route("GET", "/error",
                   [](const HttpRequest &, HttpResponder &) -> Result<void> { return fail(ErrorCode::io, "no disk"); }),
        make_route("GET", "/b/throws",
                   [](const HttpRequest &, HttpResponder &) -> Result<void> { throw std::runtime_error("no luck"); }),
        make_route("GET", "/silent", [](const HttpRequest &, HttpResponder &) -> Result<void> { return {}; }),
        make_route("GET", "/late",
                   [](const HttpRequest &, HttpResponder &responder) -> Result<void> {
                       responder.send({.body = "fine"});
                       return fail(ErrorCode::io, "after the answer");
                   }),
    });
    TestClient client(server->port());
    const auto error = client.ask("GET", "/error");
    ASSERT_TRUE(error);
    EXPECT_EQ(error->status, 500);
    EXPECT_EQ(error->body, "A 6 /error: no disk");
    EXPECT_EQ(error->header("content-type"), "application/x-test");
    EXPECT_EQ(client.ask("GET", "/b/throws")->body, "B 6 /b/throws: no luck");
    EXPECT_EQ(client.ask("GET", "/silent")->body, "A 6 /silent: the handler gave no answer");
    EXPECT_EQ(client.ask("GET", "/late")->body, "fine");
}

TEST(HttpServer, CutsAStreamThatItsHandlerDoesntEnd) {
    std::mutex mutex;
    std::vector<std::string> lines;
    HttpServerOptions options;
    options.log = [&](std::string_view line) {
        const std::lock_guard lock(mutex);
        lines.emplace_back(line);
    };
    const auto server = start_server({make_route("GET", "/s",
                                                 [](const HttpRequest &, HttpResponder &responder) -> Result<void> {
                                                     responder.start(200, {});
                                                     responder.write("half of it");
                                                     return fail(ErrorCode::engine, "broken");
                                                 })},
                                     std::move(options));
    TestClient client(server->port());
    const auto reply = client.ask("GET", "/s");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 200);
    EXPECT_FALSE(reply->whole);
    server->stop(0ms);
    ASSERT_EQ(lines.size(), 1);
    EXPECT_EQ(nlohmann::json::parse(lines[0])["cut"], true);
}

TEST(HttpServer, LetsAnswersComeLaterFromElsewhere) {
    std::promise<HttpResponder> kept;
    HttpServerOptions options;
    options.limits.workers = 1;
    const auto server = start_server({make_route("GET", "/later",
                                                 [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
                                                     kept.set_value(std::move(responder));
                                                     return {};
                                                 }),
                                      make_route("GET", "/now", answer_with("now"))},
                                     std::move(options));
    TestClient waiting(server->port());
    ASSERT_TRUE(waiting.send("GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    HttpResponder responder = kept.get_future().get();
    ASSERT_TRUE(eventually([&] { return server->counts().running == 0; })) << "the one worker is free again";
    EXPECT_EQ(server->counts().open, 1);
    TestClient other(server->port());
    EXPECT_EQ(other.ask("GET", "/now")->body, "now");
    EXPECT_TRUE(responder.start(200, {}));
    EXPECT_TRUE(responder.write("later"));
    EXPECT_TRUE(responder.end());
    EXPECT_EQ(waiting.receive()->body, "later");
}

TEST(HttpServer, RefusesWhatHasNoWorkerAndStillAnswersQuickRoutes) {
    std::latch release(1);
    HttpServerOptions options;
    options.limits.workers = 2;
    const auto server = start_server({make_route("GET", "/slow",
                                                 [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
                                                     release.wait();
                                                     responder.send({.body = "slow"});
                                                     return {};
                                                 }),
                                      make_route("GET", "/health", answer_with("well"), true)},
                                     std::move(options));
    TestClient first(server->port());
    TestClient second(server->port());
    ASSERT_TRUE(first.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    ASSERT_TRUE(second.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    ASSERT_TRUE(eventually([&] { return server->counts().running == 2; }));
    TestClient third(server->port());
    const auto refused = third.ask("GET", "/slow");
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status, 503);
    EXPECT_EQ(refused->header("retry-after"), "1");
    EXPECT_TRUE(refused->body.starts_with("A 7 /slow")) << refused->body;
    EXPECT_EQ(third.ask("GET", "/health")->body, "well") << "on the same connection";
    release.count_down();
    EXPECT_EQ(first.receive()->body, "slow");
    EXPECT_EQ(second.receive()->body, "slow");
    EXPECT_EQ(third.ask("GET", "/slow")->body, "slow");
}

// --- the log -------------------------------------------------------------------------------------------------------------

TEST(HttpServer, LogsARequestInOneLineWithoutWhatItSays) {
    std::mutex mutex;
    std::vector<std::string> lines;
    HttpServerOptions options;
    options.log = [&](std::string_view line) {
        const std::lock_guard lock(mutex);
        lines.emplace_back(line);
    };
    const auto server = start_server({make_route("POST", "/agents/{id}",
                                                 [](const HttpRequest &, HttpResponder &responder) -> Result<void> {
                                                     responder.set_tenant("acme");
                                                     responder.send({.body = "secret answer"});
                                                     return {};
                                                 })},
                                     std::move(options));
    TestClient client(server->port());
    ASSERT_TRUE(client.ask("POST", "/agents/7?key=secret", "secret question", "X-Request-Id: r1\r\nAuthorization: secret\r\n"));
    ASSERT_TRUE(client.ask("GET", "/secret/path"));
    server->stop(0ms);
    ASSERT_EQ(lines.size(), 2);
    const auto first = nlohmann::json::parse(lines[0]);
    EXPECT_EQ(first["id"], "r1");
    EXPECT_EQ(first["method"], "POST");
    EXPECT_EQ(first["route"], "/agents/{id}");
    EXPECT_EQ(first["status"], 200);
    EXPECT_EQ(first["bytes"], 13);
    EXPECT_GE(first["ms"], 0);
    EXPECT_EQ(first["tenant"], "acme");
    EXPECT_TRUE(first["time"].get<std::string>().ends_with("Z"));
    const auto second = nlohmann::json::parse(lines[1]);
    EXPECT_TRUE(second["route"].is_null());
    EXPECT_EQ(second["status"], 404);
    EXPECT_FALSE(second.contains("tenant"));
    for (const std::string &line : lines) {
        EXPECT_EQ(line.find("secret"), std::string::npos) << line;
        EXPECT_EQ(line.find('\n'), std::string::npos);
    }
}

// --- CORS ----------------------------------------------------------------------------------------------------------------

// A page may send a simple request without asking first: the answer is kept from it, but the request would be handled.
TEST(HttpServer, RefusesWhatForeignWebPagesSend) {
    std::atomic<int> handled = 0;
    HttpServerOptions options;
    options.names = {"example.org"};
    const auto server = start_server({make_route("POST", "/a",
                                                 [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
                                                     handled++;
                                                     responder.send({});
                                                     return {};
                                                 })},
                                     std::move(options));
    TestClient client(server->port());
    const auto status = [&](std::string_view host, std::string_view origin) {
        client.send(std::format("POST /a HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n{}{}\r\n", host,
                                origin.empty() ? "" : "Origin: ", origin.empty() ? "" : std::string(origin) + "\r\n"));
        const auto reply = client.receive();
        return reply ? reply->status : 0;
    };
    EXPECT_EQ(status("localhost:8000", "https://example.com"), 403);
    EXPECT_EQ(status("localhost:8000", "null"), 403);
    EXPECT_EQ(status("localhost:8000", "http://localhost:8001"), 403);
    EXPECT_EQ(status("example.com:8000", "http://example.com:8000"), 403) << "the name was made to lead here";
    EXPECT_EQ(status("example.com", ""), 403);
    EXPECT_EQ(handled, 0);
    EXPECT_EQ(status("localhost:8000", "http://localhost:8000"), 200) << "the server's own page";
    EXPECT_EQ(status("127.0.0.1:8000", ""), 200);
    EXPECT_EQ(status("[::1]:8000", ""), 200);
    EXPECT_EQ(status("LOCALHOST", ""), 200);
    EXPECT_EQ(status("example.org:8000", "http://example.org:8000"), 200);
    EXPECT_EQ(handled, 5);
}

TEST(HttpServer, SaysNothingToWebPagesUnlessItIsAllowed) {
    const auto server = start_server({make_route("POST", "/a", echo())});
    TestClient client(server->port());
    const std::string headers = "Origin: https://example.com\r\nAccess-Control-Request-Method: POST\r\n";
    for (const char *method : {"OPTIONS", "POST"}) {
        const auto reply = client.ask(method, "/a", "", headers);
        ASSERT_TRUE(reply);
        for (const auto &[name, value] : reply->headers) EXPECT_FALSE(name.starts_with("access-control")) << name;
    }
}

TEST(HttpServer, TellsAllowedOriginsThatTheyMay) {
    HttpServerOptions options;
    options.cors_origins = {"https://example.com"};
    const auto server = start_server({make_route("POST", "/a", stream({"x"}))}, std::move(options));
    TestClient client(server->port());
    const auto preflight = client.ask("OPTIONS", "/a", "",
                                      "Origin: https://example.com\r\nAccess-Control-Request-Method: POST\r\n"
                                      "Access-Control-Request-Headers: authorization, content-type\r\n");
    ASSERT_TRUE(preflight);
    EXPECT_EQ(preflight->status, 204);
    EXPECT_EQ(preflight->header("access-control-allow-origin"), "https://example.com");
    EXPECT_EQ(preflight->header("access-control-allow-methods"), "OPTIONS, POST");
    EXPECT_EQ(preflight->header("access-control-allow-headers"), "authorization, content-type");
    const auto answer = client.ask("POST", "/a", "", "Origin: https://example.com\r\n");
    EXPECT_EQ(answer->header("access-control-allow-origin"), "https://example.com");
    EXPECT_EQ(answer->header("vary"), "Origin");
    const auto refusal = client.ask("GET", "/nowhere", "", "Origin: https://example.com\r\n");
    EXPECT_EQ(refusal->header("access-control-allow-origin"), "https://example.com") << "else a page couldn't read the error";
    const auto other = client.ask("POST", "/a", "", "Origin: https://example.org\r\n");
    EXPECT_EQ(other->header("access-control-allow-origin"), "");
}

}  // namespace
}  // namespace engram::http
