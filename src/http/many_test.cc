// A thousand streams that wait, and 64 that are busy beside them.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <thread>

#include "http/server.h"
#include "http/testing/client.h"
#include "http/testing/test_server.h"

namespace engram::http {
namespace {

constexpr std::size_t kIdle = 1000;
constexpr std::size_t kBusy = 64;
constexpr std::size_t kTokens = 200;

// Bytes of this process's own memory that are in use now.
std::size_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::size_t size = 0;
    std::size_t resident = 0;
    std::size_t shared = 0;
    file >> size >> resident >> shared;
    return (resident - std::min(resident, shared)) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Both ends of every connection are in this process.
bool allow_open_files(rlim_t wanted) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
    if (limit.rlim_cur >= wanted) return true;
    limit.rlim_cur = std::min(wanted, limit.rlim_max);
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted;
}

// Streams that their handlers have left: somebody else writes to them, or nobody.
struct Subscribers {
    std::mutex mutex;
    std::vector<HttpResponder> responders;

    HttpHandler handler() {
        return [this](const HttpRequest &, HttpResponder &responder) -> Result<void> {
            responder.start(200, {{"Content-Type", "text/event-stream"}});
            responder.write("event: hello\n\n");
            const std::lock_guard lock(mutex);
            responders.push_back(std::move(responder));
            return {};
        };
    }
};

HttpHandler tokens() {
    return [](const HttpRequest &, HttpResponder &responder) -> Result<void> {
        responder.start(200, {{"Content-Type", "text/event-stream"}});
        for (std::size_t i = 0; i < kTokens; i++) responder.write(std::format("data: {}\n\n", i));
        responder.end();
        return {};
    };
}

void expect_tokens(std::uint16_t port, std::atomic<std::size_t> &right) {
    std::string expected;
    for (std::size_t i = 0; i < kTokens; i++) expected += std::format("data: {}\n\n", i);
    TestClient client(port);
    const auto reply = client.ask("GET", "/tokens");
    if (reply && reply->whole && reply->body == expected) right++;
}

std::vector<TestClient> open_idle(std::uint16_t port) {
    std::vector<TestClient> clients;
    clients.reserve(kIdle);
    for (std::size_t i = 0; i < kIdle; i++) {
        clients.emplace_back(port);
        EXPECT_TRUE(clients.back().send(
            "GET /events HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nAccept: text/event-stream\r\n\r\n"));
        EXPECT_TRUE(clients.back().receive_until("hello\n\n"));
    }
    return clients;
}

TEST(HttpMany, IdleStreamsCostLittleAndHinderNobody) {
    if (!allow_open_files(2 * kIdle + 4 * kBusy + 100)) GTEST_SKIP() << "the system doesn't allow so many open files";
    Subscribers subscribers;
    const auto server =
        start_server({make_route("GET", "/events", subscribers.handler()), make_route("GET", "/tokens", tokens())});
    {
        TestClient warm(server->port());  // what only the first request allocates
        ASSERT_TRUE(warm.ask("GET", "/tokens"));
    }
    const std::size_t before = resident_bytes();
    std::vector<TestClient> idle = open_idle(server->port());
    const std::size_t each = (resident_bytes() - std::min(before, resident_bytes())) / kIdle;
    RecordProperty("bytes_of_an_idle_stream", std::to_string(each));
    std::cout << "an idle stream takes " << each << " bytes, its client's included\n";
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LE(each, 64U << 10);
#endif
    EXPECT_EQ(server->counts().open, kIdle);
    ASSERT_TRUE(eventually([&] { return server->counts().running == 0; }));

    std::atomic<std::size_t> right = 0;
    {
        std::vector<std::jthread> busy;
        for (std::size_t i = 0; i < kBusy; i++) busy.emplace_back([&] { expect_tokens(server->port(), right); });
    }
    EXPECT_EQ(right, kBusy);

    for (HttpResponder &responder : subscribers.responders) {
        EXPECT_TRUE(responder.write("event: news\n\n"));
        EXPECT_TRUE(responder.end());
    }
    for (TestClient &client : idle) {
        const auto reply = client.receive();
        ASSERT_TRUE(reply && reply->whole);
        EXPECT_EQ(reply->body, "event: hello\n\nevent: news\n\n");
    }
    EXPECT_TRUE(eventually([&] { return server->counts().open == 0; }));
}

// What the transport adds to a token, on both of its threads. Printed, not asserted: it depends on the machine.
TEST(HttpMany, PrintsWhatATokenCosts) {
    constexpr std::size_t kMany = 2'000;
    std::atomic<std::int64_t> spent_us = 0;
    const auto cpu_us = [] {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * std::int64_t{1'000'000} + usage.ru_utime.tv_usec +
               usage.ru_stime.tv_usec;
    };
    const auto server = start_server({make_route("GET", "/s", [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
        responder.start(200, {});
        const std::string token = "data: {\"choices\":[{\"delta\":{\"content\":\"" + std::string(120, 'x') + "\"}}]}\n\n";
        const auto before = cpu_us();
        for (std::size_t i = 0; i < kMany; i++) {
            responder.write(token);
            std::this_thread::sleep_for(std::chrono::microseconds(20));  // so that each is sent for itself
        }
        spent_us = cpu_us() - before;
        responder.end();
        return {};
    })});
    TestClient client(server->port());
    const auto reply = client.ask("GET", "/s");
    ASSERT_TRUE(reply && reply->whole);
    std::cout << "a token takes " << static_cast<double>(spent_us) / kMany << " us of CPU, the client's reading included\n";
}

}  // namespace
}  // namespace engram::http
