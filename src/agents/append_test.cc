// Conversations that happened elsewhere, and tools: what is appended is read, kept and answered as if it had been said here.
#include <gtest/gtest.h>

#include <algorithm>

#include "agents/testing_manager.h"
#include "chat/conversation.h"
#include "chat/tool_call.h"

namespace engram {
namespace {

using namespace testing;

const std::string kTools =
    R"([{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}])";
const std::string kCalls = R"([{"type":"function","function":{"name":"get_weather","arguments":{"city":"Lisbon"}}}])";

const std::vector<Message> kConversation{
    {.role = "user", .content = "Remember this: " + filler(60, 1)}, {.role = "assistant", .content = "It is noted."},
    {.role = "user", .content = "How is the weather in Lisbon?"},   {.role = "assistant", .content = "", .tool_calls = kCalls},
    {.role = "tool", .content = R"({"temperature": 21})"},          {.role = "assistant", .content = "It is 21 degrees."}};
const std::string kQuestion = "What did I say? " + filler(10, 2);

class AppendTest : public ::testing::TestWithParam<std::string> {
  protected:
    ManagerOptions options() const { return tiny_manager(home_.path(), GetParam()); }
    static AgentSpec spec() { return {.id = "a", .system_prompt = "You are brief. " + filler(20), .tools = kTools}; }

    // Tokens of the conversation and the question after it, as the template alone gives them.
    std::vector<std::int32_t> rendered() const {
        const auto model = load_tiny(options().model);
        const auto chat = must(ChatTemplate::create(
            model->chat_template(), {.bos = model->bos_text(), .eos = model->eos_text(), .adds_bos = model->adds_bos()}));
        std::vector<TemplateMessage> messages{{.role = "system", .content = spec().system_prompt}};
        for (const Message &message : kConversation) messages.push_back({message.role, message.content, message.tool_calls});
        messages.push_back({.role = "user", .content = kQuestion});
        return model->tokenise(must(chat->render(messages, true, kTools)), true, true);
    }

    TemporaryFolder home_;
};

TEST_P(AppendTest, GivesTheTokensOfTheWholeConversation) {
    const auto expected = rendered();
    for (const std::size_t first : {6UZ, 1UZ, 2UZ, 4UZ}) {
        TemporaryFolder home;
        auto manager = open_manager(tiny_manager(home.path(), GetParam()));
        must(manager->create(spec()));
        const auto all = std::span(kConversation);
        const TurnResult told = must(manager->append("a", all.first(first)));
        EXPECT_EQ(told.finish, "appended");
        EXPECT_TRUE(told.tokens.empty());
        EXPECT_GT(told.computed_tokens, 0U);
        if (first < all.size()) {
            EXPECT_GT(must(manager->append("a", all.subspan(first))).reused_tokens, told.prompt_tokens / 2);
        }
        const std::uint64_t read = must(manager->get("a")).n_tokens;
        const TurnResult answer = say(*manager, "a", kQuestion, 5);
        const auto tokens = must(manager->tokens("a"));
        ASSERT_EQ(answer.prompt_tokens, expected.size());
        EXPECT_TRUE(std::ranges::equal(std::span(tokens).first(expected.size()), expected)) << "cut after message " << first;
        EXPECT_FALSE(answer.miss.has_value()) << answer.miss->reason;
        EXPECT_EQ(answer.reused_tokens, read) << "nothing is read again";
    }
}

TEST_P(AppendTest, ComesBackFromDiskInAnotherProcess) {
    std::vector<std::int32_t> expected;
    std::string digest;
    {
        TemporaryFolder home;
        auto control = open_manager(tiny_manager(home.path(), GetParam()));
        must(control->create(spec()));
        must(control->append("a", kConversation));
        // As in manager_test: a window's cells must be placed alike for answers to be comparable.
        if (control->stats().memory_class == "window") must(control->evict("a", AgentManager::EvictTo::memory));
        digest = must(control->kv_digest("a"));
        expected = say(*control, "a", kQuestion, 60).tokens;
    }
    {
        auto manager = open_manager(options());
        must(manager->create(spec()));
        must(manager->append("a", kConversation));
    }
    auto manager = open_manager(options());
    const AgentInfo info = must(manager->get("a"));
    EXPECT_EQ(info.tier, "disk");
    EXPECT_EQ(info.tools, kTools);
    EXPECT_EQ(info.n_turns, 0U) << "nothing was asked";
    EXPECT_EQ(must(manager->kv_digest("a")), digest);
    must(manager->evict("a"));
    const TurnResult answer = say(*manager, "a", kQuestion, 60);
    EXPECT_EQ(answer.tier, "disk");
    EXPECT_EQ(answer.reused_tokens, info.n_tokens) << "all that was appended comes back";
    EXPECT_EQ(answer.tokens, expected);
}

TEST_P(AppendTest, ForksAnswerLikeTheOriginal) {
    auto manager = open_manager(options());
    must(manager->create(spec()));
    must(manager->append("a", kConversation));
    must(manager->fork("a", "b"));
    must(manager->fork("a", "c"));
    if (manager->stats().memory_class == "window") must(manager->evict("a", AgentManager::EvictTo::memory));
    EXPECT_EQ(must(manager->get("b")).tools, kTools);
    const TurnResult b = say(*manager, "b", kQuestion, 40);
    EXPECT_EQ(b.tokens, say(*manager, "c", kQuestion, 40).tokens);
    EXPECT_EQ(b.tokens, say(*manager, "a", kQuestion, 40).tokens);
}

INSTANTIATE_TEST_SUITE_P(Classes, AppendTest,
                         ::testing::Values("tiny-llama", "tiny-gemma3", "tiny-windows", "tiny-lfm2", "tiny-mamba"),
                         [](const auto &tested) { return test_name(tested.param); });

class ToolsTest : public ::testing::Test {
  protected:
    TemporaryFolder home_;
    ManagerOptions options_ = tiny_manager(home_.path());
};

TEST_F(ToolsTest, AppendedMessagesAreTheTranscript) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "a", .tools = kTools}));
    must(manager->append("a", kConversation));
    say(*manager, "a", "And now?", 5);
    const auto transcript = must(manager->transcript("a"));
    ASSERT_EQ(transcript.size(), kConversation.size() + 2);
    for (std::size_t i = 0; i < kConversation.size(); ++i) {
        EXPECT_EQ(transcript[i].role, kConversation[i].role);
        EXPECT_EQ(transcript[i].content, kConversation[i].content);
        EXPECT_EQ(transcript[i].tool_calls, kConversation[i].tool_calls);
        EXPECT_GT(transcript[i].created_ms, 0);
    }
}

