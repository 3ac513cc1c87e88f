#include "protocol/a2a/read.h"

#include <gtest/gtest.h>

#include <format>
#include <random>

#include "core/testing/test_seed.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

namespace engram::protocol::a2a {
namespace {

OrderedJson json_of(std::string_view text) { return OrderedJson::parse(text); }

constexpr std::string_view kSend = R"({"tenant":"analyst","message":{"messageId":"m","role":"ROLE_USER","contextId":"c",
    "parts":[{"text":"hi","mediaType":"text/plain"},{"data":[1]},{"raw":"AA==","filename":"f","mediaType":"text/x"},
    {"url":"https://example.com/a"}],"metadata":{"k":1},"unknown":5},
    "configuration":{"acceptedOutputModes":["text/plain"],"historyLength":3,"returnImmediately":true,
    "taskPushNotificationConfig":{"id":"h","url":"http://example.com/hook","token":"t",
        "authentication":{"scheme":"Bearer","credentials":"s"}}},"metadata":{}})";
constexpr std::string_view kSend03 = R"({"message":{"kind":"message","messageId":"m","role":"user",
    "parts":[{"kind":"text","text":"hi"},{"kind":"data","data":{"a":1}},
    {"kind":"file","file":{"uri":"https://example.com/a","name":"f","mimeType":"text/x"}}]},
    "configuration":{"blocking":false,"pushNotificationConfig":{"url":"http://example.com/hook",
        "authentication":{"schemes":["Bearer","Basic"],"credentials":"s"}}}})";

TEST(A2aRead, AMessageAndHowItIsToBeAnswered) {
    const OrderedJson json = json_of(kSend);
    const auto request = read_send(Field(json), WireVersion::v1_0);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->agent, "analyst");
    EXPECT_EQ(request->message.context_id, "c");
    ASSERT_EQ(request->message.parts.size(), 4U);
    EXPECT_EQ(request->message.parts[1].content, "[1]");
    EXPECT_EQ(request->message.parts[2].filename, "f");
    EXPECT_EQ(request->message.metadata, R"({"k":1})");
    EXPECT_EQ(request->history_length, 3U);
    EXPECT_TRUE(request->return_immediately);
    ASSERT_TRUE(request->push);
    EXPECT_EQ(request->push->authentication->scheme, "Bearer");
}

TEST(A2aRead, ThreePointThreeSaysTheSameInOtherShapes) {
    const OrderedJson json = json_of(kSend03);
    const auto request = read_send(Field(json), WireVersion::v0_3);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_TRUE(request->return_immediately) << "blocking is false";
    EXPECT_EQ(request->message.parts[2].kind, Part::Kind::url);
    EXPECT_EQ(request->message.parts[2].media_type, "text/x");
    EXPECT_EQ(request->push->authentication->scheme, "Bearer");
    EXPECT_EQ(request->push->dialect, WireVersion::v0_3);
}

// A message of 1.0 with one member replaced.
std::string_view place_of_error(const std::string &pointer, const std::string &value) {
    static std::string field;
    OrderedJson json = json_of(kSend);
    json[OrderedJson::json_pointer(pointer)] = json_of(value);
    const auto request = read_send(Field(json), WireVersion::v1_0);
    field = request ? "accepted" : request.error().field;
    return field;
}

TEST(A2aRead, WhatIsWrongIsNamed) {
    EXPECT_EQ(place_of_error("/message", "5"), "message");
    EXPECT_EQ(place_of_error("/message/messageId", "\"\""), "message.messageId");
    EXPECT_EQ(place_of_error("/message/messageId", std::format("\"{}\"", std::string(600, 'x'))), "message.messageId");
    EXPECT_EQ(place_of_error("/message/role", "\"user\""), "message.role");
    EXPECT_EQ(place_of_error("/message/role", "\"ROLE_AGENT\""), "message.role");
    EXPECT_EQ(place_of_error("/message/parts", "[]"), "message.parts");
    EXPECT_EQ(place_of_error("/message/parts/0", R"({"text":"a","url":"b"})"), "message.parts[0]");
    EXPECT_EQ(place_of_error("/message/parts/0", "{}"), "message.parts[0]");
    EXPECT_EQ(place_of_error("/message/parts/0/text", "7"), "message.parts[0].text");
    EXPECT_EQ(place_of_error("/message/metadata", "[]"), "message.metadata");
    EXPECT_EQ(place_of_error("/configuration", "[]"), "configuration");
    EXPECT_EQ(place_of_error("/configuration/historyLength", "-1"), "configuration.historyLength");
    EXPECT_EQ(place_of_error("/configuration/returnImmediately", "1"), "configuration.returnImmediately");
    const std::string hook = "configuration.taskPushNotificationConfig";
    EXPECT_EQ(place_of_error("/configuration/taskPushNotificationConfig/url", "\"file:///etc/passwd\""), hook + ".url");
    EXPECT_EQ(place_of_error("/configuration/taskPushNotificationConfig/token", "\"a\\r\\nX: y\""), hook + ".token");
    EXPECT_EQ(place_of_error("/configuration/taskPushNotificationConfig/authentication", "{}"), hook + ".authentication");
}

