#include "http/request_reader.h"

#include <gtest/gtest.h>

namespace engram::http {
namespace {

using Step = RequestReader::Step;

const std::string kTwo =
    "POST /v1/a?x=1%202 HTTP/1.1\r\nHost: localhost\r\nX-Name:  spaced \r\nTransfer-Encoding: chunked\r\n\r\n"
    "4;ext=1\r\nWiki\r\n5\r\npedia\r\n0\r\nTrailer: x\r\n\r\n"
    "GET http://localhost/b HTTP/1.0\r\n\r\n";

void expect_two(const HttpRequest &first, const HttpRequest &second, const std::string &where) {
    EXPECT_EQ(first.method, "POST") << where;
    EXPECT_EQ(first.path, "/v1/a") << where;
    EXPECT_EQ(first.query_value("x"), "1 2") << where;
    EXPECT_EQ(first.header("x-name"), "spaced") << where;
    EXPECT_EQ(first.body, "Wikipedia") << where;
    EXPECT_EQ(second.method, "GET") << where;
    EXPECT_EQ(second.path, "/b") << where;
    EXPECT_EQ(second.body, "") << where;
}

// Wherever the network cuts the bytes, the same two requests come out.
TEST(RequestReader, ReadsTheSameHoweverTheBytesArrive) {
    for (std::size_t step = 1; step <= kTwo.size(); step++) {
        RequestReader reader(1000, 1000);
        std::vector<HttpRequest> requests;
        std::vector<bool> kept;
        std::string buffer;
        for (std::size_t at = 0; at < kTwo.size(); at += step) {
            buffer += kTwo.substr(at, step);
            while (!buffer.empty()) {
                const auto fed = reader.feed(buffer);
                buffer.erase(0, fed.used);
                ASSERT_NE(fed.step, Step::refused) << "step " << step << ": " << reader.refusal().message;
                if (fed.step == Step::more) break;
                requests.push_back(reader.take());
                kept.push_back(reader.keep_alive());
            }
        }
        ASSERT_EQ(requests.size(), 2) << "step " << step;
        expect_two(requests[0], requests[1], "step " + std::to_string(step));
        EXPECT_TRUE(kept[0]);
        EXPECT_FALSE(kept[1]);
    }
}

TEST(RequestReader, TellsOnceThatTheClientWaits) {
    RequestReader reader(1000, 1000);
    std::string head = "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n";
    auto fed = reader.feed(head.substr(0, 20));
    EXPECT_EQ(fed.step, Step::more);
    EXPECT_FALSE(reader.wants_continue());
    head.erase(0, fed.used);
    fed = reader.feed(head);
    EXPECT_EQ(fed.step, Step::more);
    EXPECT_EQ(fed.used, head.size());
    EXPECT_TRUE(reader.wants_continue());
    EXPECT_FALSE(reader.wants_continue());
    EXPECT_EQ(reader.feed("ok").step, Step::complete);
    EXPECT_EQ(reader.take().body, "ok");
}

// What stands between two chunks and never ends is kept only up to a limit.
TEST(RequestReader, LinesBetweenChunksAreBounded) {
    const auto fed = [](std::size_t bytes) {
        RequestReader reader(20'000, 1000);
        const std::string head = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        EXPECT_EQ(reader.feed(head).step, Step::more);
        std::string line = "1;";
        line.append(bytes - line.size(), 'x');
        return reader.feed(line).step;
    };
    EXPECT_EQ(fed(8000), Step::more);
    EXPECT_EQ(fed(8193), Step::refused);
}

TEST(RequestReader, SaysHowMuchOfABodyHasArrived) {
    RequestReader reader(1000, 1000);
    EXPECT_EQ(reader.body_bytes(), 0);
    const std::string head = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n";
    EXPECT_EQ(reader.feed(head + std::string(20, 'x')).step, Step::more);
    EXPECT_EQ(reader.body_bytes(), 20);
    EXPECT_EQ(reader.feed(std::string(10, 'x')).step, Step::complete);
    EXPECT_EQ(reader.body_bytes(), 30);
    EXPECT_EQ(reader.take().body.size(), 30);
    EXPECT_EQ(reader.body_bytes(), 0);
}

// A refusal is worded by the path, so as much as possible is said of the request.
TEST(RequestReader, KnowsWhatWasAskedWhenItRefuses) {
    RequestReader reader(300, 10);
    EXPECT_EQ(reader.feed("GET /v1/a?b HTTP/1.1\r\nX: " + std::string(400, 'x')).step, Step::refused);
    EXPECT_EQ(reader.refusal().kind, HttpRefusalKind::headers_too_large);
    HttpRequest request = reader.take();
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.path, "/v1/a");

    RequestReader other(300, 10);
    EXPECT_EQ(other.feed("POST /v1/b HTTP/1.1\r\nHost: a\r\nX-Request-Id: r\r\nContent-Length: 11\r\n\r\n").step, Step::refused);
    EXPECT_EQ(other.refusal().kind, HttpRefusalKind::body_too_large);
    request = other.take();
    EXPECT_EQ(request.path, "/v1/b");
    EXPECT_EQ(request.header("x-request-id"), "r");
    EXPECT_EQ(request.headers.size(), 3);
}

}  // namespace
}  // namespace engram::http
