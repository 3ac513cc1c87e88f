#include "protocol/a2a/write.h"

#include <gtest/gtest.h>

#include "protocol/a2a/read.h"

namespace engram::protocol::a2a {
namespace {

Message message(std::string id) {
    return {.id = std::move(id),
            .context_id = "c",
            .task_id = "t",
            .role = Role::agent,
            .parts = {{.kind = Part::Kind::text, .content = "hello", .metadata = R"({"a":1})"},
                      {.kind = Part::Kind::data, .content = R"({"x":[1,2]})"},
                      {.kind = Part::Kind::raw, .content = "VENL", .filename = "o.txt", .media_type = "text/plain"},
                      {.kind = Part::Kind::url, .content = "https://example.com/x"}},
            .metadata = R"({"m":true})",
            .extensions = {"e"},
            .reference_task_ids = {"r"}};
}

Task task() {
    Task task{.id = "t", .context_id = "c"};
    task.status = {.state = TaskState::working, .message = message("m0"), .time_ms = 1000};
    task.history = {message("m1"), message("m2"), message("m3")};
    task.artifacts.push_back({.id = "a", .name = "answer", .description = "", .parts = message("").parts});
    return task;
}

TEST(A2aWrite, MessagesAndArtifactsComeBackAsTheyWere) {
    for (const WireVersion dialect : {WireVersion::v1_0, WireVersion::v0_3}) {
        const OrderedJson json = message_json(message("m"), dialect);
        const auto read = read_message(Field(json), dialect);
        ASSERT_TRUE(read) << read.error().message;
        EXPECT_EQ(*read, message("m"));
        const OrderedJson artifact = artifact_json(task().artifacts[0], dialect);
        const auto again = read_artifact(Field(artifact), dialect);
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ(*again, task().artifacts[0]);
    }
}

TEST(A2aWrite, ATaskInBothShapes) {
    const OrderedJson now = task_json(task(), WireVersion::v1_0);
    EXPECT_FALSE(now.contains("kind"));
    EXPECT_EQ(now["status"]["state"], "TASK_STATE_WORKING");
    EXPECT_EQ(now["status"]["timestamp"], "1970-01-01T00:00:01.000Z");
    EXPECT_EQ(now["status"]["message"]["role"], "ROLE_AGENT");
    EXPECT_EQ(now["history"].size(), 3U);
    EXPECT_EQ(now["artifacts"][0]["parts"][2]["mediaType"], "text/plain");
    const OrderedJson before = task_json(task(), WireVersion::v0_3);
    EXPECT_EQ(before["kind"], "task");
    EXPECT_EQ(before["status"]["state"], "working");
    EXPECT_EQ(before["history"][0]["kind"], "message");
    EXPECT_EQ(before["artifacts"][0]["parts"][2],
              (OrderedJson{{"kind", "file"}, {"file", {{"bytes", "VENL"}, {"name", "o.txt"}, {"mimeType", "text/plain"}}}}));
}

TEST(A2aWrite, HistoryAndArtifactsAreLeftOutOnRequest) {
    const OrderedJson two = task_json(task(), WireVersion::v1_0, {.history_length = 2, .artifacts = false});
    ASSERT_EQ(two["history"].size(), 2U);
    EXPECT_EQ(two["history"][0]["messageId"], "m2");
    EXPECT_FALSE(two.contains("artifacts"));
    EXPECT_FALSE(task_json(task(), WireVersion::v1_0, {.history_length = 0}).contains("history"));
}

TEST(A2aWrite, EventsAreWrappedOrSayTheirKind) {
    const StatusUpdate status{.task_id = "t", .context_id = "c", .status = {.state = TaskState::input_required}};
    EXPECT_EQ(event_json(status, WireVersion::v1_0)["statusUpdate"]["taskId"], "t");
    EXPECT_FALSE(event_json(status, WireVersion::v1_0)["statusUpdate"].contains("final"));
    const OrderedJson before = event_json(status, WireVersion::v0_3);
    EXPECT_EQ(before["kind"], "status-update");
    EXPECT_EQ(before["final"], true);
    const ArtifactUpdate update{.task_id = "t", .context_id = "c", .artifact = task().artifacts[0], .append = true};
    EXPECT_EQ(event_json(update, WireVersion::v1_0)["artifactUpdate"]["append"], true);
    EXPECT_EQ(event_json(update, WireVersion::v0_3)["kind"], "artifact-update");
    EXPECT_EQ(event_json(task(), WireVersion::v1_0)["task"]["id"], "t");
    EXPECT_EQ(event_json(message("m"), WireVersion::v0_3)["messageId"], "m");
}

TEST(A2aWrite, PushConfigurationsComeBackAsTheyWere) {
    PushConfig config{.task_id = "t", .id = "h", .url = "https://example.com/hook", .token = "k"};
    config.authentication = {.scheme = "Bearer", .credentials = "secret"};
    for (const WireVersion dialect : {WireVersion::v1_0, WireVersion::v0_3}) {
        config.dialect = dialect;
        const OrderedJson json = push_config_json(config);
        const auto read = read_new_push_config(Field(json), dialect);
        ASSERT_TRUE(read) << read.error().message;
        EXPECT_EQ(*read, config);
    }
}

}  // namespace
}  // namespace engram::protocol::a2a
