// What goes to the socket at once, and what the connection is woken for.
#include "http/exchange.h"

#include <gtest/gtest.h>

namespace engram::http {
namespace {

// In place of a connection and its socket, which has room for so many bytes.
struct Socket {
    std::size_t room = 0;
    std::string sent;
    int n_woken = 0;

    Exchange::Setup setup() {
        return {.request = {.method = "GET"},
                .body_share = {},
                .own_headers = {},
                .http_1_0 = true,  // bodies without the sizes of chunks
                .keep_alive = false,
                .refuse = {},
                .wake = [this] { ++n_woken; },
                .send_now =
                    [this](std::string_view bytes) {
                        const std::string_view taken = bytes.substr(0, room);
                        sent += taken;
                        room -= taken.size();
                        return taken.size();
                    }};
    }
};

TEST(Exchange, SendsPiecesAtOnceWhereTheConnectionHasNothingToSend) {
    Socket socket{.room = 100};
    Exchange exchange(socket.setup());
    ASSERT_TRUE(exchange.start(200, {}));
    ASSERT_TRUE(exchange.write("one "));
    EXPECT_EQ(socket.n_woken, 1);
    EXPECT_EQ(socket.sent, "") << "the head and what follows it are the connection's";
    ASSERT_TRUE(exchange.take().bytes.ends_with("\r\n\r\none "));
    ASSERT_TRUE(exchange.write("two "));  // while the connection still sends that
    EXPECT_EQ(socket.n_woken, 2);
    EXPECT_EQ(exchange.take().bytes, "two ");
    EXPECT_EQ(exchange.take().bytes, "");
    ASSERT_TRUE(exchange.write("three "));
    ASSERT_TRUE(exchange.offer("four "));
    EXPECT_EQ(socket.sent, "three four ");
    EXPECT_EQ(socket.n_woken, 2);
    ASSERT_TRUE(exchange.end());
    EXPECT_EQ(socket.n_woken, 3) << "for the connection goes on with the next request";
    EXPECT_TRUE(exchange.take().last);
}

TEST(Exchange, KeepsWhatTheSocketDoesntTakeInOrder) {
    Socket socket{.room = 6};
    Exchange exchange(socket.setup());
    ASSERT_TRUE(exchange.start(200, {}));
    exchange.take();
    exchange.take();
    ASSERT_TRUE(exchange.write("one two "));
    socket.room = 100;
    ASSERT_TRUE(exchange.write("three"));
    EXPECT_EQ(socket.sent, "one tw");
    EXPECT_EQ(socket.n_woken, 2);
    EXPECT_EQ(exchange.take().bytes, "o three");
    exchange.leave();
    EXPECT_FALSE(exchange.write("four"));
    EXPECT_EQ(socket.sent, "one tw");
}

}  // namespace
}  // namespace engram::http
