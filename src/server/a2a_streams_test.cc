#include "server/a2a_streams.h"

#include <gtest/gtest.h>

#include <atomic>
#include <format>

#include "http/testing/test_server.h"

namespace engram::server {
namespace {

using namespace std::chrono_literals;

class A2aStreamsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        const auto open = [this](const http::HttpRequest &, http::HttpResponder &responder) -> Result<void> {
            last_ = streams_.open(std::move(responder), [this] { ++ended_; });
            return {};
        };
        server_ = http::start_server({http::make_route("GET", "/", open)});
        ASSERT_NE(server_, nullptr);
    }
    // A client whose stream has begun.
    A2aStreams::Id connect(http::TestClient &client) {
        const A2aStreams::Id before = last_;
        EXPECT_TRUE(client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        EXPECT_TRUE(client.receive_until("event-stream"));
        EXPECT_TRUE(http::eventually([&] { return last_ != before; }));
        return last_;
    }

    std::atomic<A2aStreams::Id> last_ = 0;
    std::atomic<int> ended_ = 0;
    A2aStreams streams_{20ms};
    std::unique_ptr<http::HttpServer> server_;
};

TEST_F(A2aStreamsTest, WhatIsWrittenComesInOrderAndEnds) {
    http::TestClient client(server_->port());
    const A2aStreams::Id id = connect(client);
    std::string expected;
    for (int i = 0; i < 500; ++i) {
        const std::string frame = std::format("data: {}\n\n", i);
        expected += frame;
        streams_.write(id, frame);
    }
    streams_.end(id);
    auto reply = client.receive();
    ASSERT_TRUE(reply && reply->whole);
    for (std::size_t ping = 0; (ping = reply->body.find(": ping\n\n")) != std::string::npos;) reply->body.erase(ping, 8);
    EXPECT_EQ(reply->body, expected);
    EXPECT_TRUE(http::eventually([&] { return ended_ == 1; }));
    streams_.write(id, "data: late\n\n");  // of a stream that has ended: nothing happens
    streams_.end(id);
}

TEST_F(A2aStreamsTest, WhoDoesNotReadIsCutOffAndHoldsUpNobody) {
    http::TestClient slow(server_->port(), 4096);
    const A2aStreams::Id slow_id = connect(slow);
    http::TestClient quick(server_->port());
    const A2aStreams::Id quick_id = connect(quick);
    const std::string frame = "data: " + std::string(64UZ << 10U, 'x') + "\n\n";
    for (int i = 0; i < 200 && ended_ == 0; ++i) {
        streams_.write(slow_id, frame);
        streams_.write(quick_id, std::format("data: {}\n\n", i));
        ASSERT_TRUE(quick.receive_until(std::format("data: {}\n", i)));
    }
    EXPECT_TRUE(http::eventually([&] { return ended_ == 1; })) << "more than 4 MiB waited for it";
    streams_.end(quick_id);
    EXPECT_TRUE(http::eventually([&] { return ended_ == 2; }));
}

TEST_F(A2aStreamsTest, PingsFindOutWhoHasGone) {
    http::TestClient client(server_->port());
    connect(client);
    ASSERT_TRUE(client.receive_until(": ping"));
    client.leave_hard();
    EXPECT_TRUE(http::eventually([&] { return ended_ == 1; }));
}

}  // namespace
}  // namespace engram::server
