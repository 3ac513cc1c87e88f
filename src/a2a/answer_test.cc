#include "a2a/answer.h"

#include <gtest/gtest.h>

namespace engram::a2a {
namespace {

using namespace protocol::a2a;
using protocol::a2a::Message;

ArtifactUpdate piece(std::string text, bool append, std::string artifact = "a") {
    return {.task_id = "t",
            .context_id = "c",
            .artifact = {.id = std::move(artifact), .parts = {{.content = std::move(text)}}},
            .append = append};
}
StatusUpdate status(TaskState state, std::string text = {}) {
    StatusUpdate update{.task_id = "t", .context_id = "c", .status = {.state = state}};
    if (!text.empty()) update.status.message = Message{.id = "m", .role = Role::agent, .parts = {{.content = std::move(text)}}};
    return update;
}

TEST(A2aAnswer, PiecesBecomeAText) {
    Answer answer;
    EXPECT_EQ(answer.take(status(TaskState::working)), "");
    EXPECT_EQ(answer.take(piece("Hello", false)), "Hello");
    EXPECT_EQ(answer.take(piece(", world", true)), ", world");
    EXPECT_FALSE(answer.over());
    EXPECT_EQ(answer.text(), "Hello, world");
    answer.take(piece("second", false, "b"));
    answer.take(status(TaskState::completed));
    EXPECT_TRUE(answer.over());
    EXPECT_EQ(answer.text(), "Hello, world\n\nsecond");
    EXPECT_EQ(answer.task_id() + answer.context_id(), "tc");
    answer.take(piece("anew", false));
    EXPECT_EQ(answer.text(), "anew\n\nsecond") << "what isn't appended takes the artifact's place";
}

TEST(A2aAnswer, ATaskTakesThePlaceOfWhatWasHeard) {
    Answer answer;
    answer.take(piece("half of", false));
    Task whole{.id = "t", .context_id = "c", .status = {.state = TaskState::completed}, .metadata = R"({"x":1})"};
    answer.take(whole);
    EXPECT_EQ(answer.text(), "half of") << "a server may leave artifacts out";
    whole.artifacts.push_back({.id = "a", .parts = {{.content = "the whole"}}});
    answer.take(whole);
    EXPECT_EQ(answer.text(), "the whole");
    EXPECT_EQ(answer.metadata(), R"({"x":1})");
}

TEST(A2aAnswer, WithoutArtifactsTheStatusOrTheHistorySpeaks) {
    Answer asks;
    asks.take(status(TaskState::input_required, "Which one?"));
    EXPECT_TRUE(asks.over());
    EXPECT_EQ(asks.text(), "Which one?");
    EXPECT_EQ(asks.status_text(), "Which one?");
    Answer from_history;
    Task task{.id = "t", .status = {.state = TaskState::completed}};
    task.history = {{.role = Role::agent, .parts = {{.content = "first"}}},
                    {.role = Role::agent, .parts = {{.content = "last"}}},
                    {.role = Role::user, .parts = {{.content = "thanks"}}}};
    from_history.take(task);
    EXPECT_EQ(from_history.text(), "last");
    Answer message;
    message.take(Message{.id = "m", .context_id = "c", .role = Role::agent, .parts = {{.content = "at once"}}});
    EXPECT_TRUE(message.over());
    EXPECT_EQ(message.text() + message.context_id() + message.task_id(), "at oncec");
    EXPECT_EQ(message.state(), TaskState::completed);
}

// They are looked up one by one, so that very many would cost far more than their bytes.
TEST(A2aAnswer, SoManyArtifactsAreKept) {
    Answer answer;
    for (int i = 0; i < 5000; ++i) EXPECT_EQ(answer.take(piece("x", false, std::to_string(i))), "x");
    EXPECT_EQ(answer.text().size(), 4096 + 4095 * std::string_view("\n\n").size());
}

}  // namespace
}  // namespace engram::a2a
