// An agent whose context is full goes on, as its card says; its transcript stays whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <format>

#include "agents/testing_chat.h"
#include "agents/testing_manager.h"

namespace engram {
namespace {

using namespace testing;

std::string saying(const std::string &text) { return "root ::= \"" + text + "\""; }

class CompactionTest : public ::testing::TestWithParam<std::string> {
  protected:
    CompactionTest() { open(); }

    void open() {
        manager_.reset();
        ManagerOptions options = tiny_manager(home_.path(), GetParam());
        options.model.context_tokens = 512;
        manager_ = open_manager(options);
    }
    void create(const std::string &id, Compaction compaction) {
        AgentSpec spec{.id = id, .system_prompt = "You keep a log."};
        spec.card.compaction = compaction;
        must(manager_->create(spec));
    }
    Result<TurnResult> turn(const std::string &id, int number) {
        TurnRequest request{.prompt = std::format("Entry {}: {}", number, filler(12, number)), .max_tokens = 16};
        request.sampling.grammar = saying(std::format("Noted {}.", number));
        return manager_->generate(id, request);
    }
    std::vector<Message> transcript(const std::string &id) const { return must(manager_->transcript(id)); }

    TemporaryFolder home_;
    std::unique_ptr<AgentManager> manager_;
};

constexpr int kTurns = 30;  // several times what the context holds

TEST_P(CompactionTest, StopsWithASentence) {
    create("a", Compaction::stop);
    std::string message;
    for (int i = 0; i < kTurns && message.empty(); ++i) {
        const auto said = turn("a", i);
        if (!said) message = said.error().message;
    }
    EXPECT_TRUE(message.contains("use a larger context")) << message;
    EXPECT_TRUE(std::ranges::none_of(transcript("a"), [](const Message &m) { return m.role == "compaction"; }));
}

TEST_P(CompactionTest, TheLastTurnsStayAndNothingIsLost) {
    create("a", Compaction::keep_last);
    int times = 0;
    for (int i = 0; i < kTurns; ++i) {
        if (i == kTurns / 2) open();  // it survives
        const TurnResult said = must(turn("a", i));
        EXPECT_EQ(said.text, std::format("Noted {}.", i));
        EXPECT_LE(said.prompt_tokens, 512U);
        if (said.warning.starts_with("the context was full: ")) {
            ++times;
        } else {
            EXPECT_EQ(said.warning, "");
        }
    }
    EXPECT_GE(times, 2);
    std::vector<Message> said = transcript("a");
    EXPECT_EQ(std::ranges::count(said, "compaction", &Message::role), times);
    EXPECT_EQ(said.front().role, "user") << "the first message of all";
    std::erase_if(said, [](const Message &m) { return m.role == "compaction"; });
    ASSERT_EQ(said.size(), 2U * kTurns);
    for (int i = 0; i < kTurns; ++i) {
        EXPECT_TRUE(said[2 * static_cast<std::size_t>(i)].content.starts_with(std::format("Entry {}: ", i)));
        EXPECT_EQ(said[(2 * static_cast<std::size_t>(i)) + 1].content, std::format("Noted {}.", i));
    }
}

// What follows a compaction reads the system prompt, the word about it, and the turns that stayed; and goes on from there as
// ever.
TEST_P(CompactionTest, WhatIsReadIsTheLastTurns) {
    create("a", Compaction::stop);
    for (int i = 0; i < 4; ++i) must(turn("a", i));
    must(manager_->compact("a", 6, "Three entries were noted."));
    const TurnResult after = must(turn("a", 4));
    const std::string prompt = must(manager_->detokenise(must(manager_->tokens("a"))));
    EXPECT_TRUE(prompt.contains("What was said earlier, in short:\nThree entries were noted.")) << prompt;
    EXPECT_FALSE(prompt.contains("Entry 2: ")) << prompt;
    EXPECT_TRUE(prompt.contains("Entry 3: ") && prompt.contains("Noted 3.") && prompt.contains("Entry 4: ")) << prompt;
    const TurnResult next = must(turn("a", 5));
    EXPECT_GE(next.reused_tokens + 1, after.prompt_tokens + after.tokens.size()) << "nothing is read again";
    must(manager_->save("a"));
    open();
    const TurnResult later = must(turn("a", 6));
    EXPECT_GE(later.reused_tokens + 1, next.prompt_tokens + next.tokens.size());

    const auto code = [&](std::size_t place) { return manager_->compact("a", place, "").error().code; };
    EXPECT_EQ(code(3), ErrorCode::invalid_argument) << "it isn't read any more";
    EXPECT_EQ(code(8), ErrorCode::invalid_argument) << "an answer";
    EXPECT_EQ(code(100), ErrorCode::invalid_argument);
    EXPECT_EQ(manager_->compact("nobody", 0, "").error().code, ErrorCode::not_found);
}

TEST_P(CompactionTest, TheAgentSumsUpItself) {
    create("a", Compaction::summarise);
    std::uint64_t agents = 0;
    bool summed_up = false;
    for (int i = 0; i < kTurns && !summed_up; ++i) {
        agents = must(manager_->list()).size();
        summed_up = must(turn("a", i)).warning.ends_with(", after a summary");
    }
    ASSERT_TRUE(summed_up);
    EXPECT_EQ(must(manager_->list()).size(), agents) << "nothing stays of how it was made";
    const auto said = transcript("a");
    const auto compaction = std::ranges::find(said, "compaction", &Message::role);
    ASSERT_NE(compaction, said.end());
    EXPECT_FALSE(compaction->content.empty()) << "what a model of random weights says of it";
    EXPECT_TRUE(must(manager_->detokenise(must(manager_->tokens("a")))).contains("What was said earlier, in short:"));
}

// A client that sends the whole conversation each time may go on doing so.
TEST_P(CompactionTest, AClientMaySendAllOfIt) {
    create("a", Compaction::stop);
    for (int i = 0; i < 4; ++i) must(turn("a", i));
    must(manager_->compact("a", 4, ""));
    must(turn("a", 4));
    ChatRequest all{.agent = "a"};
    for (const Message &message : transcript("a")) {
        if (message.role != "compaction") all.messages.push_back({.role = message.role, .content = message.content});
    }
    all.messages.push_back({.role = "user", .content = "And now?"});
    all.sampling.grammar = saying("Nothing.");
    all.max_tokens = 16;
    const std::size_t before = transcript("a").size();
    const Answered said = ask(*manager_, all);
    EXPECT_EQ(said.text(), "Nothing.");
    EXPECT_EQ(transcript("a").size(), before + 2) << "only what is new is added";
    EXPECT_GT(said.started.cached_tokens, said.started.prompt_tokens / 2);
}

INSTANTIATE_TEST_SUITE_P(Models, CompactionTest, ::testing::Values("tiny-llama", "tiny-gemma3", "tiny-lfm2"));

}  // namespace
}  // namespace engram
