// Clients that send all of their conversation each time: it is recognised, continued, forked, and answered with events.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <thread>

#include "agents/testing_chat.h"
#include "agents/testing_manager.h"

namespace engram {
namespace {

using namespace testing;

// A model of random weights says what a grammar makes it say, and ends its turn.
std::string saying(const std::string &text) { return "root ::= \"" + text + "\""; }

ChatTool weather() {
    return {.name = "get_weather",
            .description = "The weather of a city",
            .parameters =
                R"({"type":"object","properties":{"city":{"type":"string","enum":["Lisbon","Oslo"]}},"required":["city"]})"};
}

class ChatTest : public ::testing::TestWithParam<std::string> {
  protected:
    ChatTest() : manager_(open()) {}

    std::unique_ptr<AgentManager> open() const { return open_manager(tiny_manager(home_.path(), GetParam())); }
    void reopen() {
        manager_.reset();
        manager_ = open();
    }

    static ChatRequest request() {
        ChatRequest request;
        request.messages = {{.role = "system", .content = "You are brief. " + filler(40)},
                            {.role = "user", .content = "Remember this: " + filler(60, 1)}};
        request.sampling.grammar = saying("It is noted.");
        request.max_tokens = 32;
        return request;
    }
    // What the client sends next: all of it, the answer, and more.
    static ChatRequest followed(ChatRequest request, const std::string &answer, const std::string &next,
                                const std::string &says = "Very well.") {
        request.messages.push_back({.role = "assistant", .content = answer});
        request.messages.push_back({.role = "user", .content = next});
        request.sampling.grammar = saying(says);
        return request;
    }
    std::vector<std::string> conversations() const {
        std::vector<std::string> ids;
        for (const AgentInfo &info : must(manager_->list())) {
            if (info.conversation) ids.push_back(info.id);
        }
        return ids;
    }

