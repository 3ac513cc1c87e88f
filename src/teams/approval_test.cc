// Calls of colleagues that a person must allow: whoever gave them the work waits, and goes on with the decision.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agents/testing_file_size_limit.h"
#include "agents/testing_manager.h"
#include "engram/teams.h"
#include "teams/colleagues.h"
#include "teams/team_store.h"
#include "teams/testing_runner.h"

namespace engram {
namespace {

using namespace testing;

// "stamp", which a person must allow, and "bell", which nobody must.
class Desk final : public ToolSource {
  public:
    std::vector<ChatTool> tools(const AgentManager &, const AgentInfo &) override {
        return {{.name = "stamp", .description = "Stamps a letter"}, {.name = "bell", .description = "Rings"}};
    }
    bool needs_approval(const AgentInfo &, std::string_view tool) const override { return tool == "stamp"; }
    ToolOutcome call(const ToolContext &, const ChatToolCall &call) override {
        ++(call.name == "stamp" ? stamps : bells);
        return {.text = call.name == "stamp" ? "stamped" : "rung"};
    }
    std::atomic<int> stamps = 0, bells = 0;
};

const std::string kStamp = R"({"name": "stamp", "arguments": {}})";
const std::string kBell = R"({"name": "bell", "arguments": {}})";
std::string give(const std::string &to) {
    return R"({"name": "delegate_to", "arguments": {"agent": ")" + to + R"(", "task": "Stamp it."}})";
}

class ApprovalBelowTest : public ::testing::Test {
  protected:
    ApprovalBelowTest() {
        open();
        must(manager_->create(with_colleagues("chief", {"pilot", "cook"})));
        must(manager_->create(with_colleagues("pilot", {"clerk"})));
        must(manager_->create(with_colleagues("cook", {})));
        must(manager_->create(with_colleagues("clerk", {})));
    }
    // As a process does that begins: nothing but what is on disk is known.
    void open() {
        runner_.reset();
        store_.reset();
        manager_.reset();
        manager_ = open_manager(tiny_manager(home_.path()));
        store_ = must(TeamStore::open(home_.path() / "teams.db"));
        colleagues_ = std::make_unique<Colleagues>();
        runner_ = std::make_unique<Runner>(std::vector<ToolSource *>{&desk_, colleagues_.get()}, store_.get());
        colleagues_->set_run([this](const ToolContext &context, const RunRequest &request) {
            RunRequest asked = request;
            asked.max_tokens = 200;
            const bool goes_on = request.messages.empty();
            const auto first = first_.find(request.agent);
            asked.sampling.grammar =
                goes_on || first == first_.end() ? saying(request.agent + " is done.") : calling(first->second);
            return runner_->run_within(context, asked);
        });
    }
    RunResult ask(const std::vector<std::string> &calls, const std::string &agent = "chief") {
        RunRequest request{.agent = agent, .messages = {{.role = "user", .content = "See to it."}}};
        request.sampling.grammar = calling(calls);
        request.max_tokens = 200;
        return must(runner_->run(*manager_, request));
    }
    RunRequest decision(std::map<std::string, bool> approvals) const {
        RunRequest request{.agent = "chief", .messages = {}, .approvals = std::move(approvals)};
        request.sampling.grammar = saying("So it is.");
        request.max_tokens = 200;
        return request;
    }
    RunResult decide(std::map<std::string, bool> approvals) {
        return must(runner_->run(*manager_, decision(std::move(approvals))));
    }
    std::vector<std::string> said(const std::string &agent) const {
        std::vector<std::string> lines;
        for (const Message &message : must(manager_->transcript(agent))) lines.push_back(message.role + ": " + message.content);
        return lines;
    }

