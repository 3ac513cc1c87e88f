// What the model would say after tokens that nobody has said.
#include <gtest/gtest.h>

#include <algorithm>

#include "agents/testing_manager.h"

namespace engram {
namespace {

using namespace testing;

// Attention, window, hybrid.
class LogitsAlongTest : public ::testing::TestWithParam<std::string> {
  protected:
    LogitsAlongTest() {
        must(manager_->create({.id = "a", .system_prompt = "You are the first."}));
        say(*manager_, "a", filler(60, 1), 20);
        const ChatRequest next{.agent = "a", .messages = {{.role = "user", .content = second_}}};
        const std::vector<std::int32_t> prompt = must(manager_->render(next)).tokens;
        const std::vector<std::int32_t> known = must(manager_->tokens("a"));
        EXPECT_TRUE(std::ranges::equal(known, std::span(prompt).first(known.size())));
        following_.assign(prompt.begin() + static_cast<std::ptrdiff_t>(known.size()), prompt.end());
    }

    const std::string second_ = "And now go on: " + filler(12, 2);
    TemporaryFolder home_;
    std::unique_ptr<AgentManager> manager_ = open_manager(tiny_manager(home_.path(), GetParam()));
    std::vector<std::int32_t> following_;  // what "a" reads when it is told `second_`
};

TEST_P(LogitsAlongTest, AreThoseThatATurnChoosesFrom) {
    must(manager_->fork("a", "b"));
    const std::vector<std::int32_t> answer = say(*manager_, "b", second_, 8).tokens;
    ASSERT_EQ(answer.size(), 8U);
    const std::size_t read = following_.size();
    following_.insert(following_.end(), answer.begin(), answer.end());
    const auto logits = must(manager_->logits_along("a", following_));
    ASSERT_EQ(logits.size(), following_.size() + 1);
    for (std::size_t i = 0; i < answer.size(); ++i) {
        const std::vector<float> &at = logits[read + i];
        // A turn reads its prompt in other batches, which rounds otherwise.
        const auto [least, most] = std::ranges::minmax(at);
        EXPECT_GE(at[static_cast<std::size_t>(answer[i])], most - (most - least) / 100) << "token " << i << " of the answer";
    }
}

TEST_P(LogitsAlongTest, BeginWithTheNextOnes) {
    const std::vector<float> next = must(manager_->next_logits("a"));
    const std::vector<float> first = must(manager_->logits_along("a", following_)).front();
    ASSERT_EQ(first.size(), next.size());
    // Cells that came back lie elsewhere, which rounds otherwise.
    const auto [least, most] = std::ranges::minmax(next);
    for (std::size_t i = 0; i < next.size(); ++i) EXPECT_NEAR(first[i], next[i], (most - least) / 100);
    EXPECT_EQ(must(manager_->logits_along("a", {})).size(), 1U);
}

TEST_P(LogitsAlongTest, NothingIsKept) {
    const std::vector<std::int32_t> tokens = must(manager_->tokens("a"));
    const std::string digest = must(manager_->kv_digest("a"));
    const auto first = must(manager_->logits_along("a", following_));
    EXPECT_EQ(must(manager_->tokens("a")), tokens);
    EXPECT_EQ(must(manager_->kv_digest("a")), digest);
    EXPECT_EQ(must(manager_->logits_along("a", following_)).size(), first.size());
    const TurnResult next = say(*manager_, "a", second_, 4);
    EXPECT_FALSE(next.miss.has_value()) << next.miss->reason;
    EXPECT_EQ(next.prompt_tokens, tokens.size() + following_.size());
}

TEST_P(LogitsAlongTest, MustFitIntoTheContext) {
    const std::vector<std::int32_t> many(2048, following_.front());
    EXPECT_EQ(manager_->logits_along("a", many).error().code, ErrorCode::too_long);
    EXPECT_EQ(manager_->logits_along("nobody", {}).error().code, ErrorCode::not_found);
}

INSTANTIATE_TEST_SUITE_P(Classes, LogitsAlongTest, ::testing::Values("tiny-llama", "tiny-gemma3", "tiny-lfm2"),
                         [](const auto &tested) { return test_name(tested.param); });

}  // namespace
}  // namespace engram
