// Clients that leave, and clients that don't read.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>

#include "http/server.h"
#include "http/testing/client.h"
#include "http/testing/test_server.h"

namespace engram::http {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Waits in silence, like a handler whose model reads a long prompt, until the stop token is triggered.
struct Waiter {
    std::promise<void> began;
    std::promise<bool> stopped;

    HttpHandler handler() {
        return [this](const HttpRequest &request, HttpResponder &responder) -> Result<void> {
            std::mutex mutex;
            std::condition_variable_any wake;
            began.set_value();
            std::unique_lock lock(mutex);
            wake.wait_for(lock, request.stop, kPatience, [] { return false; });
            EXPECT_EQ(responder.gone(), request.stop.stop_requested());
            stopped.set_value(request.stop.stop_requested());
            return {};
        };
    }
};

constexpr std::string_view kRequest = "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n";

void expect_noticed(Waiter &waiter, const std::function<void()> &leave) {
    waiter.began.get_future().wait();
    leave();
    auto stopped = waiter.stopped.get_future();
    ASSERT_EQ(stopped.wait_for(kPatience), std::future_status::ready);
    EXPECT_TRUE(stopped.get());
}

TEST(HttpGone, AHandlerThatSendsNothingHearsThatItsClientHasClosed) {
    Waiter waiter;
    const auto server = start_server({make_route("GET", "/wait", waiter.handler())});
    TestClient client(server->port());
    ASSERT_TRUE(client.send(kRequest));
    expect_noticed(waiter, [&] { client.leave(); });
    EXPECT_TRUE(eventually([&] { return server->counts().running == 0 && server->counts().connections == 0; }));
}

TEST(HttpGone, OrHasBeenKilled) {
    Waiter waiter;
    const auto server = start_server({make_route("GET", "/wait", waiter.handler())});
    TestClient client(server->port());
    ASSERT_TRUE(client.send(kRequest));
    expect_noticed(waiter, [&] { client.leave_hard(); });
}

// It had sent the next request already.
TEST(HttpGone, OrHasClosedAfterAnotherRequest) {
    Waiter waiter;
    const auto server = start_server({make_route("GET", "/wait", waiter.handler())});
    TestClient client(server->port());
    ASSERT_TRUE(client.send(std::string(kRequest) + std::string(kRequest)));
    expect_noticed(waiter, [&] { client.leave(); });
}

TEST(HttpGone, AStreamEndsWhenItsClientLeaves) {
    std::promise<bool> stopped;
    const auto server =
        start_server({make_route("GET", "/s", [&](const HttpRequest &request, HttpResponder &responder) -> Result<void> {
            responder.start(200, {});
            while (responder.write("data: token\n\n")) std::this_thread::sleep_for(1ms);
            EXPECT_TRUE(responder.gone());
            EXPECT_FALSE(responder.end());
            // `write` may see it a moment before the token is triggered.
            stopped.set_value(eventually([&] { return request.stop.stop_requested(); }));
            return {};
        })});
    TestClient client(server->port());
    ASSERT_TRUE(client.send("GET /s HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    ASSERT_TRUE(client.receive_until("data: token"));
    client.leave();
    EXPECT_TRUE(stopped.get_future().get());
    EXPECT_TRUE(eventually([&] { return server->counts().open == 0; }));
}

TEST(HttpGone, TheLogSaysSo) {
    std::promise<std::string> logged;
    Waiter waiter;
    HttpServerOptions options;
    options.log = [&](std::string_view line) { logged.set_value(std::string(line)); };
    const auto server = start_server({make_route("GET", "/wait", waiter.handler())}, std::move(options));
    TestClient client(server->port());
    ASSERT_TRUE(client.send(kRequest));
    expect_noticed(waiter, [&] { client.leave(); });
    const std::string line = logged.get_future().get();
    EXPECT_NE(line.find("\"gone\":true"), std::string::npos) << line;
    EXPECT_NE(line.find("\"status\":0"), std::string::npos) << line;
}

// --- clients that don't read ---------------------------------------------------------------------------------------------

struct Flood {
    std::atomic<std::size_t> written = 0;
    std::promise<void> ended;

    HttpHandler handler() {
        return [this](const HttpRequest &, HttpResponder &responder) -> Result<void> {
            const std::string text(1000, 'x');
            responder.start(200, {});
            while (written < 100'000'000 && responder.write(text)) written += text.size();
            responder.end();
            ended.set_value();
            return {};
        };
    }
};

TEST(HttpGone, AClientThatDoesntReadMakesWritingWaitAndIsCutOff) {
    Flood flood;
    HttpServerOptions options;
    options.limits.send_timeout = 500ms;
    const auto server = start_server({make_route("GET", "/s", flood.handler())}, std::move(options));
    TestClient client(server->port(), 4096);
    ASSERT_TRUE(client.send("GET /s HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    auto ended = flood.ended.get_future();
    ASSERT_EQ(ended.wait_for(kPatience), std::future_status::ready);
    // What the server's socket and the client's took; of the server's own memory it is 64 KiB.
    EXPECT_LT(flood.written, 20'000'000);
    EXPECT_TRUE(eventually([&] { return server->counts().connections == 0; }));
}

TEST(HttpGone, AClientThatReadsLateGetsEverything) {
    std::promise<void> go_on;
    std::atomic<std::size_t> written = 0;
    const auto server = start_server({make_route("GET", "/s", [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
        const std::string text(1000, 'x');
        responder.start(200, {});
        for (int i = 0; i < 5'000; i++) {
            if (responder.write(text)) written += text.size();
        }
        responder.end();
        return {};
    })});
    TestClient client(server->port(), 4096);
    ASSERT_TRUE(client.send("GET /s HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    ASSERT_TRUE(eventually([&] { return written > 0; }));
    std::this_thread::sleep_for(100ms);  // so that buffers fill
    const auto reply = client.receive();
    ASSERT_TRUE(reply);
    EXPECT_TRUE(reply->whole);
    EXPECT_EQ(reply->body.size(), 5'000'000);
}

}  // namespace
}  // namespace engram::http