    TemporaryFolder home_;
    Desk desk_;
    std::map<std::string, std::vector<std::string>> first_{{"pilot", {kStamp}}, {"cook", {kStamp}}, {"clerk", {kStamp}}};
    std::unique_ptr<AgentManager> manager_;
    std::unique_ptr<TeamStore> store_;
    std::unique_ptr<Colleagues> colleagues_;
    std::unique_ptr<Runner> runner_;
};

TEST(PendingAgent, IsWhoMakesTheCall) {
    EXPECT_EQ(pending_agent("call_1"), "");
    EXPECT_EQ(pending_agent("pilot/call_1"), "pilot");
    EXPECT_EQ(pending_agent("pilot/clerk/call_1"), "clerk");
    EXPECT_EQ(pending_agent("/call_1"), "");
}

// The second task is given when the first is done, and doesn't take the colleague from what it waits for.
TEST_F(ApprovalBelowTest, TwoTasksForOneColleagueAreDoneOneAfterTheOther) {
    RunResult result = ask({give("pilot"), give("pilot")});
    for (const int done : {0, 1}) {
        EXPECT_EQ(result.end, RunEnd::approval);
        ASSERT_EQ(result.pending.size(), 1U);
        EXPECT_EQ(desk_.stamps, done);
        EXPECT_EQ(said("pilot").size(), done * 4U + 2) << "nothing was said to it twice";
        open();
        result = decide({{result.pending[0].id, true}});
    }
    EXPECT_EQ(result.text, "So it is.");
    EXPECT_EQ(desk_.stamps, 2);
    EXPECT_EQ(said("pilot").size(), 8U);
    EXPECT_EQ(std::ranges::count(said("chief"), "tool: pilot is done."), 2);
}

TEST_F(ApprovalBelowTest, TheCallThatGaveTheWorkWaitsAndGoesOn) {
    for (const bool allow : {true, false}) {
        desk_.stamps = 0;
        const std::size_t before = said("pilot").size(), of_chief = said("chief").size();
        const RunResult waits = ask({give("pilot")});
        EXPECT_EQ(waits.end, RunEnd::approval);
        ASSERT_EQ(waits.pending.size(), 1U);
        EXPECT_TRUE(waits.pending[0].id.starts_with("pilot/call_")) << waits.pending[0].id;
        EXPECT_EQ(waits.pending[0].name, "stamp");
        ASSERT_EQ(waits.steps.size(), 2U);
        EXPECT_EQ(waits.steps[1].kind, RunStep::Kind::delegation);
        EXPECT_EQ(waits.steps[1].output, "pilot waits for a person to allow its calls.");
        EXPECT_FALSE(waits.steps[1].failed);
        EXPECT_EQ(waits.steps[1].steps.size(), 1U) << "the trace";
        EXPECT_EQ(said("chief").size(), of_chief + 2) << "the call is open";

        open();
        const RunResult done = decide({{waits.pending[0].id, allow}});
        EXPECT_EQ(done.end, RunEnd::answered);
        EXPECT_EQ(done.text, "So it is.");
        EXPECT_EQ(desk_.stamps, allow ? 1 : 0);
        ASSERT_EQ(done.steps.size(), 2U);
        EXPECT_EQ(done.steps[0].name + ": " + done.steps[0].output, "pilot: pilot is done.");
        ASSERT_EQ(done.steps[0].steps.size(), 2U);
        EXPECT_EQ(done.steps[0].steps[0].output, allow ? "stamped" : "A person did not allow this call.");
        EXPECT_EQ(done.usage.answer_tokens, done.steps[0].steps[1].answer_tokens + done.steps[1].answer_tokens);
        const auto pilot = said("pilot"), chief = said("chief");
        ASSERT_EQ(pilot.size(), before + 4) << "nothing was said to it twice";
        EXPECT_EQ(pilot[before], "user: Stamp it.");
        ASSERT_EQ(chief.size(), of_chief + 4);
        EXPECT_EQ(chief[of_chief + 2], "tool: pilot is done.");
        EXPECT_EQ(runner_->run(*manager_, decision({})).error().code, ErrorCode::invalid_argument) << "nothing waits any more";
    }
}

TEST_F(ApprovalBelowTest, OtherCallsOfTheAnswerAreMadeOnce) {
    const RunResult waits = ask({kBell, give("pilot"), kBell});
    EXPECT_EQ(waits.pending.size(), 1U);
    EXPECT_EQ(desk_.bells, 2);
    open();
    const RunResult again = decide({});
    EXPECT_EQ(again.end, RunEnd::approval) << "whoever decides nothing sees what waits";
    EXPECT_EQ(again.pending, waits.pending);
    EXPECT_EQ(decide({{waits.pending[0].id, true}}).end, RunEnd::answered);
    EXPECT_EQ(desk_.bells, 2);
    EXPECT_EQ(desk_.stamps, 1);
    const auto chief = said("chief");
    ASSERT_EQ(chief.size(), 6U);
    EXPECT_EQ(chief[2] + ", " + chief[3] + ", " + chief[4], "tool: rung, tool: pilot is done., tool: rung")
        << "in the calls' order";
}

TEST_F(ApprovalBelowTest, TwoColleaguesWaitAtOnce) {
    const RunResult waits = ask({give("pilot"), give("cook")});
    ASSERT_EQ(waits.pending.size(), 2U);
    EXPECT_EQ(pending_agent(waits.pending[0].id), "pilot");
    EXPECT_EQ(pending_agent(waits.pending[1].id), "cook");
    const RunResult half = decide({{waits.pending[1].id, true}});
    EXPECT_EQ(half.end, RunEnd::approval);
    ASSERT_EQ(half.pending.size(), 1U);
    EXPECT_EQ(half.pending[0], waits.pending[0]);
    EXPECT_EQ(said("cook").size(), 4U);
    EXPECT_EQ(said("pilot").size(), 2U);
    open();
    EXPECT_EQ(decide({{waits.pending[0].id, false}}).end, RunEnd::answered);
    EXPECT_EQ(said("cook").size(), 4U) << "its work isn't given to it again";
    EXPECT_EQ(desk_.stamps, 1);
    const auto chief = said("chief");
    ASSERT_EQ(chief.size(), 5U);
    EXPECT_EQ(chief[2] + ", " + chief[3], "tool: pilot is done., tool: cook is done.");
}

TEST_F(ApprovalBelowTest, DecisionsMayComeOneByOne) {
    first_["pilot"] = {kStamp, kBell, kStamp};
    const RunResult waits = ask({give("pilot")});
    ASSERT_EQ(waits.pending.size(), 2U);
    const RunResult half = decide({{waits.pending[0].id, true}});
    EXPECT_EQ(half.end, RunEnd::approval);
    ASSERT_EQ(half.pending.size(), 1U);
    EXPECT_EQ(half.pending[0], waits.pending[1]);
    EXPECT_EQ(desk_.stamps + desk_.bells, 0) << "an answer's calls are made together";
    open();
    EXPECT_EQ(decide({{waits.pending[1].id, false}}).end, RunEnd::answered);
    EXPECT_EQ(desk_.stamps, 1);
    EXPECT_EQ(desk_.bells, 1);
    const auto pilot = said("pilot");
    ASSERT_EQ(pilot.size(), 6U);
    EXPECT_EQ(pilot[2], "tool: stamped");
    EXPECT_EQ(pilot[4], "tool: A person did not allow this call.");
}

// Of the agent's own calls what was decided is remembered, too.
TEST_F(ApprovalBelowTest, OwnCallsAreDecidedOneByOne) {
    const RunResult waits = ask({kStamp, kStamp, give("pilot")});
    ASSERT_EQ(waits.pending.size(), 2U);
    EXPECT_TRUE(said("pilot").empty()) << "nothing is made before";
    EXPECT_EQ(decide({{waits.pending[0].id, true}}).pending, std::vector{waits.pending[1]});
    open();
    const RunResult below = decide({{waits.pending[1].id, true}});
    EXPECT_EQ(below.end, RunEnd::approval);
    EXPECT_EQ(desk_.stamps, 2);
    ASSERT_EQ(below.pending.size(), 1U);
    EXPECT_EQ(pending_agent(below.pending[0].id), "pilot");
    EXPECT_EQ(decide({{below.pending[0].id, true}}).end, RunEnd::answered);
    EXPECT_EQ(desk_.stamps, 3);
}

TEST_F(ApprovalBelowTest, AColleaguesColleagueWaits) {
    first_["pilot"] = {give("clerk"), kBell};
    for (const bool allow : {true, false}) {
        desk_.stamps = desk_.bells = 0;
        const RunResult waits = ask({give("pilot")});
        ASSERT_EQ(waits.pending.size(), 1U);
        EXPECT_TRUE(waits.pending[0].id.starts_with("pilot/clerk/call_")) << waits.pending[0].id;
        open();
        const RunResult done = decide({{waits.pending[0].id, allow}});
        EXPECT_EQ(done.end, RunEnd::answered);
        EXPECT_EQ(desk_.stamps, allow ? 1 : 0);
        EXPECT_EQ(desk_.bells, 1);
        ASSERT_EQ(done.steps.size(), 2U);
        EXPECT_EQ(done.steps[0].output, "pilot is done.");
        ASSERT_EQ(done.steps[0].steps.size(), 2U);
        EXPECT_EQ(done.steps[0].steps[0].output, "clerk is done.");
    }
    EXPECT_EQ(said("clerk").size(), 8U);
}

TEST_F(ApprovalBelowTest, AWrongIdChangesNothing) {
    const RunResult waits = ask({give("pilot")});
    const std::string id = waits.pending.at(0).id;
    for (const std::string &wrong : {std::string("pilot/call_x"), id.substr(std::string("pilot/").size()), "cook/" + id}) {
        const auto refused = runner_->run(*manager_, decision({{id, true}, {wrong, true}}));
        EXPECT_EQ(refused.error().message, "no call " + wrong + " waits for approval");
    }
    EXPECT_EQ(desk_.stamps, 0);
    EXPECT_EQ(decide({{id, true}}).end, RunEnd::answered);
}

TEST_F(ApprovalBelowTest, AColleagueIsFreeMeanwhileAndItsWorkThenLost) {
    const RunResult waits = ask({give("pilot"), give("cook")});
    ASSERT_EQ(waits.pending.size(), 2U);
    EXPECT_EQ(ask({kBell}, "pilot").steps.at(1).output, "rung") << "somebody else has it";
    const RunResult done = decide({{waits.pending[0].id, true}, {waits.pending[1].id, true}});
    EXPECT_EQ(done.end, RunEnd::answered);
    ASSERT_EQ(done.steps.size(), 3U);
    EXPECT_TRUE(done.steps[0].failed);
    EXPECT_EQ(done.steps[0].output,
              "pilot could not be asked: its calls that waited for a person wait no more, since somebody has spoken to pilot "
              "meanwhile");
    EXPECT_EQ(done.steps[1].output, "cook is done.");
    EXPECT_EQ(desk_.stamps, 1);
    EXPECT_TRUE(said("chief").at(2).starts_with("tool: pilot could not be asked"));
}

TEST_F(ApprovalBelowTest, WhoAsksSomethingElseMeanwhileIsAnswered) {
    ask({kBell, give("pilot")});
    RunRequest other{.agent = "chief", .messages = {{.role = "user", .content = "Never mind."}}};
    other.sampling.grammar = saying("All right.");
    EXPECT_EQ(must(runner_->run(*manager_, other)).text, "All right.");
    const auto chief = said("chief");
    ASSERT_EQ(chief.size(), 6U);
    EXPECT_EQ(chief[2], "tool: rung");
    EXPECT_EQ(chief[3], "tool: There is no result: a person was asked to allow what it needs, and has not decided.");
}

TEST_F(ApprovalBelowTest, WorkGivenWithoutTheModelWaitsToo) {
    RunRequest given{.agent = "chief", .messages = {{.role = "user", .content = "Stamp it."}}};
    given.delegate_to = "pilot";
    const RunResult waits = must(runner_->run(*manager_, given));
    EXPECT_EQ(waits.end, RunEnd::approval);
    ASSERT_EQ(waits.pending.size(), 1U);
    EXPECT_EQ(said("chief").size(), 2U);
    open();
    given.approvals = {{waits.pending[0].id, true}};
    EXPECT_EQ(runner_->run(*manager_, given).error().code, ErrorCode::invalid_argument) << "a task, or approvals";
    given.messages.clear();
    given.delegate_to = "cook";
    EXPECT_EQ(runner_->run(*manager_, given).error().code, ErrorCode::invalid_argument) << "it has no such work";
    given.delegate_to = "pilot";
    const RunResult done = must(runner_->run(*manager_, given));
    EXPECT_EQ(done.end, RunEnd::answered);
    EXPECT_EQ(done.text, "pilot is done.");
    EXPECT_EQ(desk_.stamps, 1);
    EXPECT_EQ(said("chief"),
              (std::vector<std::string>{"user: Let pilot do this: Stamp it.", "assistant: ", "tool: pilot is done.",
                                        "assistant: I asked pilot. The answer:\npilot is done."}));
    EXPECT_EQ(runner_->run(*manager_, given).error().code, ErrorCode::invalid_argument);

    // The agent's model may answer itself.
    given.messages = {{.role = "user", .content = "Stamp it."}};
    given.approvals.clear();
    EXPECT_EQ(decide({{must(runner_->run(*manager_, given)).pending.at(0).id, true}}).text, "So it is.");
    EXPECT_EQ(desk_.stamps, 2);
}

// Decisions about it would come to an agent that knows nothing of the work.
TEST_F(ApprovalBelowTest, WorkThatCouldNotBeWrittenDownDoesNotWait) {
    RunRequest given{.agent = "chief", .messages = {{.role = "user", .content = "Stamp it."}}};
    given.delegate_to = "pilot";
    std::optional<FileSizeLimit> full;
    const RunResult done = must(runner_->run(*manager_, given, [&](const RunEvent &event) {
        const auto *ends = std::get_if<RunToolEnds>(&event);
        if (ends != nullptr && ends->agent == "chief") full.emplace(0);
    }));
    full.reset();
    EXPECT_EQ(done.end, RunEnd::failed);
    EXPECT_FALSE(done.committed);
    EXPECT_TRUE(done.warning.contains("chief won't remember this")) << done.warning;
    EXPECT_TRUE(done.pending.empty());
    EXPECT_TRUE(said("chief").empty());
    given.messages.clear();
    given.approvals = {{"pilot/call", true}};
    EXPECT_EQ(runner_->run(*manager_, given).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(desk_.stamps, 0);
}

// A runner without a store knows what waits as long as it lives.
TEST_F(ApprovalBelowTest, NothingNeedsAStore) {
    runner_ = std::make_unique<Runner>(std::vector<ToolSource *>{&desk_, colleagues_.get()});
    const RunResult waits = ask({kBell, give("pilot")});
    EXPECT_EQ(decide({{waits.pending.at(0).id, true}}).end, RunEnd::answered);
    EXPECT_EQ(desk_.bells, 1);
}

TEST(HeldCalls, TheOldestOfATenantGo) {
    TemporaryFolder home;
    const auto store = must(TeamStore::open(home.path() / "teams.db"));
    must(store->keep_held_calls("other", {{"call", "x"}}));
    std::map<std::string, std::string> many;
    for (std::size_t i = 0; i < kMaxHeldCalls; ++i) many.emplace("call_" + std::to_string(i), "x");
    must(store->keep_held_calls("default", {{"first", "x"}}));
    must(store->keep_held_calls("default", many));
    EXPECT_FALSE(must(store->held_call("default", "first")));
    EXPECT_TRUE(must(store->held_call("default", "call_0")));
    EXPECT_TRUE(must(store->held_call("other", "call")));
    must(store->forget_held_call("default", "call_0"));
    EXPECT_FALSE(must(store->held_call("default", "call_0")));
}

}  // namespace
}  // namespace engram
