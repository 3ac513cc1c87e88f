// What the server refuses, and that nothing that is sent brings it down.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <random>
#include <semaphore>
#include <string>
#include <thread>

#include "core/testing/test_seed.h"
#include "http/body_budget.h"
#include "http/server.h"
#include "http/testing/client.h"
#include "http/testing/test_server.h"

namespace engram::http {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

std::unique_ptr<HttpServer> small_server(HttpLimits limits = {.body_bytes = 1000, .header_bytes = 2000}) {
    HttpServerOptions options;
    options.limits = limits;
    return start_server({make_route("POST", "/b/{x}",
                                    [](const HttpRequest &request, HttpResponder &responder) -> Result<void> {
                                        responder.send({.body = std::to_string(request.body.size())});
                                        return {};
                                    }),
                         make_route("GET", "/a", answer_with("fine"))},
                        std::move(options));
}

// The one answer to `bytes`, after which the server closes.
Reply refused(const HttpServer &server, std::string_view bytes) {
    TestClient client(server.port());
    client.send(bytes);
    const auto reply = client.receive();
    EXPECT_TRUE(reply) << bytes.substr(0, 100);
    EXPECT_TRUE(client.closed()) << bytes.substr(0, 100);
    return reply.value_or(Reply{});
}

void expect_well(const HttpServer &server) {
    EXPECT_TRUE(eventually([&] {
        TestClient client(server.port());
        const auto reply = client.ask("GET", "/a");
        return reply && reply->body == "fine";
    }));
}

TEST(HttpLimits, ThereIsNothingThere) {
    const auto server = small_server();
    TestClient client(server->port());
    const auto nowhere = client.ask("GET", "/b/1/2");
    ASSERT_TRUE(nowhere);
    EXPECT_EQ(nowhere->status, 404);
    EXPECT_TRUE(nowhere->body.starts_with("B 1 /b/1/2")) << nowhere->body;
    EXPECT_EQ(nowhere->header("content-type"), "application/x-test");
    EXPECT_FALSE(nowhere->header("x-request-id").empty());
    const auto wrong = client.ask("GET", "/b/1");
    ASSERT_TRUE(wrong) << "the connection goes on";
    EXPECT_EQ(wrong->status, 405);
    EXPECT_EQ(wrong->header("allow"), "OPTIONS, POST");
    EXPECT_EQ(client.ask("BREW", "/a")->status, 405);
}

TEST(HttpLimits, AnswersPlainlyWithoutTheCallersWords) {
    HttpServerOptions options;
    options.routes = {make_route("GET", "/a", answer_with("fine"))};
    const auto server = HttpServer::start(std::move(options));
    ASSERT_TRUE(server);
    TestClient client((*server)->port());
    const auto reply = client.ask("GET", "/nowhere");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->body, "there is nothing at /nowhere\n");
}

