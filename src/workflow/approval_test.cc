// Nodes whose agents want to make calls that a person must allow.
#include "workflow/approval.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "teams/colleagues.h"
#include "teams/testing_runs.h"
#include "workflow/testing_workflow.h"

namespace engram::workflow {
namespace {

using namespace testing;

const std::string kOne =
    "name: w\nagents: {x: {system_prompt: You are x.}}\nnodes:\n  a:\n    agent: x\n    prompt: hello\n"
    "    max_tokens: 8\n";

// A tool that a person must allow.
class Stamp final : public ToolSource {
  public:
    std::vector<ChatTool> tools(const AgentManager &, const AgentInfo &) override {
        return {{.name = "stamp", .description = "Stamps a letter", .parameters = R"({"type":"object","properties":{}})"}};
    }
    bool needs_approval(const AgentInfo &, std::string_view) const override { return true; }
    ToolOutcome call(const ToolContext &, const ChatToolCall &) override {
        ++calls;
        return {.text = "stamped"};
    }
    std::atomic<int> calls = 0;
};

class ApprovalTest : public WorkflowTest {
  protected:
    ApprovalTest() {
        run_agent_ = [this](AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
            RunRequest asked = request;
            asked.max_tokens = 200;
            asked.sampling.grammar =
                request.approvals.empty() ? calling({R"({"name": "stamp", "arguments": {}})"}) : saying("So be it.");
            return runner_.run(agents, asked, sink, std::move(stop));
        };
    }
    const std::string yaml_ = kOne + "  b: {text: \"<${{ nodes.a.text }}>\"}\noutputs: {o: \"${{ nodes.b.text }}\"}\n";
    Stamp stamp_;
    Runner runner_{{&stamp_}};
};

TEST_F(ApprovalTest, ANodeWaitsAndGoesOnWithTheDecision) {
    for (const bool allow : {true, false}) {
        stamp_.calls = 0;
        events_.clear();
        const RunKey key = begin(yaml_).key;
        EXPECT_EQ(run(key).state, RunState::waiting);
        EXPECT_EQ(told(), "started a, waiting a");
        EXPECT_EQ(agents(), 2U) << "the fork stays";
        EXPECT_EQ(run(key).state, RunState::waiting) << "whoever resumes it decides nothing";
        const OrderedJson shown = step_json(step(key, "a"));
        EXPECT_EQ(shown["state"], "waiting");
        ASSERT_EQ(shown["calls"].size(), 1U) << shown.dump();
        EXPECT_EQ(shown["calls"][0]["name"], "stamp");
        EXPECT_EQ(decide(*store_, key, {.node = "b", .allow = true}).error().message,
                  "node b of the workflow run " + key.id + " waits for no approval");
        must(decide(*store_, key, {.node = "a", .allow = allow}));
        EXPECT_FALSE(decide(*store_, key, {.node = "a", .allow = !allow})) << "it is decided";
        store_ = must(RunStore::open(home_.path() / "workflows.db"));
        const RunRow ended = run(key);
        EXPECT_EQ(ended.state, RunState::finished) << ended.error;
        EXPECT_EQ(output(ended, "o"), "<So be it.>");
        EXPECT_EQ(stamp_.calls, allow ? 1 : 0);
        const std::vector<Message> said = must(manager_->transcript("x"));
        ASSERT_GE(said.size(), 4U);
        EXPECT_EQ(said[said.size() - 2].role, "tool");
        EXPECT_EQ(said.back().content, "So be it.");
        EXPECT_EQ(agents(), 1U);
    }
}

TEST_F(ApprovalTest, WhatWasDecidedAboutAForkThatIsGoneIsAskedAgain) {
    const RunKey key = begin(yaml_).key;
    EXPECT_EQ(run(key).state, RunState::waiting);
    must(decide(*store_, key, {.node = "a", .allow = true}));
    must(manager_->remove("workflow." + key.id + ".a"));
    EXPECT_EQ(run(key).state, RunState::waiting);
    EXPECT_EQ(stamp_.calls, 0);
    EXPECT_FALSE(is_decided(step(key, "a")));
}

TEST_F(ApprovalTest, ADecisionIsHeardWhileOthersRun) {
    std::atomic<bool> goes_on = false;
    const RunAgent with_stamp = run_agent_;
    run_agent_ = [&](AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
        if (request.messages.empty() || request.messages[0].content != "wait") {
            goes_on = goes_on || !request.approvals.empty();
            return with_stamp(agents, request, sink, std::move(stop));
        }
        for (int i = 0; !goes_on && i < 4000; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        return plain_run(agents, request, sink, std::move(stop));
    };
    const RunKey key = begin(kOne + "  other: {agent: x, memory: fork, prompt: wait, max_tokens: 4}\n").key;
    std::jthread person([&] {
        for (int i = 0; i < 4000 && !decide(*store_, key, {.node = "a", .allow = true}); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
    });
    EXPECT_EQ(run(key).state, RunState::finished);
    EXPECT_TRUE(goes_on);
    EXPECT_EQ(stamp_.calls, 1);
}

TEST_F(ApprovalTest, ACancelledRunWaitsForNobody) {
    const RunKey key = begin(yaml_).key;
    EXPECT_EQ(run(key).state, RunState::waiting);
    must(store_->ask_to_cancel(key));
    EXPECT_EQ(run(key).state, RunState::cancelled);
    EXPECT_EQ(step(key, "a").state, StepState::failed);
    EXPECT_EQ(agents(), 1U);
    EXPECT_EQ(run(key).state, RunState::waiting) << "asked again";
}

// The node waits with what its agent's colleague wants to do, and goes on with what was decided of that.
TEST_F(ApprovalTest, AColleaguesCallsAreTheNodes) {
    Colleagues colleagues;
    Runner runner({&stamp_, &colleagues});
    colleagues.set_run([&](const ToolContext &context, const RunRequest &request) {
        RunRequest asked = request;
        asked.max_tokens = 200;
        asked.sampling.grammar =
            request.messages.empty() ? saying("It is stamped.") : calling({R"({"name": "stamp", "arguments": {}})"});
        return runner.run_within(context, asked);
    });
    run_agent_ = [&](AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
        RunRequest asked = request;
        asked.max_tokens = 200;
        asked.sampling.grammar =
            request.approvals.empty()
                ? calling({R"({"name": "delegate_to", "arguments": {"agent": "pilot", "task": "Stamp it."}})"})
                : saying("So be it.");
        return runner.run(agents, asked, sink, std::move(stop));
    };
    AgentSpec chief{.id = "x"};
    chief.card.colleagues = {"pilot"};
    must(manager_->create(chief));
    must(manager_->create({.id = "pilot"}));
    const RunKey key = begin(yaml_).key;
    EXPECT_EQ(run(key).state, RunState::waiting);
    const OrderedJson calls = step_json(step(key, "a"))["calls"];
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0]["agent"], "pilot");
    EXPECT_EQ(calls[0]["name"], "stamp");
    must(decide(*store_, key, {.node = "a", .allow = true}));
    store_ = must(RunStore::open(home_.path() / "workflows.db"));
    const RunRow ended = run(key);
    EXPECT_EQ(ended.state, RunState::finished) << ended.error;
    EXPECT_EQ(output(ended, "o"), "<So be it.>");
    EXPECT_EQ(stamp_.calls, 1);
    EXPECT_EQ(must(manager_->transcript("pilot")).size(), 4U);
    EXPECT_EQ(must(manager_->transcript("x")).at(2).content, "It is stamped.");
}

}  // namespace
}  // namespace engram::workflow