TEST_F(ToolsTest, WhatIsNoConversationIsRefused) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "a"}));
    const auto code = [&](const Message &message) { return manager->append("a", std::span(&message, 1)).error().code; };
    EXPECT_EQ(code({.role = "narrator", .content = "x"}), ErrorCode::invalid_argument);
    EXPECT_EQ(code({.role = "user", .content = "x", .tool_calls = kCalls}), ErrorCode::invalid_argument);
    EXPECT_EQ(code({.role = "assistant", .content = "x", .tool_calls = "{"}), ErrorCode::invalid_argument);
    EXPECT_EQ(manager->append("a", {}).error().code, ErrorCode::invalid_argument);
    const Message good{.role = "user", .content = "x"};
    EXPECT_EQ(manager->append("nobody", std::span(&good, 1)).error().code, ErrorCode::not_found);
    EXPECT_EQ(manager->append("../a", std::span(&good, 1)).error().code, ErrorCode::invalid_argument);
    const Message endless{.role = "user", .content = filler(5000)};
    EXPECT_EQ(manager->append("a", std::span(&endless, 1)).error().code, ErrorCode::too_long);
    EXPECT_EQ(must(manager->transcript("a")).size(), 0U) << "what was refused left nothing behind";
    for (const std::string bad : {"{", "{}", "[{}]"}) {
        EXPECT_EQ(manager->create({.id = "b", .tools = bad}).error().code, ErrorCode::invalid_argument) << bad;
    }
}

// A random model says what a grammar makes it say.
TEST_F(ToolsTest, CallsInAnswersAreFoundAndKept) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "a", .tools = kTools}));
    must(manager->create({.id = "none"}));
    TurnRequest request{.prompt = "How is the weather?", .max_tokens = 400};
    request.sampling.grammar =
        R"(root ::= "Well. <tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Lisbon\"}}</tool_call>")";
    const TurnResult called = must(manager->generate("a", request));
    EXPECT_EQ(called.tool_calls, kCalls);
    EXPECT_TRUE(called.text.starts_with("Well. <tool_call>")) << "the text is what was streamed: " << called.text;
    const auto transcript = must(manager->transcript("a"));
    EXPECT_EQ(transcript.at(1).content, "Well.");
    EXPECT_EQ(transcript.at(1).tool_calls, kCalls);
    EXPECT_EQ(must(manager->generate("none", request)).tool_calls, "") << "an agent without tools calls none";
    EXPECT_EQ(must(manager->transcript("none")).at(1).content, called.text);

    request.sampling.grammar = R"(root ::= "<tool_call>{\"name\": oops</tool_call>")";
    const TurnResult malformed = must(manager->generate("a", request));
    EXPECT_EQ(malformed.tool_calls, "");
    EXPECT_EQ(must(manager->transcript("a")).at(3).content, malformed.text);
    // The result of a call is a turn like any other.
    EXPECT_GT(must(manager->generate("a", {.prompt = "{}", .role = "tool", .max_tokens = 5})).reused_tokens, 50U);
}

TEST_F(ToolsTest, TravelWithTheAgentsFile) {
    const auto file = home_.path() / "a.engram";
    auto manager = open_manager(options_);
    must(manager->create({.id = "a", .tools = kTools}));
    must(manager->append("a", kConversation));
    must(manager->export_agent("a", file));
    must(manager->import_agent(file, {.as = "b"}));
    EXPECT_EQ(must(manager->get("b")).tools, kTools);
    EXPECT_EQ(must(manager->transcript("b")).at(3).tool_calls, kCalls);
    EXPECT_EQ(say(*manager, "b", kQuestion, 20).tokens, say(*manager, "a", kQuestion, 20).tokens);
}

}  // namespace
}  // namespace engram
