// Starting and stopping.
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <latch>
#include <mutex>

#include "http/server.h"
#include "http/testing/client.h"
#include "http/testing/test_server.h"

namespace engram::http {
namespace {

using namespace std::chrono_literals;

ErrorCode code_of(HttpServerOptions options) {
    const auto server = HttpServer::start(std::move(options));
    EXPECT_FALSE(server);
    return server ? ErrorCode::internal : server.error().code;
}

TEST(HttpLifecycle, SaysWhyItCantStart) {
    const auto first = start_server({});
    EXPECT_NE(first->port(), 0);
    EXPECT_EQ(first->address(), std::format("http://127.0.0.1:{}", first->port()));
    EXPECT_EQ(code_of({.port = first->port()}), ErrorCode::already_exists);
    EXPECT_EQ(code_of({.host = "0.0.0.0"}), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of({.host = "example"}), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of({.limits = {.workers = 0}}), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of({.routes = {make_route("GET", "no-slash", answer_with(""))}}), ErrorCode::invalid_argument);
    // An address of the block that is reserved for documentation: nobody's.
    EXPECT_EQ(code_of({.host = "192.0.2.1", .allow_remote = true}), ErrorCode::io);
}

TEST(HttpLifecycle, MayListenForOthersWhenThatIsAllowed) {
    const auto server = start_server({make_route("GET", "/a", answer_with("fine"))}, {.host = "0.0.0.0", .allow_remote = true});
    TestClient client(server->port());
    EXPECT_EQ(client.ask("GET", "/a")->body, "fine");
}

TEST(HttpLifecycle, ServersLiveBesideAndAfterEachOther) {
    const auto one = start_server({make_route("GET", "/a", answer_with("one"))});
    auto two = start_server({make_route("GET", "/a", answer_with("two"))}, {.host = "localhost"});
    TestClient to_one(one->port());
    EXPECT_EQ(to_one.ask("GET", "/a")->body, "one");
    const std::uint16_t port = two->port();
    {
        TestClient to_two(port);
        EXPECT_EQ(to_two.ask("GET", "/a")->body, "two");
        two.reset();
        EXPECT_TRUE(to_two.closed());
    }
    const auto three = start_server({make_route("GET", "/a", answer_with("three"))}, {.port = port});
    TestClient to_three(port);
    EXPECT_EQ(to_three.ask("GET", "/a")->body, "three");
    EXPECT_EQ(to_one.ask("GET", "/a")->body, "one");
}

TEST(HttpLifecycle, StoppingLetsOpenRequestsFinishAndRefusesOthers) {
    std::latch began(2);
    std::latch release(1);
    const auto server = start_server({make_route("GET", "/slow",
                                                 [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
                                                     began.count_down();
                                                     release.wait();
                                                     responder.send({.body = "finished"});
                                                     return {};
                                                 }),
                                      make_route("GET", "/s",
                                                 [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
                                                     responder.start(200, {});
                                                     responder.write("begun ");
                                                     began.count_down();
                                                     release.wait();
                                                     responder.write("finished");
                                                     responder.end();
                                                     return {};
                                                 }),
                                      make_route("GET", "/health", answer_with("stopping"), true)});
    TestClient slow(server->port());
    TestClient streaming(server->port());
    TestClient other(server->port());
    TestClient healthy(server->port());
    ASSERT_TRUE(slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    ASSERT_TRUE(streaming.send("GET /s HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    ASSERT_TRUE(other.ask("GET", "/health"));
    began.wait();
    std::jthread stopper([&] { server->stop(kPatience); });
    std::optional<Reply> refused;
    ASSERT_TRUE(eventually([&] {
        TestClient late(server->port());
        refused = late.ask("GET", "/health");
        return refused && refused->header("connection") == "close";  // from now on it is stopping
    }));
    refused = other.ask("GET", "/slow");
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status, 503);
    EXPECT_FALSE(refused->header("retry-after").empty());
    EXPECT_TRUE(refused->body.starts_with("A 8 /slow")) << refused->body;
    EXPECT_TRUE(other.closed());
    EXPECT_EQ(healthy.ask("GET", "/health")->body, "stopping");
    release.count_down();
    EXPECT_EQ(slow.receive()->body, "finished");
    const auto streamed = streaming.receive();
    EXPECT_TRUE(streamed->whole);
    EXPECT_EQ(streamed->body, "begun finished");
    stopper.join();
    TestClient nobody(server->port());
    EXPECT_FALSE(nobody.ask("GET", "/health"));
}

TEST(HttpLifecycle, StoppingWaitsOnlySoLong) {
    std::promise<bool> stopped;
    const auto server =
        start_server({make_route("GET", "/endless", [&](const HttpRequest &request, HttpResponder &) -> Result<void> {
            std::mutex mutex;
            std::condition_variable_any wake;
            std::unique_lock lock(mutex);
            wake.wait_for(lock, request.stop, kPatience, [] { return false; });
            stopped.set_value(request.stop.stop_requested());
            return {};
        })});
    TestClient client(server->port());
    ASSERT_TRUE(client.send("GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    ASSERT_TRUE(eventually([&] { return server->counts().running == 1; }));
    server->stop(50ms);
    EXPECT_TRUE(stopped.get_future().get());
    EXPECT_TRUE(client.closed());
    EXPECT_EQ(server->counts().open, 0);
}

TEST(HttpLifecycle, AResponderMayOutliveItsServer) {
    std::promise<HttpResponder> kept;
    auto server = start_server({make_route("GET", "/later", [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
        kept.set_value(std::move(responder));
        return {};
    })});
    TestClient client(server->port());
    ASSERT_TRUE(client.send("GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    HttpResponder responder = kept.get_future().get();
    server.reset();
    EXPECT_TRUE(responder.gone());
    EXPECT_FALSE(responder.send({.body = "too late"}));
    EXPECT_TRUE(client.closed());
}

}  // namespace
}  // namespace engram::http