TEST(A2aRead, AMessageHasSoManyParts) {
    const auto parts = [](std::size_t count) {
        return OrderedJson(std::vector<OrderedJson>(count, json_of(R"({"text":"x"})"))).dump();
    };
    EXPECT_EQ(place_of_error("/message/parts", parts(256)), "accepted");
    EXPECT_EQ(place_of_error("/message/parts", parts(257)), "message.parts");
}

TEST(A2aRead, ListsAreAskedForWithinBounds) {
    const OrderedJson params = params_of_query({{"contextId", "c"},
                                                {"status", "TASK_STATE_WORKING"},
                                                {"pageSize", "7"},
                                                {"historyLength", "0"},
                                                {"includeArtifacts", "true"},
                                                {"statusTimestampAfter", "2025-10-28T10:30:00Z"}});
    const auto query = read_list_query(Field(params));
    ASSERT_TRUE(query) << query.error().message;
    EXPECT_EQ(query->page_size, 7U);
    EXPECT_EQ(query->history_length, 0U);
    EXPECT_TRUE(query->include_artifacts);
    EXPECT_EQ(query->state, TaskState::working);
    EXPECT_EQ(query->changed_from_ms, 1'761'647'400'000);
    const std::vector<std::pair<std::string, std::string>> refusals{{"pageSize", "0"},
                                                                    {"pageSize", "101"},
                                                                    {"pageSize", "x"},
                                                                    {"historyLength", "-1"},
                                                                    {"status", "TASK_STATE_RUNNING"},
                                                                    {"statusTimestampAfter", "yesterday"},
                                                                    {"includeArtifacts", "maybe"}};
    for (const auto &[name, value] : refusals) {
        const OrderedJson wrong = params_of_query({{name, value}});
        const auto refused = read_list_query(Field(wrong));
        ASSERT_FALSE(refused) << name << "=" << value;
        EXPECT_EQ(refused.error().field, name);
    }
}

TEST(A2aRead, RandomBytesAreReadOrRefused) {
    std::mt19937_64 random(test_seed());
    const auto feed = [](const std::string &text) {
        EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t *>(text.data()), text.size()), 0);
    };
    const std::string hook =
        R"({"taskId":"t","id":"h","pushNotificationConfigId":"h","url":"http://example.com","pushNotificationConfig":
        {"url":"http://example.com"},"pageSize":3,"statusTimestampAfter":"2025-10-28T10:30:00Z"})";
    for (const std::string &params : {std::string(kSend), std::string(kSend03), hook}) {
        const std::string whole = R"({"jsonrpc":"2.0","id":1,"method":"SendMessage","params":)" + params + "}";
        feed(whole);
        for (int round = 0; round < 3000; ++round) {
            std::string damaged = whole;
            for (std::uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
                const std::size_t at = random() % damaged.size();
                switch (random() % 3) {
                    case 0: damaged[at] = static_cast<char>(random()); break;
                    case 1: damaged.erase(at, 1 + random() % 20); break;
                    default: damaged.insert(at, whole.substr(random() % whole.size(), random() % 20)); break;
                }
                if (damaged.empty()) damaged = "{";
            }
            feed(damaged);
        }
    }
}

TEST(A2aRead, NamesAsInTheProtoFileAreTaken) {
    const OrderedJson written = OrderedJson::parse(R"({"task_id":"t","history_length":3,"contextId":"c","context_id":"other",
        "message":{"parts":[{"data":{"my_key":1},"media_type":"x"}],"metadata":{"a_b":{"c_d":2}}},"list":[{"page_size":1}],"_x":1,"a__b":2})");
    const OrderedJson wanted = OrderedJson::parse(R"({"taskId":"t","historyLength":3,"contextId":"c",
        "message":{"parts":[{"data":{"my_key":1},"mediaType":"x"}],"metadata":{"a_b":{"c_d":2}}},"list":[{"pageSize":1}],"X":1,"a_B":2})");
    EXPECT_EQ(with_json_names(written), wanted);
}

}  // namespace
}  // namespace engram::protocol::a2a