TEST(HttpLimits, BodiesAreBounded) {
    const auto server = small_server();
    TestClient client(server->port());
    EXPECT_EQ(client.ask("POST", "/b/1", std::string(1000, 'x'))->body, "1000");

    const Reply announced = refused(*server, "POST /b/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n");
    EXPECT_EQ(announced.status, 413);
    EXPECT_TRUE(announced.body.starts_with("B 4 /b/1")) << announced.body;
    EXPECT_EQ(announced.header("connection"), "close");

    const std::string chunk = "100\r\n" + std::string(256, 'x') + "\r\n";
    std::string chunked = "POST /b/1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 5; i++) chunked += chunk;
    EXPECT_EQ(refused(*server, chunked).status, 413);

    // The client sends it all before it reads; it must still see the answer.
    EXPECT_EQ(
        refused(*server, "POST /b/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n" + std::string(300'000, 'x'))
            .status,
        413);
    expect_well(*server);
}

TEST(BodyBudget, IsTakenByWhatIsntSmallAndGivenBack) {
    const auto budget = std::make_shared<BodyBudget>(300'000);
    BodyShare one(budget), other(budget);
    EXPECT_TRUE(one.grow_to(150'000));
    EXPECT_TRUE(one.grow_to(200'000));
    EXPECT_FALSE(other.grow_to(100'001));
    EXPECT_TRUE(other.grow_to(100'000)) << "what was refused took nothing";
    EXPECT_FALSE(BodyShare(budget).grow_to(BodyShare::kSmallBodyBytes + 1));
    EXPECT_TRUE(BodyShare(budget).grow_to(BodyShare::kSmallBodyBytes));
    const BodyShare moved = std::move(one);
    EXPECT_FALSE(other.grow_to(100'001));
    other.release();
    EXPECT_FALSE(BodyShare(budget).grow_to(100'001));
    EXPECT_TRUE(BodyShare(budget).grow_to(100'000));
}

std::string begun_post(std::string_view path, std::size_t bytes, std::size_t sent) {
    return std::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", path, bytes) + std::string(sent, 'x');
}

// A body counts from its arrival until its handler has returned; small ones always find room, and a limit below that of one body
// lets one in.
TEST(HttpLimits, BodiesTogetherAreBounded) {
    constexpr std::size_t kBytes = 200'000, kSmall = BodyShare::kSmallBodyBytes;
    std::binary_semaphore begun(0), go_on(0);
    HttpServerOptions options;
    options.limits = {.body_bytes = kBytes, .bodies_bytes = 1};
    const auto server = start_server({make_route("POST", "/b/held",
                                                 [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
                                                     begun.release();
                                                     go_on.acquire();
                                                     responder.send({.body = "held"});
                                                     return {};
                                                 }),
                                      make_route("POST", "/b/1", answer_with("fine"))},
                                     std::move(options));
    TestClient first(server->port());
    ASSERT_TRUE(first.send(begun_post("/b/held", kBytes, kBytes)));
    begun.acquire();
    for (int i = 0; i < 3; ++i) {
        const Reply second = refused(*server, begun_post("/b/1", kBytes, kSmall + 1));
        EXPECT_EQ(second.status, 503) << "before it is whole";
        EXPECT_EQ(second.header("retry-after"), "1");
        EXPECT_TRUE(second.body.starts_with("B 10 /b/1")) << second.body;
        TestClient client(server->port());
        const auto small = client.ask("POST", "/b/1", std::string(kSmall, 'x'));
        ASSERT_TRUE(small);
        EXPECT_EQ(small->status, 200);
    }
    EXPECT_EQ(refused(*server, begun_post("/b/1", kSmall + 1, kSmall + 1)).status, 503) << "whole with its last byte";
    go_on.release();
    const auto held = first.receive();
    ASSERT_TRUE(held);
    EXPECT_EQ(held->body, "held");
    EXPECT_TRUE(eventually([&] {
        TestClient client(server->port());
        const auto reply = client.ask("POST", "/b/1", std::string(kBytes, 'x'));
        return reply && reply->status == 200;
    })) << "all of the room is there again";
}

TEST(HttpLimits, HeadersAreBounded) {
    const auto server = small_server();
    const Reply one = refused(*server, "GET /b/1 HTTP/1.1\r\nHost: localhost\r\nX-Long: " + std::string(5000, 'x') + "\r\n\r\n");
    EXPECT_EQ(one.status, 431);
    EXPECT_TRUE(one.body.starts_with("B 5 /b/1")) << one.body;
    std::string many = "GET /a HTTP/1.1\r\nHost: localhost\r\n";
    for (int i = 0; i < 500; i++) many += std::format("X-{}: y\r\n", i);
    EXPECT_EQ(refused(*server, many + "\r\n").status, 431);
    EXPECT_EQ(refused(*server, "GET /" + std::string(5000, 'x') + " HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 431);
    expect_well(*server);
}

TEST(HttpLimits, MalformedRequestsAreRefused) {
    const auto server = small_server();
    const std::string post = "POST /b/1 HTTP/1.1\r\nHost: localhost\r\n";
    for (const std::string &bytes : {
             "this is no request\r\n\r\n"s,
             "GET /a\r\n\r\n"s,
             "GET /a HTTP/2.0\r\nHost: localhost\r\n\r\n"s,
             "GET a HTTP/1.1\r\nHost: localhost\r\n\r\n"s,
             "GET /a HTTP/1.1\r\n\r\n"s,
             "GET /a HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n"s,
             "GET /a HTTP/1.1\r\nHost a\r\n\r\n"s,
             "GET /a HTTP/1.1\r\nHost: localhost\r\nX: \x01\r\n\r\n"s,
             "GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n"s,
             "GET /a?x=%4 HTTP/1.1\r\nHost: localhost\r\n\r\n"s,
             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 is how TLS begins\r\n\r\n"s,
             post + "Content-Length: 5x\r\n\r\nhello",
             post + "Content-Length: -1\r\n\r\n",
             post + "Content-Length: 99999999999999999999999\r\n\r\n",
             post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
             post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             post + "Transfer-Encoding: chunked\r\n\r\n-2\r\nxx\r\n",
             post + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n-2\r\nxx\r\n",
             post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nxx\r\n",
             post + "Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n",
             post + "Transfer-Encoding: chunked\r\n\r\n2;" + std::string(20'000, 'x'),
         }) {
        const Reply reply = refused(*server, bytes);
        EXPECT_TRUE(reply.status == 400 || reply.status == 413 || reply.status == 431)
            << reply.status << " for " << bytes.substr(0, 100);
        EXPECT_TRUE(reply.body.starts_with("A ") || reply.body.starts_with("B ")) << reply.body;
    }
    expect_well(*server);
}

// Right requests with some bytes changed, left out or put in: an answer or a closed connection, and the server goes on.
TEST(HttpLimits, NothingThatIsSentBringsTheServerDown) {
    const auto server = small_server({.body_bytes = 1000, .header_bytes = 2000, .receive_timeout = 30ms, .idle_timeout = 30ms});
    std::mt19937 random(test_seed());
    const std::vector<std::string> seeds = {
        "POST /b/1?q=1%20 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
        "chunked\r\n\r\n4;x=y\r\nWiki\r\nA\r\n0123456789\r\n0\r\nT: "
        "u\r\n\r\n",
        "POST /b/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\nX-Request-Id: 1\r\n\r\nHEAD /a HTTP/1.0\r\n\r\n",
    };
    const std::string_view bytes = "\r\n :;%-/0123456789abcdefg\x00\xff{}";
    for (int round = 0; round < 300; round++) {
        std::string text = seeds[random() % seeds.size()];
        for (unsigned change = 0, changes = 1 + random() % 4; change < changes; change++) {
            const std::size_t at = random() % text.size();
            const char byte = bytes[random() % bytes.size()];
            switch (random() % 3) {
                case 0: text[at] = byte; break;
                case 1: text.erase(at, 1 + random() % 3); break;
                default: text.insert(at, 1, byte);
            }
        }
        TestClient client(server->port());
        client.send(text);
        while (client.receive()) {
        }
    }
    expect_well(*server);
}

TEST(HttpLimits, RequestsThatDontComeToAnEndAreGivenUp) {
    const auto server = small_server({.receive_timeout = 200ms});
    for (const std::string &part :
         {"GET /b/1 HT"s, "POST /b/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345"s}) {
        const Reply reply = refused(*server, part);
        EXPECT_EQ(reply.status, 408);
        EXPECT_TRUE(reply.body.starts_with("B 3 /b/1")) << reply.body;
    }
}

TEST(HttpLimits, ConnectionsWithoutRequestsAreClosed) {
    const auto server = small_server({.idle_timeout = 200ms});
    TestClient silent(server->port());
    EXPECT_TRUE(silent.closed()) << "without a word, since nothing was asked";
    std::optional<TestClient> used;
    ASSERT_TRUE(eventually([&] {
        used.emplace(server->port());
        const auto reply = used->ask("GET", "/a");
        return reply && reply->body == "fine";
    }));
    EXPECT_TRUE(used->closed());
}

// A byte now and then doesn't keep a connection forever.
TEST(HttpLimits, TricklingDoesntHelp) {
    const auto server = small_server({.receive_timeout = 300ms});
    TestClient client(server->port());
    const std::string head = "GET /a HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    ASSERT_TRUE(client.send(head));
    std::atomic<bool> done = false;
    std::jthread trickle([&] {
        while (!done && client.send("x")) std::this_thread::sleep_for(20ms);
    });
    const auto reply = client.receive();
    done = true;
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 408);
}

TEST(HttpLimits, FurtherConnectionsWaitUntilOneHasGone) {
    HttpLimits limits;
    limits.connections = 2;
    const auto server = small_server(limits);
    TestClient first(server->port());
    TestClient second(server->port());
    ASSERT_TRUE(first.ask("GET", "/a"));
    ASSERT_TRUE(second.ask("GET", "/a"));
    TestClient third(server->port());
    ASSERT_TRUE(third.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    EXPECT_EQ(server->counts().connections, 2);
    first.leave();
    const auto reply = third.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->body, "fine");
}

}  // namespace
}  // namespace engram::http
