// Budgets of thinking.
#include <gtest/gtest.h>

#include "agents/testing_chat.h"
#include "agents/testing_manager.h"

namespace engram {
namespace {

using namespace testing;

// A synthetic model never ends its thinking by itself.
TEST(ChatThinkingTest, EndsWhereItsTokensDo) {
    const TemporaryFolder home;
    const auto manager = open_manager(tiny_manager(home.path(), "tiny-thinker"));
    for (const std::uint32_t most : {0U, 1U, 7U, 40U}) {
        SCOPED_TRACE(most);
        ChatRequest asked;
        asked.messages = {{.role = "user", .content = "What now?"}};
        asked.max_tokens = 60;
        asked.thinks = true;
        asked.thinking_tokens = most;
        const Answered answered = ask(*manager, asked);
        EXPECT_EQ(answered.thinking.front().empty(), most == 0);
        EXPECT_FALSE(answered.text().empty());
        EXPECT_FALSE(answered.thinking.front().contains("</think>"));
        EXPECT_FALSE(answered.text().contains("think>")) << answered.text();
        EXPECT_EQ(answered.finished.front().answer_tokens, 60U);
        EXPECT_GE(answered.finished.front().thinking_tokens + 1, most);
        EXPECT_LE(answered.finished.front().thinking_tokens, most + 4) << "the marks, and what is left of a character";
        // What was thought is a part of the memory: the next turn goes on behind it.
        const std::uint64_t read = answered.started.prompt_tokens + answered.finished.front().answer_tokens;
        asked.messages.push_back({.role = "assistant", .content = answered.text()});
        asked.messages.push_back({.role = "user", .content = "And then?"});
        EXPECT_GE(ask(*manager, asked).started.cached_tokens + 1, read);
    }
}

TEST(ChatThinkingTest, WhatIsForcedToBeJsonIsJsonBehindIt) {
    const TemporaryFolder home;
    const auto manager = open_manager(tiny_manager(home.path(), "tiny-thinker"));
    ChatRequest asked;
    asked.messages = {{.role = "user", .content = "What now?"}};
    asked.max_tokens = 200;
    asked.thinks = true;
    asked.thinking_tokens = 12;
    asked.format = AnswerFormat::json_schema;
    asked.schema = R"({"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],"additionalProperties":false})";
    const Answered answered = ask(*manager, asked);
    EXPECT_FALSE(answered.thinking.front().empty());
    const std::string &text = answered.text();
    EXPECT_TRUE(text.starts_with("{") && text.ends_with("}") && text.contains("\"ok\"")) << text;
    EXPECT_EQ(answered.finished.front().reason, FinishReason::stop);
}

}  // namespace
}  // namespace engram
