// Runs within runs: who may wait for whom, and who pays.
#include <gtest/gtest.h>

#include <barrier>
#include <mutex>
#include <thread>

#include "teams/run_budget.h"
#include "teams/testing_runner.h"

namespace engram {
namespace {

using namespace testing;

class DelegationTest : public RunnerFixture {
  protected:
    DelegationTest() {
        for (const char *id : {"b", "c"}) must(manager_->create({.id = id, .system_prompt = "You look at things."}));
    }

    // Work of `to` within a run: its model says what the grammar lets it say.
    static RunRequest work(const std::string &to, const std::string &grammar, const std::string &task = "Look.") {
        RunRequest request{.agent = to, .messages = {{.role = "user", .content = task}}};
        request.sampling.grammar = grammar;
        request.max_tokens = 200;
        return request;
    }
};

std::uint64_t cost_of(const RunStep &step) { return step.prompt_tokens - step.cached_tokens + step.answer_tokens; }

// a gives work to b and c in one answer; b then wants c's help, and c wants b's.
TEST_F(DelegationTest, SiblingsThatAskEachOtherDoNotWaitForEver) {
    std::barrier both_at_work(2);
    std::mutex mutex;
    std::vector<std::string> refused, answered;  // guarded by mutex
    tool_.play = [&](const ToolContext &context, const ChatToolCall &call) {
        const std::string to = call.arguments.contains("\"b\"") ? "b" : "c";
        if (context.agent.id == "a") {
            RunRequest first = work(to, calling({look_at(to == "b" ? "c" : "b")}));
            first.limits.steps = 2;  // one call
            const auto done = runner_.run_within(context, first);
            return ToolOutcome{.text = done ? "done" : done.error().message, .failed = !done};
        }
        both_at_work.arrive_and_wait();
        const auto done = runner_.run_within(context, work(to, saying("Nothing.")));
        const std::scoped_lock lock(mutex);
        (done ? answered : refused).push_back(done ? done->text : done.error().message);
        return ToolOutcome{.text = "so it is", .failed = !done};
    };
    RunRequest asked = request(calling({look_at("b"), look_at("c")}));
    asked.limits.steps = 2;
    asked.limits.time = std::chrono::minutes(2);
    const RunResult done = run(asked);
    EXPECT_EQ(done.end, RunEnd::steps);
    EXPECT_EQ(answered, std::vector<std::string>{"Nothing."}) << "the other one's help comes when it is free";
    ASSERT_EQ(refused.size(), 1U);
    EXPECT_TRUE(refused.front().contains("waits for an agent that is at work here; ask it later")) << refused.front();
}

TEST_F(DelegationTest, ACircleOverAnotherIsRefused) {
    must(manager_->create(with_colleagues("chief", {"middle"})));
    must(manager_->create(with_colleagues("middle", {"chief"})));
    std::vector<RunStep> of_middle;
    tool_.play = [&](const ToolContext &context, const ChatToolCall &) {
        RunRequest given = work("middle", giving("chief"));
        given.limits.steps = 2;
        of_middle = must(runner_.run_within(context, given)).steps;
        return ToolOutcome{.text = "nothing"};
    };
    RunRequest asked = request(calling({look_at("tide")}));
    asked.agent = "chief";
    asked.limits.steps = 2;
    EXPECT_EQ(run(asked).end, RunEnd::steps);
    ASSERT_EQ(of_middle.size(), 3U);
    EXPECT_EQ(of_middle[1].name, "chief");
    EXPECT_TRUE(of_middle[1].failed);
    EXPECT_EQ(of_middle[1].output, "chief waits for this answer already (chief > middle): do it yourself, or ask somebody else.");
    EXPECT_EQ(transcript("chief").size(), 4U) << "nobody else has spoken to it";
}

TEST_F(DelegationTest, TokensAreThoseOfAllWhoTakePart) {
    RunRequest asked = request(calling({look_at("tide")}));
    asked.limits.steps = 1;
    const std::uint64_t alone = cost_of(run(asked).steps.at(0));  // of somebody whose prompt nobody has read before
    asked.limits.steps = 24;
    asked.limits.tokens = alone + 200;  // an answer may be spelled in other tokens
    std::string task = "Look at all of this:";
    for (int i = 0; manager_->tokenise(task).size() <= asked.limits.tokens; ++i) task += " " + filler(10, i);
    tool_.play = [&](const ToolContext &context, const ChatToolCall &call) {
        EXPECT_EQ(context.agent.id, "c") << "b makes no call: the tokens are spent by then";
        EXPECT_FALSE(context.budget.tokens_are_spent());
        RunRequest given = work("b", calling({look_at("wind")}), task);
        given.limits.tokens = 0;  // it counts for nothing
        const RunResult done = must(runner_.run_within(context, given));
        EXPECT_EQ(done.end, RunEnd::tokens);
        EXPECT_EQ(done.pending.size(), 1U);
        EXPECT_TRUE(context.budget.tokens_are_spent());
        return ToolOutcome{.text = call.name, .delegated = true, .to = "b", .steps = done.steps, .usage = done.usage};
    };
    asked.agent = "c";
    const RunResult done = run(asked);
    EXPECT_EQ(done.end, RunEnd::tokens);
    EXPECT_EQ(tool_.calls, 1);
    ASSERT_EQ(done.steps.size(), 3U);
    EXPECT_EQ(done.usage.prompt_tokens,
              done.steps[0].prompt_tokens + done.steps[1].steps.at(0).prompt_tokens + done.steps[2].prompt_tokens);
}

TEST_F(DelegationTest, ATaskHasSoManyBytes) {
    must(manager_->create(with_colleagues("chief", {"b"})));
    const AgentInfo chief = must(manager_->get("chief"));
    RunBudget budget(std::chrono::minutes(1), 0, {});
    const RunLimits limits;
    const RunSink nobody;
    const ToolContext context{
        .agents = *manager_, .agent = chief, .chain = {}, .budget = budget, .limits = limits, .sink = nobody, .stop = {}};
    const ToolOutcome refused = colleagues_.call(
        context, {.name = std::string(kDelegateTool), .arguments = delegation_arguments("b", std::string(1U << 20U, 'x'))});
    EXPECT_TRUE(refused.failed);
    EXPECT_EQ(refused.text, "A task has at most 1048576 bytes: give it in parts.");
    EXPECT_TRUE(transcript("b").empty()) << "nobody heard of it";
}

TEST_F(DelegationTest, TimeIsThatOfAllWhoTakePart) {
    std::vector<RunEnd> of_b;  // a slow machine may not come so far
    tool_.play = [&](const ToolContext &context, const ChatToolCall &) {
        if (context.agent.id == "b") {
            while (!context.stop.stop_requested()) std::this_thread::yield();
            return ToolOutcome{.text = "too late", .failed = true};
        }
        RunRequest given = work("b", calling({look_at("wind")}));
        given.limits.time = std::chrono::hours(1);  // it counts for nothing
        if (const auto done = runner_.run_within(context, given)) of_b.push_back(done->end);
        return ToolOutcome{.text = "too late", .failed = true};
    };
    RunRequest asked = request(calling({look_at("tide")}));
    asked.limits.time = std::chrono::milliseconds(1000);
    EXPECT_EQ(run(asked).end, RunEnd::time);
    for (const RunEnd end : of_b) EXPECT_EQ(end, RunEnd::time);
}

}  // namespace
}  // namespace engram