    TemporaryFolder home_;
    std::unique_ptr<AgentManager> manager_;
};

TEST_P(ChatTest, GoesOnWithWhatItHasRead) {
    const Answered first = ask(*manager_, request());
    EXPECT_EQ(first.text(), "It is noted.");
    EXPECT_EQ(first.started.cached_tokens, 0U);
    EXPECT_EQ(first.finished.front().reason, FinishReason::stop);
    EXPECT_TRUE(first.started.repairs.empty());
    ASSERT_EQ(conversations().size(), 1U);
    EXPECT_EQ(first.started.agent, conversations().front());

    const std::uint64_t read = must(manager_->get(first.started.agent)).n_tokens;
    EXPECT_EQ(read, first.started.prompt_tokens + first.finished.front().answer_tokens);
    const Answered second = ask(*manager_, followed(request(), "It is noted.", "What did I say?"));
    EXPECT_EQ(second.text(), "Very well.");
    EXPECT_EQ(second.started.agent, first.started.agent);
    EXPECT_GE(second.started.cached_tokens + 1, read) << "all that was read and said";
    EXPECT_FALSE(second.started.miss) << second.started.miss->reason;
    EXPECT_EQ(conversations().size(), 1U);
    EXPECT_EQ(must(manager_->transcript(first.started.agent)).size(), 4U);
}

TEST_P(ChatTest, ComesBackFromDisk) {
    const Answered first = ask(*manager_, request());
    const std::uint64_t read = must(manager_->get(first.started.agent)).n_tokens;
    reopen();
    const Answered second = ask(*manager_, followed(request(), first.text(), "What did I say?"));
    EXPECT_EQ(second.started.agent, first.started.agent);
    EXPECT_GE(second.started.cached_tokens + 1, read);
    EXPECT_EQ(second.started.tier, "disk");
}

TEST_P(ChatTest, OtherWordsForTheSameAreTheSame) {
    ChatRequest asked = request();
    asked.tools = {{.name = "add", .description = "Adds"}, weather()};
    asked.tool_choice = {.use = ToolUse::named, .name = "get_weather", .parallel = false};
    asked.sampling.grammar.clear();
    asked.max_tokens = 200;
    const Answered first = ask(*manager_, asked);
    ASSERT_EQ(first.calls.size(), 1U);
    const ChatToolCall call = first.calls.front();
    EXPECT_EQ(call.name, "get_weather");
    EXPECT_TRUE(call.arguments.contains("Lisbon") || call.arguments.contains("Oslo")) << call.arguments;
    EXPECT_TRUE(call.id.starts_with("call_"));
    EXPECT_EQ(first.finished.front().reason, FinishReason::tool_calls);
    EXPECT_EQ(first.text(), "") << "a call and nothing else";

    // Tools in another order, the call with another id and spacing, white space behind a text.
    ChatRequest next = asked;
    std::ranges::reverse(next.tools);
    next.messages[1].content += "  \n";
    const std::string city = call.arguments.contains("Lisbon") ? "Lisbon" : "Oslo";
    next.messages.push_back(
        {.role = "assistant",
         .content = "",
         .tool_calls = {{.id = "other", .name = "get_weather", .arguments = "{ \"city\" : \"" + city + "\" }"}}});
    next.messages.push_back({.role = "tool", .content = "21 degrees", .tool_call_id = "other"});
    next.tool_choice = {};
    next.sampling.grammar = saying("It is warm.");
    const Answered second = ask(*manager_, next);
    EXPECT_EQ(second.text(), "It is warm.");
    EXPECT_EQ(second.started.agent, first.started.agent);
    EXPECT_EQ(second.started.repairs.size(), 2U) << "the order of the tools, and the other words";
    const auto transcript = must(manager_->transcript(first.started.agent));
    ASSERT_EQ(transcript.size(), 4U);
    EXPECT_EQ(transcript[1].tool_calls.contains(call.id), true) << transcript[1].tool_calls;
}

TEST_P(ChatTest, AnotherAnswerForksAndLeavesTheFirst) {
    const Answered first = ask(*manager_, request());
    const ChatRequest base = followed(request(), first.text(), "And this: " + filler(30, 2), "One.");
    const Answered one = ask(*manager_, base);
    ChatRequest again = base;
    again.sampling.grammar = saying("Two.");
    const Answered two = ask(*manager_, again);
    EXPECT_NE(two.started.agent, one.started.agent);
    // Up to where they part, or, where the memory class can't be cut there, to a checkpoint before.
    const std::uint64_t common = GetParam() == "tiny-llama" ? first.started.prompt_tokens : first.started.prompt_tokens / 2;
    EXPECT_GE(two.started.cached_tokens, common);
    ChatRequest edited = request();
    edited = followed(edited, first.text(), "Something else: " + filler(30, 3), "Three.");
    const Answered three = ask(*manager_, edited);
    EXPECT_GE(three.started.cached_tokens, common);
    EXPECT_EQ(conversations().size(), 3U);
    // Each goes on in its own.
    for (const auto &[before, answer] : {std::pair(base, one), std::pair(again, two), std::pair(edited, three)}) {
        EXPECT_EQ(ask(*manager_, followed(before, answer.text(), "More?")).started.agent, answer.started.agent);
    }
}

TEST_P(ChatTest, AnotherTenantKnowsNothingOfIt) {
    const Answered first = ask(*manager_, request());
    const auto other = must(manager_->for_tenant("other"));
    const Answered foreign = ask(*other, followed(request(), first.text(), "What did I say?"));
    EXPECT_EQ(foreign.started.cached_tokens, 0U);
    EXPECT_EQ(foreign.started.tier, "none");
    EXPECT_EQ(must(other->list()).size(), 1U);
    EXPECT_FALSE(manager_->get(foreign.started.agent).has_value());
}

TEST_P(ChatTest, WhatIsReadAheadIsFoundAlsoAfterARestart) {
    ChatRequest warm = request();
    warm.max_tokens = 0;
    const Answered read = ask(*manager_, warm);
    EXPECT_EQ(read.text(), "");
    EXPECT_EQ(read.finished.front().answer_tokens, 0U);
    reopen();
    const Answered asked = ask(*manager_, request());
    EXPECT_EQ(asked.text(), "It is noted.");
    EXPECT_GT(asked.started.cached_tokens, read.started.prompt_tokens / 2);
}

TEST_P(ChatTest, PromptAsItWillBeRead) {
    const Answered first = ask(*manager_, request());
    const ChatRequest next = followed(request(), first.text(), "What did I say?");
    const auto prompt = must(manager_->render(next));
    EXPECT_EQ(prompt.agent, first.started.agent);
    EXPECT_TRUE(prompt.text.contains("What did I say?")) << prompt.text;
    const Answered second = ask(*manager_, next);
    EXPECT_EQ(prompt.tokens.size(), second.started.prompt_tokens);
    EXPECT_EQ(prompt.known_tokens, first.started.prompt_tokens + first.finished.front().answer_tokens);
    const auto tokens = must(manager_->tokens(second.started.agent));
    EXPECT_TRUE(std::ranges::equal(std::span(tokens).first(prompt.tokens.size()), prompt.tokens));
}

INSTANTIATE_TEST_SUITE_P(Classes, ChatTest, ::testing::Values("tiny-llama", "tiny-gemma3", "tiny-lfm2", "tiny-mamba"),
                         [](const auto &tested) { return test_name(tested.param); });

class ChatDetailTest : public ChatTest {};
INSTANTIATE_TEST_SUITE_P(Attention, ChatDetailTest, ::testing::Values("tiny-llama"));

TEST_P(ChatDetailTest, NamedAgentIsMadeAndToldOnlyWhatIsNew) {
    ChatRequest asked = request();
    asked.agent = "analyst";
    EXPECT_EQ(ask(*manager_, asked).started.agent, "analyst");
    EXPECT_EQ(must(manager_->get("analyst")).system_prompt, asked.messages.front().content);
    // Only the new message, with and without the system prompt.
    ChatRequest next = asked;
    next.messages = {asked.messages.front(), {.role = "user", .content = "First."}};
    next.sampling.grammar = saying("One.");
    EXPECT_EQ(ask(*manager_, next).text(), "One.");
    next.messages = {{.role = "user", .content = "Second."}};
    EXPECT_EQ(ask(*manager_, next).text(), "One.");
    const auto transcript = must(manager_->transcript("analyst"));
    ASSERT_EQ(transcript.size(), 6U);
    EXPECT_EQ(transcript[4].content, "Second.");
    // All of it.
    ChatRequest all = followed(asked, "It is noted.", "First.");
    all = followed(all, "One.", "Second.");
    all = followed(all, "One.", "Third.", "Three.");
    const Answered third = ask(*manager_, all);
    EXPECT_GT(third.started.cached_tokens, third.started.prompt_tokens / 2);
    EXPECT_EQ(must(manager_->transcript("analyst")).size(), 8U);
    EXPECT_TRUE(conversations().empty());
}

TEST_P(ChatDetailTest, NamedAgentGoesBackWhereItIsContradicted) {
    ChatRequest asked = request();
    asked.agent = "analyst";
    ask(*manager_, asked);
    ask(*manager_, followed(asked, "It is noted.", "First.", "One."));
    ChatRequest other = followed(asked, "It is noted.", "Another first.", "Two.");
    const Answered answered = ask(*manager_, other);
    EXPECT_EQ(answered.started.repairs.size(), 1U);
    EXPECT_GT(answered.started.cached_tokens, 100U);
    const auto transcript = must(manager_->transcript("analyst"));
    ASSERT_EQ(transcript.size(), 4U);
    EXPECT_EQ(transcript[2].content, "Another first.");
    EXPECT_EQ(transcript[3].content, "Two.");
    // What it remembered can still be gone on with.
    ASSERT_EQ(conversations().size(), 1U);
    EXPECT_EQ(must(manager_->transcript(conversations().front()))[3].content, "One.");
}

TEST_P(ChatDetailTest, NamedAgentTakesOtherTools) {
    ChatRequest asked = request();
    asked.agent = "analyst";
    ask(*manager_, asked);
    ChatRequest next = asked;
    next.messages = {{.role = "user", .content = "How is the weather?"}};
    next.tools = {weather()};
    next.tool_choice = {.use = ToolUse::required, .name = {}, .parallel = false};
    next.sampling.grammar.clear();
    next.max_tokens = 200;
    const Answered called = ask(*manager_, next);
    ASSERT_EQ(called.calls.size(), 1U);
    ASSERT_TRUE(called.started.miss);
    EXPECT_TRUE(called.started.miss->reason.starts_with("diverged")) << called.started.miss->reason;
    EXPECT_TRUE(must(manager_->get("analyst")).tools.contains("get_weather"));
    EXPECT_EQ(must(manager_->transcript("analyst")).size(), 4U);
    // The same ones in other words are no others.
    next.messages = {{.role = "user", .content = "Go on."}};
    next.tools.front().parameters =
        R"({ "required":["city"], "type":"object", "properties":{"city":{"enum":["Lisbon","Oslo"],"type":"string"}} })";
    const Answered again = ask(*manager_, next);
    EXPECT_FALSE(again.started.miss) << again.started.miss->reason;
    EXPECT_GT(again.started.cached_tokens, called.started.prompt_tokens);
}

TEST_P(ChatDetailTest, SeveralChoicesAreReadOnce) {
    ChatRequest asked = request();
    asked.choices = 3;
    asked.sampling.grammar = R"(root ::= "A" [a-z] [a-z] [a-z] [a-z] [a-z] [a-z] [a-z])";
    asked.sampling.temperature = 5;
    asked.sampling.seed = 7;
    const Answered answered = ask(*manager_, asked);
    EXPECT_EQ(answered.finished.size(), 3U);
    EXPECT_FALSE(answered.texts[0] == answered.texts[1] && answered.texts[1] == answered.texts[2]) << answered.texts[0];
    EXPECT_EQ(ask(*manager_, asked).texts, answered.texts) << "the same seeds";
    const auto stats = manager_->stats();
    EXPECT_LT(stats.computed_tokens, 2 * answered.started.prompt_tokens);
    EXPECT_EQ(conversations().size(), 6U);
    const Answered next = ask(*manager_, [&] {
        ChatRequest more = followed(asked, answered.texts[1], "More?");
        more.choices = 1;
        return more;
    }());
    EXPECT_GT(next.started.cached_tokens, answered.started.prompt_tokens);
}

TEST_P(ChatDetailTest, WhatWasCancelledWhileItWasReadLeavesNothingButItsKv) {
    ChatRequest asked = request();
    asked.messages.back().content = filler(300, 4);
    std::stop_source stop;
    Result<void> outcome;
    outcome = manager_->chat(
        asked,
        [&](const ChatEvent &event) {
            if (std::holds_alternative<ChatProgress>(event)) stop.request_stop();
        },
        stop.get_token());
    ASSERT_FALSE(outcome.has_value());
    EXPECT_EQ(outcome.error().code, ErrorCode::cancelled);
    EXPECT_TRUE(conversations().empty());
    const Answered again = ask(*manager_, asked);
    EXPECT_EQ(again.text(), "It is noted.");
    EXPECT_GT(again.started.cached_tokens, 0U) << "the part that had been read";
}

TEST_P(ChatDetailTest, IdenticalRequestsAtTheSameTimeAreReadOnce) {
    ChatRequest asked = request();
    asked.messages.back().content = filler(80, 4);
    const Answered first = ask(*manager_, asked);
    const ChatRequest next = followed(asked, first.text(), filler(100, 5));
    const std::uint64_t before = manager_->stats().computed_tokens;
    std::array<Answered, 3> answers;
    {
        std::vector<std::jthread> clients;
        for (Answered &answer : answers) clients.emplace_back([&] { answer = ask(*manager_, next); });
    }
    std::string cached;
    for (const Answered &answer : answers) {
        EXPECT_EQ(answer.text(), "Very well.");
        cached += std::to_string(answer.started.cached_tokens) + " of " + std::to_string(answer.started.prompt_tokens) + " (" +
                  answer.started.tier + (answer.started.miss ? ", " + answer.started.miss->reason : "") + "); ";
    }
    const std::uint64_t added = answers[0].started.prompt_tokens - first.started.prompt_tokens;
    EXPECT_LT(manager_->stats().computed_tokens - before, added + added / 2) << cached;
}

TEST_P(ChatDetailTest, LogProbabilitiesOfWhatWasSaid) {
    ChatRequest asked = request();
    asked.top_logprobs = 3;
    const Answered answered = ask(*manager_, asked);
    std::string bytes;
    for (const TokenLogprob &token : answered.logprobs) {
        bytes += token.bytes;
        EXPECT_LE(token.logprob, 0.0F);
        ASSERT_EQ(token.alternatives.size(), 3U);
        EXPECT_GE(token.alternatives[0].logprob, token.alternatives[1].logprob);
        EXPECT_GE(token.alternatives[0].logprob + 1e-6F, token.logprob) << "the grammar may have chosen a less probable one";
    }
    EXPECT_EQ(bytes, "It is noted.");
}

TEST_P(ChatDetailTest, EndsBeforeAStopString) {
    ChatRequest asked = request();
    asked.sampling.stop = {"never", "not"};
    const Answered answered = ask(*manager_, asked);
    EXPECT_EQ(answered.text(), "It is ");
    EXPECT_EQ(answered.finished.front().reason, FinishReason::stop_string);
    EXPECT_EQ(answered.finished.front().stop_string, "not");
    // The client sends back what it got, perhaps without the space.
    const Answered next = ask(*manager_, followed(asked, "It is", "Go on."));
    EXPECT_EQ(next.started.agent, answered.started.agent);
}

TEST_P(ChatDetailTest, GoesOnWithABegunAnswer) {
    ChatRequest asked = request();
    asked.messages.push_back({.role = "assistant", .content = "The answer is"});
    asked.continues_last_message = true;
    asked.sampling.grammar = saying(" 42.");
    const Answered answered = ask(*manager_, asked);
    EXPECT_EQ(answered.text(), " 42.");
    EXPECT_EQ(must(manager_->transcript(answered.started.agent)).back().content, "The answer is 42.");
    const Answered next = ask(*manager_, followed(request(), "The answer is 42.", "Thanks."));
    EXPECT_EQ(next.started.agent, answered.started.agent);
}

TEST_P(ChatDetailTest, ToolsThatMessagesTellOfAreCallable) {
    ChatRequest asked = request();
    asked.tools = {{.name = "add", .description = "Adds"}};
    asked.told_tools = {weather()};
    asked.tool_choice = {.use = ToolUse::required, .parallel = false};
    asked.withdrawn_tools = {"add"};
    asked.sampling.grammar.clear();
    asked.max_tokens = 200;
    const Answered answered = ask(*manager_, asked);
    ASSERT_EQ(answered.calls.size(), 1U);
    EXPECT_EQ(answered.calls.front().name, "get_weather");
    EXPECT_FALSE(must(manager_->get(answered.started.agent)).tools.contains("get_weather")) << "the prompt's front is as it was";
    asked.withdrawn_tools.emplace_back("get_weather");
    EXPECT_EQ(try_ask(*manager_, asked).error().code, ErrorCode::invalid_argument);
}

TEST_P(ChatDetailTest, AnswersAreFoundByTheirNames) {
    ChatRequest asked = request();
    asked.answer_id = "resp_1";
    ask(*manager_, asked);
    const auto said = must(manager_->said_until("resp_1"));
    ASSERT_EQ(said.size(), 3U);
    EXPECT_EQ(said[0].role, "system");
    EXPECT_EQ(said[2].content, "It is noted.");
    EXPECT_EQ(manager_->said_until("resp_2").error().code, ErrorCode::not_found);
    EXPECT_EQ(must(manager_->for_tenant("other"))->said_until("resp_1").error().code, ErrorCode::not_found);
}

TEST_P(ChatDetailTest, PlainTextIsReadAsItIs) {
    ChatRequest asked;
    asked.raw_prompt = "Once upon a time " + filler(50);
    asked.sampling.grammar = saying("there was a server.");
    asked.max_tokens = 32;
    const Answered answered = ask(*manager_, asked);
    EXPECT_EQ(answered.text(), "there was a server.");
    EXPECT_GT(ask(*manager_, asked).started.cached_tokens, answered.started.prompt_tokens / 2);
    const auto prompt = must(manager_->render(asked));
    EXPECT_EQ(prompt.tokens.size(), answered.started.prompt_tokens);
}

// Its tokens are those that were sampled, letter by letter, and not those that the tokenizer would make of the same text.
TEST_P(ChatDetailTest, PlainTextThatGoesOnKeepsTheTokensThatWereSampled) {
    ChatRequest asked;
    asked.raw_prompt = "The harbour master said to the captain that the ser";
    asked.sampling.grammar = saying("ver of the cluster has a window for the meeting and the report.");
    asked.max_tokens = 80;
    const Answered answered = ask(*manager_, asked);
    const std::uint64_t read = answered.started.prompt_tokens + answered.finished.front().answer_tokens;
    ChatRequest more = asked;
    more.raw_prompt += answered.text() + " And then they went \u00e0 la carte.";
    const auto prompt = must(manager_->render(more));
    EXPECT_NE(prompt.text.find(more.raw_prompt), std::string::npos) << prompt.text;
    EXPECT_LT(manager_->tokenise(more.raw_prompt).size(), prompt.tokens.size()) << "this test needs a text with other tokens";
    const Answered next = ask(*manager_, more);
    EXPECT_GE(next.started.cached_tokens + 8, read);
    EXPECT_LT(ask(*must(manager_->for_tenant("other")), more).started.prompt_tokens, next.started.prompt_tokens);
}

TEST_P(ChatDetailTest, WhatCannotBeAskedIsSaid) {
    ChatRequest none;
    EXPECT_EQ(try_ask(*manager_, none).error().code, ErrorCode::invalid_argument);
    ChatRequest bad_name = request();
    bad_name.agent = "../x";
    EXPECT_EQ(try_ask(*manager_, bad_name).error().code, ErrorCode::invalid_argument);
    ChatRequest several = request();
    several.agent = "a";
    several.choices = 2;
    EXPECT_EQ(try_ask(*manager_, several).error().code, ErrorCode::invalid_argument);
    ChatRequest endless = request();
    endless.messages.back().content = filler(4000);
    const auto too_long = try_ask(*manager_, endless);
    ASSERT_FALSE(too_long.has_value());
    EXPECT_EQ(too_long.error().code, ErrorCode::too_long);
    EXPECT_GT(too_long.error().asked, too_long.error().limit);
    EXPECT_EQ(too_long.error().limit, 2047U);
    ChatRequest unheard = request();
    unheard.tool_choice.use = ToolUse::required;
    EXPECT_EQ(try_ask(*manager_, unheard).error().code, ErrorCode::invalid_argument);
    EXPECT_TRUE(must(manager_->list()).empty()) << "nothing is left of them";
}

}  // namespace
}  // namespace engram
