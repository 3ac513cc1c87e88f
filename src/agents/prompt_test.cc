// Where a request leaves what was said before, what goes when it is too long, and whose an agent is when the model is another
// one.
#include <gtest/gtest.h>

#include "agents/testing_manager.h"

namespace engram {
namespace {

using namespace testing;

ChatRequest conversation() {
    ChatRequest request;
    request.messages = {{.role = "system", .content = "You are brief. " + filler(30)},
                        {.role = "user", .content = "The harbour opens at six. " + filler(20, 1)}};
    request.sampling.grammar = "root ::= \"It is noted.\"";
    request.max_tokens = 32;
    return request;
}

ChatRequest followed(ChatRequest request) {
    request.messages.push_back({.role = "assistant", .content = "It is noted."});
    request.messages.push_back({.role = "user", .content = "When does it open?"});
    return request;
}

Result<std::string> chat(AgentManager &manager, const ChatRequest &request) {
    std::string agent;
    const auto done = manager.chat(request, [&](const ChatEvent &event) {
        if (const auto *started = std::get_if<ChatStarted>(&event)) agent = started->agent;
    });
    if (!done) return std::unexpected(done.error());
    return agent;
}

class PromptTest : public ::testing::Test {
  protected:
    TemporaryFolder home_;
    ManagerOptions options_ = tiny_manager(home_.path());
};

TEST_F(PromptTest, NothingToCompareWith) {
    const auto manager = open_manager(options_);
    const auto found = must(manager->divergence(conversation()));
    EXPECT_FALSE(found.diverges);
    EXPECT_TRUE(found.agent.empty());
    EXPECT_GT(found.prompt_tokens, 0U);
}

TEST_F(PromptTest, ARequestThatGoesOnDoesntDiverge) {
    const auto manager = open_manager(options_);
    const std::string agent = must(chat(*manager, conversation()));
    const auto found = must(manager->divergence(followed(conversation())));
    EXPECT_FALSE(found.diverges) << found.explanation;
    EXPECT_EQ(found.agent, agent);
    EXPECT_EQ(found.common_tokens, found.remembered_tokens);
    EXPECT_EQ(found.remembered_tokens, must(manager->get(agent)).n_tokens);
}

TEST_F(PromptTest, NamesTheMessageAndShowsBothSides) {
    const auto manager = open_manager(options_);
    must(chat(*manager, conversation()));
    ChatRequest other = followed(conversation());
    const std::size_t at = other.messages[1].content.find("six");
    other.messages[1].content.replace(at, 3, "ten");
    const auto found = must(manager->divergence(other));
    ASSERT_TRUE(found.diverges);
    EXPECT_EQ(found.place, "messages[1].content") << found.explanation;
    EXPECT_LT(found.common_tokens, found.remembered_tokens);
    EXPECT_NE((found.before + found.prompt_text).find("harbour opens at ten"), std::string::npos) << found.before;
    EXPECT_NE((found.before + found.remembered_text).find("harbour opens at six"), std::string::npos) << found.before;
}

TEST_F(PromptTest, ToolsStandAtTheFront) {
    const auto manager = open_manager(options_);
    ChatRequest with_tools = conversation();
    with_tools.tools = {{.name = "clock", .description = "The time"}};
    must(chat(*manager, with_tools));
    ChatRequest other = with_tools;
    other.tools.front().description = "The hour";
    EXPECT_EQ(must(manager->divergence(other)).place, "tools");
}

TEST_F(PromptTest, OfANamedAgentOnly) {
    const auto manager = open_manager(options_);
    must(chat(*manager, conversation()));
    ChatRequest named = conversation();
    named.agent = "analyst";
    EXPECT_EQ(manager->divergence(named).error().code, ErrorCode::not_found);
    must(manager->create({.id = "analyst"}));
    EXPECT_TRUE(must(manager->divergence(named)).agent.empty()) << "it has said nothing yet";
    must(chat(*manager, named));
    ChatRequest whole = followed(named);
    whole.messages[2].content = "It is not noted.";
    const auto found = must(manager->divergence(whole));
    EXPECT_EQ(found.agent, "analyst");
    EXPECT_EQ(found.place, "messages[2].content") << found.explanation;
}

TEST_F(PromptTest, OtherTenantsAreNeverComparedWith) {
    const auto manager = open_manager(options_);
    must(chat(*manager, conversation()));
    const auto other = must(manager->for_tenant("other"));
    EXPECT_TRUE(must(other->divergence(followed(conversation()))).agent.empty());
}

// --- prompts that are too long ---

class TruncationTest : public PromptTest {
  protected:
    // Of so many turns, with as many words each.
    static ChatRequest of_turns(int turns) {
        ChatRequest request = conversation();
        request.may_truncate = true;
        for (int i = 0; i < turns; ++i) {
            request.messages.push_back({.role = "assistant", .content = "It is noted."});
            request.messages.push_back({.role = "user", .content = filler(40, i)});
        }
        return request;
    }
    static Result<ChatStarted> started(AgentManager &manager, const ChatRequest &request) {
        ChatStarted told;
        const auto done = manager.chat(request, [&](const ChatEvent &event) {
            if (const auto *started = std::get_if<ChatStarted>(&event)) told = *started;
        });
        if (!done) return std::unexpected(done.error());
        return told;
    }
};

TEST_F(TruncationTest, TheOldestGoAndTheNextTurnsLeaveOutTheSame) {
    options_.model.context_tokens = 1024;
    const auto manager = open_manager(options_);
    ChatRequest refused = of_turns(20);
    refused.may_truncate = false;
    EXPECT_EQ(chat(*manager, refused).error().code, ErrorCode::too_long);
    int turns = 0;
    while (must(started(*manager, of_turns(turns))).repairs.empty() && turns < 40) ++turns;
    ASSERT_LT(turns, 40);
    ASSERT_GT(turns, 2);
    const ChatStarted cut = must(started(*manager, of_turns(turns)));
    EXPECT_LT(cut.prompt_tokens, 1024U - 256U);
    const ChatStarted next = must(started(*manager, of_turns(turns + 1)));
    EXPECT_GT(next.cached_tokens, cut.prompt_tokens - 32) << "what is left out stays the same";
    EXPECT_FALSE(next.repairs.empty());
    // Also where much more than a context has to go.
    EXPECT_LT(must(started(*manager, of_turns(60))).prompt_tokens, 1024U);
}

TEST_F(TruncationTest, WhatIsTooLongByItselfIsRefused) {
    options_.model.context_tokens = 1024;
    const auto manager = open_manager(options_);
    ChatRequest request = conversation();
    request.may_truncate = true;
    request.messages.push_back({.role = "assistant", .content = "It is noted."});
    request.messages.push_back({.role = "user", .content = filler(2000)});
    EXPECT_EQ(chat(*manager, request).error().code, ErrorCode::too_long);
}

// --- agents belong to the model that made them ---

class KeepToModelTest : public PromptTest {
  protected:
    KeepToModelTest() { options_.keep_to_model = true; }
    ManagerOptions with_other_model() const {
        ManagerOptions options = options_;
        options.model.path = testing::tiny_model("tiny-llama", "f32", 2);
        return options;
    }
};

TEST_F(KeepToModelTest, AnotherModelLeavesAnAgentAsItIs) {
    std::uint64_t tokens = 0;
    {
        const auto manager = open_manager(options_);
        must(manager->create({.id = "a"}));
        say(*manager, "a", filler(60), 20);
        must(manager->save("a"));
        tokens = must(manager->get("a")).n_tokens;
    }
    {
        const auto manager = open_manager(with_other_model());
        const auto refused = manager->generate("a", {.prompt = "go on"});
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().code, ErrorCode::incompatible);
        ChatRequest request = conversation();
        request.agent = "a";
        EXPECT_EQ(chat(*manager, request).error().code, ErrorCode::incompatible);
        EXPECT_EQ(must(manager->get("a")).n_tokens, tokens);
        EXPECT_EQ(must(manager->transcript("a")).size(), 2U);
    }
    const auto manager = open_manager(options_);
    const TurnResult result = say(*manager, "a", "go on", 20);
    EXPECT_FALSE(result.miss.has_value()) << result.miss->reason;
    EXPECT_GE(result.reused_tokens + 1, tokens);
}

TEST_F(KeepToModelTest, AnAdoptedAgentIsReadAgain) {
    {
        const auto manager = open_manager(options_);
        must(manager->create({.id = "a"}));
        say(*manager, "a", filler(60), 20);
    }
    const auto manager = open_manager(with_other_model());
    EXPECT_EQ(manager->adopt("nobody").error().code, ErrorCode::not_found);
    must(manager->adopt("a"));
    must(manager->evict("a", AgentManager::EvictTo::memory));  // its KV is the other model's
    const std::filesystem::path file = home_.path() / "a.engram";
    must(manager->export_agent("a", file));
    EXPECT_EQ(must(manager->import_agent(file, {.as = "b"})).tier, "none") << "no KV of the other model goes along";
    const TurnResult result = say(*manager, "a", "go on", 20);
    ASSERT_TRUE(result.miss.has_value());
    EXPECT_NE(result.miss->reason.find("incompatible"), std::string::npos) << result.miss->reason;
    EXPECT_EQ(must(manager->transcript("a")).size(), 4U);
}

TEST_F(KeepToModelTest, AConversationGoesOnAsAForkAndTheOldModelFindsItsOwn) {
    std::string first;
    {
        const auto manager = open_manager(options_);
        first = must(chat(*manager, conversation()));
        must(manager->save_all());
    }
    {
        const auto manager = open_manager(with_other_model());
        EXPECT_NE(must(chat(*manager, followed(conversation()))), first);
    }
    const auto manager = open_manager(options_);
    EXPECT_EQ(must(chat(*manager, followed(conversation()))), first);
    EXPECT_EQ(must(manager->transcript(first)).size(), 4U);
}

}  // namespace
}  // namespace engram
