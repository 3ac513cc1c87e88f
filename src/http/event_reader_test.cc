#include "http/event_reader.h"

#include <gtest/gtest.h>

#include <random>

#include "core/testing/test_seed.h"

namespace engram::http {
namespace {

TEST(EventReader, ReadsEventsHoweverTheyAreCut) {
    const std::string body =
        "\xef\xbb\xbf: hello\n\ndata: one\n\nevent: big\r\ndata:two\r\ndata: three\r\nid: 7\r\n\r\nretry: 10\rdata\r\rnothing\n\n"
        "event: lost\n\ndata: last\n\ndata: not whole";
    const std::vector<ServerEvent> expected{{"", "one", ""}, {"big", "two\nthree", "7"}, {"", "", "7"}, {"", "last", "7"}};
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 300; ++round) {
        EventReader reader;
        std::vector<ServerEvent> events;
        for (std::size_t at = 0; at < body.size();) {
            const std::size_t n = round == 0 ? body.size() : 1 + random() % 9;
            for (ServerEvent &event : reader.take(std::string_view(body).substr(at, n))) events.push_back(std::move(event));
            at += n;
        }
        ASSERT_EQ(events, expected) << "round " << round;
        EXPECT_EQ(reader.retry(), std::chrono::milliseconds(10));
    }
}

TEST(EventReader, HasALimit) {
    EventReader reader(100);
    EXPECT_EQ(reader.take("data: " + std::string(80, 'x') + "\n\n").size(), 1U);
    EXPECT_EQ(reader.take("data: " + std::string(80, 'x') + "\ndata: " + std::string(80, 'x')).size(), 0U);
    EXPECT_TRUE(reader.too_large());
    EXPECT_EQ(reader.take("\n\ndata: y\n\n").size(), 0U);
}

// An id goes with every event that follows, so that a long one would cost its bytes for each of them.
TEST(EventReader, IdsHaveALimit) {
    EventReader reader;
    EXPECT_EQ(reader.take("id: " + std::string(kMaxEventIdBytes, 'i') + "\ndata: x\n\ndata: y\n\n").size(), 2U);
    EXPECT_EQ(reader.take("id: " + std::string(kMaxEventIdBytes + 1, 'i') + "\ndata: x\n\n").size(), 0U);
    EXPECT_TRUE(reader.too_large());
}

}  // namespace
}  // namespace engram::http
