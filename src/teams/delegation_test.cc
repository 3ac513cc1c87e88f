// Runs within runs: who may wait for whom.
#include <gtest/gtest.h>

#include <barrier>
#include <mutex>

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

}  // namespace
}  // namespace engram
