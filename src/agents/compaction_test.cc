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
        options.model.context_tokens = context_tokens_;
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

    std::uint32_t context_tokens_ = 512;
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

// --- within a turn of many calls ---

// An agent that looks at one place after another.
class CompactionOfCallsTest : public CompactionTest {
  protected:
    CompactionOfCallsTest() {
        context_tokens_ = 1024;
        open();
    }

    // Tells it something; it answers with a call for the place.
    Result<Answered> told(ChatMessage message, int place) {
        ChatRequest request{.agent = "a", .messages = {std::move(message)}};
        request.tools = {{.name = "look", .description = "Looks", .parameters = R"({"type":"object"})"}};
        request.sampling.grammar = saying(
            std::format(R"(<tool_call>{{\"name\": \"look\", \"arguments\": {{\"at\": \"place {}\"}}}}</tool_call>)", place));
        request.max_tokens = 100;
        auto answered = try_ask(*manager_, request);
        if (answered && !answered->calls.empty()) waits_ = answered->calls.back().id;
        return answered;
    }
    Result<Answered> ask_it() { return told({.role = "user", .content = "How is the tide?"}, 0); }
    // The result of the call for the place, of so many tokens; the answer is the next call.
    Result<Answered> result(int place, std::size_t tokens = 90) {
        std::string text = std::format("At {} all is:", place);
        for (int i = 0; manager_->tokenise(text).size() < tokens; ++i) text += " " + filler(3, place + i);
        return told({.role = "tool", .content = text, .tool_call_id = waits_}, place + 1);
    }
    std::string read() const { return must(manager_->detokenise(must(manager_->tokens("a")))); }

    std::string waits_;  // the id of the last call
};

constexpr int kRounds = 10;  // about twice what the context holds

TEST_P(CompactionOfCallsTest, StopsWithASentence) {
    create("a", Compaction::stop);
    must(ask_it());
    std::string message;
    for (int i = 0; i < kRounds && message.empty(); ++i) {
        const auto said = result(i);
        if (!said) message = said.error().message;
    }
    EXPECT_TRUE(message.contains("use a larger context")) << message;
    EXPECT_FALSE(std::ranges::contains(transcript("a"), "compaction", &Message::role));
}

TEST_P(CompactionOfCallsTest, TheQuestionAndTheCallThatIsAnsweredStay) {
    for (const Compaction compaction : {Compaction::keep_last, Compaction::summarise}) {
        create("a", compaction);
        must(ask_it());
        int times = 0;
        for (int i = 0; i < kRounds; ++i) {
            if (i == kRounds / 2) open();  // it survives
            const Answered said = must(result(i));
            ASSERT_EQ(said.calls.size(), 1U) << i;
            const std::string prompt = read();
            EXPECT_TRUE(prompt.contains("How is the tide?")) << prompt;
            EXPECT_TRUE(prompt.contains(std::format("place {}", i))) << "the call: " << prompt;
            EXPECT_TRUE(prompt.contains(std::format("At {} all is:", i))) << "its result: " << prompt;
            const auto full = [](const std::string &repair) { return repair.starts_with("the context was full: "); };
            if (std::ranges::any_of(said.started.repairs, full)) ++times;
        }
        EXPECT_GE(times, 1);
        EXPECT_FALSE(read().contains("At 0 all is:")) << "the oldest results went";
        std::vector<Message> said = transcript("a");
        EXPECT_EQ(std::ranges::count(said, "compaction", &Message::role), times);
        for (std::size_t i = 0; i + 1 < said.size(); ++i) {
            if (said[i].role != "compaction") continue;
            EXPECT_EQ(said[i + 1].role, "assistant") << "a call, with its results behind it";
        }
        std::erase_if(said, [](const Message &m) { return m.role == "compaction"; });
        EXPECT_EQ(said.size(), 2U + (2U * kRounds)) << "nothing is lost";
        must(manager_->remove("a"));
    }
}

// A result that doesn't fit, whatever goes, is refused, and nothing has gone for it: the call still waits.
TEST_P(CompactionOfCallsTest, AResultThatNeverFitsIsRefused) {
    create("a", Compaction::keep_last);
    must(ask_it());
    for (int i = 0; i < 3; ++i) must(result(i));
    const std::size_t before = transcript("a").size();
    const auto refused = result(3, 1100);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().message.contains("use a larger context")) << refused.error().message;
    EXPECT_EQ(transcript("a").size(), before);
    EXPECT_EQ(must(result(3)).calls.size(), 1U);
    EXPECT_TRUE(read().contains("How is the tide?")) << read();
}

TEST_P(CompactionOfCallsTest, ACallThatWaitsStays) {
    create("a", Compaction::stop);
    must(ask_it());
    must(manager_->compact("a", transcript("a").size(), "Nothing was seen."));
    open();
    must(result(0));
    const std::string prompt = read();
    EXPECT_TRUE(prompt.contains("Nothing was seen.") && prompt.contains("How is the tide?")) << prompt;
    EXPECT_TRUE(prompt.contains("place 0") && prompt.contains("At 0 all is:")) << prompt;
    std::string roles;
    for (const Message &message : transcript("a")) roles += message.role + " ";
    EXPECT_EQ(roles, "user compaction assistant tool assistant ");
}

INSTANTIATE_TEST_SUITE_P(Models, CompactionOfCallsTest, ::testing::Values("tiny-llama", "tiny-gemma3", "tiny-lfm2"));
INSTANTIATE_TEST_SUITE_P(Models, CompactionTest, ::testing::Values("tiny-llama", "tiny-gemma3", "tiny-lfm2"));

}  // namespace
}  // namespace engram
