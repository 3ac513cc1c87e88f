#include "protocol/a2a/read_answer.h"

#include <gtest/gtest.h>

#include <random>

#include "core/testing/test_seed.h"
#include "protocol/a2a/write.h"

namespace engram::protocol::a2a {
namespace {

OrderedJson json(std::string_view text) { return OrderedJson::parse(text); }

ServerCard card(std::string_view text) {
    const OrderedJson parsed = json(text);
    const auto read = read_card(Field(parsed));
    EXPECT_TRUE(read) << text << ": " << (read ? "" : read.error().message);
    return read.value_or(ServerCard());
}

TEST(A2aReadAnswer, CardsSayWhereAndHow) {
    const ServerCard now = card(R"({"name":"n","description":"d","capabilities":{"streaming":true},"supportedInterfaces":[
        {"url":"http://h/g","protocolBinding":"GRPC","protocolVersion":"1.0"},
        {"url":"http://h/old","protocolBinding":"JSONRPC","protocolVersion":"0.3"},
        {"url":"http://h/rest","protocolBinding":"HTTP+JSON","protocolVersion":"1.0","tenant":"t"},
        {"url":"http://h/rpc","protocolBinding":"JSONRPC","protocolVersion":"1.0.2"},
        {"url":"http://h/later","protocolBinding":"JSONRPC","protocolVersion":"2.0"}]})");
    EXPECT_EQ(now.name + now.description, "nd");
    EXPECT_TRUE(now.streaming);
    const std::vector<Interface> wanted{{.url = "http://h/rest", .binding = Binding::http_json, .tenant = "t"},
                                        {.url = "http://h/rpc"},
                                        {.url = "http://h/old", .version = WireVersion::v0_3}};
    EXPECT_EQ(now.interfaces, wanted) << "1.0 first, and otherwise as the server prefers";

    const ServerCard before = card(R"({"name":"n","url":"http://h/","preferredTransport":"JSONRPC","protocolVersion":"0.3.0",
        "additionalInterfaces":[{"url":"http://h/rest","transport":"HTTP+JSON"},{"url":"http://h/b","transport":"JSONRPC"}]})");
    ASSERT_EQ(before.interfaces.size(), 2U) << "0.3's HTTP+JSON isn't spoken";
    EXPECT_EQ(before.interfaces[0], (Interface{.url = "http://h/", .version = WireVersion::v0_3}));
    EXPECT_EQ(before.interfaces[1].url, "http://h/b");
    EXPECT_FALSE(before.streaming);
    EXPECT_EQ(card(R"({"capabilities":{"extensions":[{"uri":"a"},{"uri":"b","required":true}]}})").required_extensions,
              std::vector<std::string>{"b"});
    EXPECT_TRUE(card("{}").interfaces.empty());
}

Task task() {
    Task task{.id = "t", .context_id = "c"};
    task.status.state = TaskState::completed;
    task.status.message = Message{.id = "s", .role = Role::agent, .parts = {{.content = "done"}}};
    task.artifacts.push_back(
        {.id = "a",
         .parts = {{.content = "text"},
                   {.kind = Part::Kind::data, .content = R"({"x":1})"},
                   {.kind = Part::Kind::raw, .content = "VFNL", .filename = "o.txt", .media_type = "text/plain"},
                   {.kind = Part::Kind::raw, .content = "AAAA", .filename = "o.png", .media_type = "image/png"},
                   {.kind = Part::Kind::url, .content = "https://example.com/x"}}});
    task.history.push_back({.id = "u", .role = Role::user, .parts = {{.content = "question"}}});
    task.metadata = R"({"m":1})";
    return task;
}

TEST(A2aReadAnswer, WhatIsCalledTextAndIsNoneIsNotShown) {
    const std::vector<Part> parts{{.kind = Part::Kind::raw, .content = "/w==", .filename = "x", .media_type = "text/plain"}};
    EXPECT_EQ(text_of_parts(parts), "[File x, text/plain: not shown]");
}

