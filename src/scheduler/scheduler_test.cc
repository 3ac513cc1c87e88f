#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/testing/tiny_models.h"

namespace engram {
namespace {

std::vector<Token> prompt(std::size_t n, Token first) {
    std::vector<Token> tokens(n);
    for (std::size_t i = 0; i < n; ++i) tokens[i] = first + static_cast<Token>(i * 7 % 150);
    return tokens;
}

// Reads a prompt, and says so many tokens.
class Reader final : public Run {
  public:
    Reader(SequenceId sequence, std::vector<Token> tokens, int answer = 1)
        : sequence_(sequence), tokens_(std::move(tokens)), answer_(answer) {}

    SequenceId sequence() const override { return sequence_; }
    Position next_position() const override { return position_; }
    std::span<const Token> pending() const override { return std::span(tokens_).subspan(static_cast<std::size_t>(position_)); }
    Position chunk_end() const override { return std::numeric_limits<Position>::max(); }
    bool stopped() override { return false; }
    void computed(std::size_t count) override {
        position_ += static_cast<Position>(count);
        counts.push_back(count);
    }
    bool choose(Context &context, std::size_t index) override {
        const auto values = context.logits(index);
        logits.assign(values.begin(), values.end());
        if (--answer_ == 0) return false;
        tokens_.push_back(42);
        return true;
    }
    void failed(const Error &error) override { ADD_FAILURE() << error.message; }

    std::vector<std::size_t> counts;  // of each step that it had a share in
    std::vector<float> logits;        // the last ones

  private:
    SequenceId sequence_;
    std::vector<Token> tokens_;
    int answer_;
    Position position_ = 0;
};

class SchedulerTest : public ::testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        ModelOptions options = testing::tiny_options(GetParam());
        options.max_running = 3;
        model_ = testing::load_tiny(options);
        ASSERT_NE(model_, nullptr);
        auto context = Context::create(*model_, pool_);
        ASSERT_TRUE(context.has_value()) << context.error().message;
        context_ = std::move(*context);
    }

    static bool makes_no_room() { return false; }
    std::shared_ptr<Reader> add(Scheduler &scheduler, SequenceId sequence, std::size_t n, int answer = 1) {
        auto run = std::make_shared<Reader>(sequence, prompt(n, 30 + sequence * 5), answer);
        scheduler.add(run);
        return run;
    }
    std::size_t batch() const { return context_->batch_tokens(); }

    BufferPool pool_{64ULL << 20};
    std::unique_ptr<Model> model_;
    std::unique_ptr<Context> context_;
};

TEST_P(SchedulerTest, ShortPromptsAreReadTogether) {
    Scheduler together(*context_, 1);
    const std::array<std::shared_ptr<Reader>, 3> runs{add(together, 0, 20), add(together, 1, 33), add(together, 2, 7)};
    together.step(makes_no_room);
    EXPECT_EQ(together.batches(), 1U);
    EXPECT_TRUE(together.empty());
    // Nobody notices the others.
    for (SequenceId sequence = 0; sequence < 3; ++sequence) {
        context_->clear(sequence);
        Scheduler alone(*context_, 1);
        const auto same = add(alone, sequence, std::array{20U, 33U, 7U}.at(static_cast<std::size_t>(sequence)));
        alone.step(makes_no_room);
        const std::vector<float> &logits = runs.at(static_cast<std::size_t>(sequence))->logits;
        ASSERT_EQ(logits.size(), same->logits.size());
        for (std::size_t i = 0; i < logits.size(); ++i) ASSERT_NEAR(logits[i], same->logits[i], 1e-3F) << sequence << " " << i;
    }
}

TEST_P(SchedulerTest, ALongPromptLeavesTheNextStepsBeginningToOthers) {
    Scheduler scheduler(*context_, 1);
    const auto long_one = add(scheduler, 0, batch() + 40);
    const auto short_one = add(scheduler, 1, 24);
    scheduler.step(makes_no_room);
    EXPECT_EQ(long_one->counts, std::vector{batch()});
    EXPECT_TRUE(short_one->counts.empty());
    scheduler.step(makes_no_room);
    EXPECT_EQ(short_one->counts, std::vector<std::size_t>{24});
    EXPECT_EQ(long_one->counts.size(), 2U) << "what the short one left was room for the long one's rest";
    EXPECT_TRUE(scheduler.empty());
}

TEST_P(SchedulerTest, AnswersGoOnBesidePrompts) {
    Scheduler scheduler(*context_, 1);
    const auto answering = add(scheduler, 0, 10, 100);
    scheduler.step(makes_no_room);
    const auto long_one = add(scheduler, 1, 2 * batch());
    const auto other = add(scheduler, 2, 2 * batch());
    for (int i = 0; i < 4; ++i) scheduler.step(makes_no_room);
    EXPECT_EQ(answering->counts.size(), 5U);
    EXPECT_FALSE(long_one->counts.empty());
    EXPECT_FALSE(other->counts.empty()) << "they come first in turn";
}

INSTANTIATE_TEST_SUITE_P(Models, SchedulerTest, ::testing::Values("tiny-llama", "tiny-gemma3", "tiny-lfm2"),
                         [](const auto &test) { return testing::test_name(test.param); });

}  // namespace
}  // namespace engram