// What our own server writes, in both versions, comes back as it was.
TEST(A2aReadAnswer, TasksOfEitherVersion) {
    for (const WireVersion dialect : {WireVersion::v1_0, WireVersion::v0_3}) {
        const OrderedJson written = event_json(task(), dialect);
        const auto event = read_event(Field(written));
        ASSERT_TRUE(event) << event.error().message;
        ASSERT_TRUE(std::holds_alternative<Task>(*event));
        const Task &read = std::get<Task>(*event);
        EXPECT_EQ(read.id + read.context_id + read.metadata, "tc" + task().metadata);
        EXPECT_EQ(read.status.state, TaskState::completed);
        EXPECT_EQ(read.artifacts[0].parts, task().artifacts[0].parts);
        EXPECT_EQ(read.history[0].role, Role::user);
        EXPECT_EQ(text_of_parts(read.artifacts[0].parts),
                  "text\n\n```json\n{\"x\":1}\n```\n\nFile o.txt:\n```\nTSK\n```\n\n[File o.png, image/png: not shown]\n\n"
                  "[File without a name: https://example.com/x]");
    }
}

TEST(A2aReadAnswer, EventsOfEitherVersion) {
    StatusUpdate status{.task_id = "t", .context_id = "c", .status = {.state = TaskState::input_required}};
    ArtifactUpdate artifact{
        .task_id = "t", .context_id = "c", .artifact = {.id = "a", .parts = {{.content = "x"}}}, .append = true};
    const Message message{.id = "m", .context_id = "c", .role = Role::agent, .parts = {{.content = "hello"}}};
    for (const WireVersion dialect : {WireVersion::v1_0, WireVersion::v0_3}) {
        const OrderedJson json1 = event_json(status, dialect), json2 = event_json(artifact, dialect),
                          json3 = event_json(message, dialect);
        const auto one = read_event(Field(json1)), two = read_event(Field(json2)), three = read_event(Field(json3));
        ASSERT_TRUE(one && two && three);
        EXPECT_EQ(std::get<StatusUpdate>(*one).status.state, TaskState::input_required);
        EXPECT_TRUE(std::get<ArtifactUpdate>(*two).append);
        EXPECT_EQ(std::get<ArtifactUpdate>(*two).artifact.parts[0].content, "x");
        EXPECT_EQ(std::get<Message>(*three).context_id, "c");
    }
}

TEST(A2aReadAnswer, WhatIsMissingIsEmpty) {
    const OrderedJson bare =
        json(R"({"task":{"id":"t","status":{"state":"TASK_STATE_WORKING","message":{"parts":[{"kind":"new"}]}}}})");
    const auto event = read_event(Field(bare));
    ASSERT_TRUE(event) << event.error().message;
    EXPECT_TRUE(std::get<Task>(*event).status.message->parts.empty());
    for (const char *wrong : {R"({})", R"([])", R"({"task":{}})", R"({"task":{"id":1,"status":{"state":"working"}}})",
                              R"({"task":{"id":"t","status":{"state":"asleep"}}})", R"({"message":{"parts":3}})",
                              R"({"kind":"status-update","status":3})"}) {
        const OrderedJson parsed = json(wrong);
        EXPECT_FALSE(read_event(Field(parsed))) << wrong;
    }
}

TEST(A2aReadAnswer, Refusals) {
    const OrderedJson rpc = json(R"({"error":{"code":-32001,"message":"no such task"}})");
    EXPECT_EQ(read_refusal(Field(rpc)).code, -32001);
    EXPECT_EQ(read_refusal(Field(rpc)).message, "no such task");
    const OrderedJson other = json(R"({"error":"x"})");
    EXPECT_EQ(read_refusal(Field(other)).message, "");
}

TEST(A2aReadAnswer, AnyBytesAreReadOrRefused) {
    std::mt19937_64 random(test_seed());
    const std::string whole =
        OrderedJson::array({event_json(task(), WireVersion::v1_0), event_json(task(), WireVersion::v0_3)}).dump();
    for (int i = 0; i < 10'000; ++i) {
        std::string text = whole;
        for (auto n = random() % 6; n > 0; --n) text[random() % text.size()] = static_cast<char>(random());
        const auto parsed = parse_bounded_json(text, text.size());
        if (!parsed || !parsed->is_array()) continue;
        for (const OrderedJson &element : *parsed) {
            const auto event = read_event(Field(element));
            EXPECT_TRUE(event || !event.error().message.empty());
            const auto card = read_card(Field(element));
            EXPECT_TRUE(card || !card.error().message.empty());
        }
    }
}

}  // namespace
}  // namespace engram::protocol::a2a
