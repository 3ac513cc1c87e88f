// Runs: an agent calls tools, reads their results, gives work to others, and answers.
#include <gtest/gtest.h>

#include <algorithm>
#include <barrier>
#include <optional>
#include <thread>

#include "agents/testing_file_size_limit.h"
#include "teams/testing_runner.h"

namespace engram {
namespace {

using namespace testing;

const std::string kLook = look_at("tide");

class RunnerTest : public RunnerFixture {
  protected:
    // Makes "chief", whose colleagues are "untooled" and itself; what it gives to "untooled".
    RunRequest work_for_untooled(std::uint32_t result_tokens) {
        must(manager_->create(with_colleagues("chief", {"untooled", "chief"})));
        must(manager_->create({.id = "untooled", .system_prompt = "You say something."}));
        RunRequest asked{.agent = "chief", .messages = {{.role = "user", .content = "Say where the ferry is."}}};
        asked.delegate_to = "untooled";
        asked.limits.result_tokens = result_tokens;
        return asked;
    }
};

TEST_F(RunnerTest, CallsAToolAndAnswersWithItsResult) {
    RunRequest asked = request(calling({kLook}));
    tool_.play = [&](const ToolContext &context, const ChatToolCall &call) {
        EXPECT_EQ(call.arguments, R"({"at": "tide"})") << "as the model wrote it";
        EXPECT_EQ(context.agent.id, "a");
        EXPECT_TRUE(context.chain.empty());
        asked.sampling.grammar = saying("It is high.");
        return ToolOutcome{.text = "high"};
    };
    std::vector<std::string> events;
    const RunResult done = run(asked, [&](const RunEvent &event) {
        if (const auto *begins = std::get_if<RunToolBegins>(&event)) events.push_back("begins " + begins->call.name);
        if (const auto *ends = std::get_if<RunToolEnds>(&event)) events.push_back("ends " + ends->output);
        const auto *answering = std::get_if<RunAnswering>(&event);
        if (answering != nullptr && std::holds_alternative<ChatFinished>(answering->event)) events.push_back("answered");
    });
    EXPECT_EQ(done.end, RunEnd::answered);
    EXPECT_EQ(done.text, "It is high.");
    EXPECT_EQ(events, (std::vector<std::string>{"answered", "begins look", "ends high", "answered"}));
    ASSERT_EQ(done.steps.size(), 3U);
    EXPECT_EQ(done.steps[1].kind, RunStep::Kind::tool);
    EXPECT_EQ(done.steps[1].name, "look");
    EXPECT_EQ(done.steps[1].output, "high");
    // After the call only its result had to be read.
    EXPECT_GE(done.steps[2].cached_tokens + 1, done.steps[0].prompt_tokens + done.steps[0].answer_tokens);
    EXPECT_EQ(done.usage.prompt_tokens, done.steps[0].prompt_tokens + done.steps[2].prompt_tokens);
    const auto said = transcript();
    ASSERT_EQ(said.size(), 4U);
    EXPECT_EQ(said[2].role, "tool");
    EXPECT_EQ(said[2].content, "high");
    EXPECT_EQ(said[3].content, "It is high.");
}

// A call that the agent would know nothing of isn't made.
TEST_F(RunnerTest, CallsThatCouldNotBeWrittenDownAreNotMade) {
    {
        const FileSizeLimit full(0);
        const RunResult called = run(request(calling({kLook})));
        EXPECT_EQ(called.end, RunEnd::failed);
        EXPECT_FALSE(called.committed);
        EXPECT_NE(called.warning.find("not committed"), std::string::npos) << called.warning;
        EXPECT_TRUE(called.pending.empty());
        const RunResult said = run(request(saying("It is high.")));
        EXPECT_EQ(said.end, RunEnd::answered) << "the answer is there, for whoever asked";
        EXPECT_FALSE(said.committed);
    }
    EXPECT_EQ(tool_.calls, 0);
    EXPECT_TRUE(transcript().empty());
    EXPECT_TRUE(run(request(saying("It is high."))).committed);
    EXPECT_EQ(transcript().size(), 2U);
}

// While a tool works the agent's memory may leave the context: what follows still computes no more than the result.
TEST_F(RunnerTest, MemoryMayLeaveTheContextWhileAToolWorks) {
    RunRequest asked = request(calling({kLook}));
    tool_.play = [&](const ToolContext &context, const ChatToolCall &) {
        must(context.agents.save("a"));
        must(context.agents.evict("a"));
        asked.sampling.grammar = saying("It is high.");
        return ToolOutcome{.text = "high"};
    };
    const RunResult done = run(asked);
    ASSERT_EQ(done.steps.size(), 3U);
    EXPECT_GE(done.steps[2].cached_tokens + 1, done.steps[0].prompt_tokens + done.steps[0].answer_tokens);
}

TEST_F(RunnerTest, TroubleIsToldToTheModel) {
    RunRequest asked = request(calling({R"({"name": "fly", "arguments": {}})", kLook}));
    tool_.play = [&](const ToolContext &, const ChatToolCall &) {
        asked.sampling.grammar = saying("I can not.");
        return ToolOutcome{.text = "it is dark", .failed = true};
    };
    const RunResult done = run(asked);
    EXPECT_EQ(done.text, "I can not.");
    ASSERT_EQ(done.steps.size(), 4U);
    EXPECT_TRUE(done.steps[1].failed);
    EXPECT_EQ(done.steps[1].output, "There is no tool fly. There are: look");
    EXPECT_TRUE(done.steps[2].failed);
    EXPECT_EQ(transcript().at(3).content, "it is dark");
}

TEST_F(RunnerTest, StepsAreLimitedAndTheNextRunMayGoOn) {
    RunRequest asked = request(calling({kLook}));
    asked.limits.steps = 3;
    const RunResult done = run(asked);
    EXPECT_EQ(done.end, RunEnd::steps);
    EXPECT_EQ(tool_.calls, 2);
    ASSERT_EQ(done.pending.size(), 1U);
    reopen();
    RunRequest further{.agent = "a", .messages = {}};
    further.sampling.grammar = saying("It is high.");
    const RunResult gone_on = run(further);
    EXPECT_EQ(tool_.calls, 3) << "the call that waited is made";
    EXPECT_EQ(gone_on.text, "It is high.");
    EXPECT_EQ(gone_on.end, RunEnd::answered);
    EXPECT_EQ(runner_.run(*manager_, {.agent = "a", .messages = {}}).error().code, ErrorCode::invalid_argument);
}

TEST_F(RunnerTest, TokensAreLimited) {
    RunRequest asked = request(calling({kLook}));
    asked.limits.tokens = 100;
    const RunResult done = run(asked);
    EXPECT_EQ(done.end, RunEnd::tokens);
    EXPECT_GE(done.usage.prompt_tokens - done.usage.cached_tokens + done.usage.answer_tokens, 100U);
    EXPECT_EQ(done.pending.size(), 1U);
}

TEST_F(RunnerTest, TimeEndsATool) {
    RunRequest asked = request(calling({kLook}));
    asked.limits.time = std::chrono::milliseconds(500);
    tool_.play = [](const ToolContext &context, const ChatToolCall &) {
        while (!context.stop.stop_requested()) std::this_thread::yield();
        return ToolOutcome{.text = "too late", .failed = true};
    };
    const RunResult done = run(asked);
    EXPECT_EQ(done.end, RunEnd::time);
    EXPECT_EQ(done.pending.size(), static_cast<std::size_t>(tool_.calls)) << "a slow machine may not come so far";
}

TEST_F(RunnerTest, APersonDecides) {
    tool_.asks = true;
    const RunResult waits = run(request(calling({kLook, R"({"name": "look", "arguments": {"at": "wind"}})"})));
    EXPECT_EQ(waits.end, RunEnd::approval);
    ASSERT_EQ(waits.pending.size(), 2U);
    EXPECT_EQ(tool_.calls, 0);
    reopen();  // the question survives

    RunRequest decided{.agent = "a", .messages = {}, .approvals = {{waits.pending[0].id, false}}};
    decided.sampling.grammar = saying("I looked at the wind.");
    const RunResult half = run(decided);
    EXPECT_EQ(half.end, RunEnd::approval);
    ASSERT_EQ(half.pending.size(), 1U);
    EXPECT_EQ(half.pending.front().id, waits.pending[1].id);
    EXPECT_EQ(tool_.calls, 0);

    decided.approvals.emplace(waits.pending[1].id, true);
    const RunResult done = run(decided);
    EXPECT_EQ(done.end, RunEnd::answered);
    EXPECT_EQ(tool_.calls, 1);
    const auto said = transcript();
    ASSERT_EQ(said.size(), 5U);
    EXPECT_EQ(said[2].content, "A person did not allow this call.");
    EXPECT_EQ(said[3].content, "high");
    ASSERT_EQ(run(request(calling({kLook}))).end, RunEnd::approval);
    RunRequest both = request(saying("Never mind."));
    both.approvals = {{run({.agent = "a", .messages = {}}).pending.at(0).id, true}};
    EXPECT_EQ(runner_.run(*manager_, both).error().code, ErrorCode::invalid_argument) << "a message, or approvals";
    decided.approvals = {{"call_of_nobody", true}};
    EXPECT_EQ(runner_.run(*manager_, decided).error().message, "no call call_of_nobody waits for approval");
}

// When earlier messages aren't read any more, a call that waits still is.
TEST_F(RunnerTest, ACallThatWaitsOutlivesACompaction) {
    tool_.asks = true;
    const RunResult waits = run(request(calling({kLook})));
    ASSERT_EQ(waits.pending.size(), 1U);
    must(manager_->compact("a", transcript().size(), "Nothing was seen."));
    reopen();
    RunRequest decided{.agent = "a", .messages = {}, .approvals = {{waits.pending.front().id, true}}};
    decided.sampling.grammar = saying("It is high.");
    EXPECT_EQ(run(decided).text, "It is high.");
    EXPECT_EQ(tool_.calls, 1);
    EXPECT_TRUE(must(manager_->detokenise(must(manager_->tokens("a")))).contains("How is the tide?"));
}

TEST_F(RunnerTest, WhoAsksSomethingElseMeanwhileIsAnswered) {
    tool_.asks = true;
    ASSERT_EQ(run(request(calling({kLook}))).end, RunEnd::approval);
    const RunResult done = run(request(saying("Never mind.")));
    EXPECT_EQ(done.text, "Never mind.");
    const auto said = transcript();
    ASSERT_EQ(said.size(), 5U);
    EXPECT_EQ(said[2].content, "This call was not made.");
}

TEST_F(RunnerTest, CallsOfOneAnswerAreMadeAtTheSameTime) {
    RunRequest asked = request(calling({kLook, kLook, kLook}));
    std::barrier together(3);
    tool_.play = [&](const ToolContext &context, const ChatToolCall &call) {
        together.arrive_and_wait();  // one after the other they would never come here all
        context.sink(RunToolProgress{.agent = "a", .call_id = call.id, .done = 1, .total = 1, .message = ""});
        return ToolOutcome{.text = call.id};
    };
    asked.limits.steps = 2;
    const std::thread::id here = std::this_thread::get_id();
    int told = 0;
    const RunResult done = run(asked, [&](const RunEvent &event) {
        EXPECT_EQ(std::this_thread::get_id(), here);
        if (std::holds_alternative<RunToolProgress>(event)) ++told;
    });
    EXPECT_EQ(told, 3);
    ASSERT_GE(done.steps.size(), 4U);
    const auto said = transcript();
    for (std::size_t i = 1; i <= 3; ++i) EXPECT_EQ(said.at(i + 1).content, done.steps[i].output) << "in the calls' order";
}

TEST_F(RunnerTest, LongResultsLoseTheirMiddle) {
    RunRequest asked = request(calling({kLook}));
    asked.limits.result_tokens = 60;
    tool_.play = [&](const ToolContext &, const ChatToolCall &) {
        asked.sampling.grammar = saying("Long.");
        return ToolOutcome{.text = "first " + filler(400) + " last \xff"};
    };
    const RunResult done = run(asked);
    const std::string &read = done.steps.at(1).output;
    EXPECT_TRUE(read.starts_with("first river")) << read;
    EXPECT_TRUE(read.contains(" are left out here]")) << read;
    EXPECT_TRUE(read.contains("last")) << read;
    EXPECT_LE(manager_->tokenise(read).size(), 60U + 40U) << "and the line that tells of it";
}

TEST_F(RunnerTest, NobodyIsNotFound) {
    EXPECT_EQ(runner_.run(*manager_, {.agent = "nobody", .messages = {{.role = "user", .content = "x"}}}).error().code,
              ErrorCode::not_found);
}

// --- work for others ---

TEST_F(RunnerTest, AColleagueWorksWithItsOwnMemory) {
    must(manager_->create(with_colleagues("chief", {"untooled"})));
    must(manager_->create({.id = "untooled", .system_prompt = "You say something."}));
    RunRequest asked = request(giving("untooled"));
    asked.agent = "chief";
    asked.limits.steps = 2;
    asked.limits.result_tokens = 24;
    const RunResult done = run(asked);
    ASSERT_EQ(done.steps.size(), 3U);
    const RunStep &given = done.steps[1];
    EXPECT_EQ(given.kind, RunStep::Kind::delegation);
    EXPECT_EQ(given.name, "untooled");
    EXPECT_FALSE(given.failed) << given.output;
    ASSERT_EQ(given.steps.size(), 1U);
    EXPECT_EQ(given.steps[0].agent, "untooled");
    EXPECT_EQ(done.usage.answer_tokens, done.steps[0].answer_tokens + given.steps[0].answer_tokens + done.steps[2].answer_tokens);
    const auto said = transcript("untooled");
    ASSERT_EQ(said.size(), 2U);
    EXPECT_EQ(said[0].content, "Say something.");

    reopen();  // the second task finds the memory of the first one
    asked.messages = {{.role = "user", .content = "Again."}};
    const RunResult again = run(asked);
    const RunStep &second = again.steps.at(1).steps.at(0);
    EXPECT_GE(second.cached_tokens + 1, given.steps[0].prompt_tokens + given.steps[0].answer_tokens);
    EXPECT_EQ(transcript("untooled").size(), 4U);
}

TEST_F(RunnerTest, WorkIsGivenWithoutAWordOfTheModel) {
    RunRequest asked = work_for_untooled(24);
    const RunResult done = run(asked);
    EXPECT_EQ(done.end, RunEnd::answered);
    ASSERT_EQ(done.steps.size(), 1U);
    EXPECT_EQ(done.steps[0].kind, RunStep::Kind::delegation);
    EXPECT_EQ(done.text, done.steps[0].output);
    EXPECT_EQ(transcript("untooled").at(0).content, "Say where the ferry is.");
    const auto remembered = transcript("chief");
    ASSERT_EQ(remembered.size(), 2U);
    EXPECT_EQ(remembered[0].content, "Let untooled do this: Say where the ferry is.");
    EXPECT_EQ(remembered[1].content, "I asked untooled. The answer:\n" + done.text);

    asked.delegate_to = "chief";  // itself: no work for others
    const RunResult itself = run(asked);
    EXPECT_EQ(itself.end, RunEnd::failed);
    EXPECT_FALSE(itself.warning.empty());
    asked.delegate_to = "stranger";
    EXPECT_EQ(runner_.run(*manager_, asked).error().code, ErrorCode::invalid_argument);
    asked.delegate_to = "untooled";
    asked.messages.clear();
    EXPECT_EQ(runner_.run(*manager_, asked).error().code, ErrorCode::invalid_argument);
    asked.agent = "nobody";
    EXPECT_EQ(runner_.run(*manager_, asked).error().code, ErrorCode::not_found);
}

// It isn't taken for done: whoever gave the work, and its model, would go on as if the colleague knew of it.
TEST_F(RunnerTest, ThatAColleagueWillNotRememberIsTold) {
    const RunRequest asked = work_for_untooled(400);
    std::optional<FileSizeLimit> full;
    const RunResult done = run(asked, [&](const RunEvent &event) {
        if (std::holds_alternative<RunToolBegins>(event)) full.emplace(0);
        if (std::holds_alternative<RunToolEnds>(event)) full.reset();
    });
    EXPECT_EQ(done.end, RunEnd::failed);
    EXPECT_TRUE(done.warning.contains("untooled could not write down what it answered, and won't remember it")) << done.warning;
    ASSERT_EQ(done.steps.size(), 1U);
    EXPECT_TRUE(done.steps[0].failed);
    EXPECT_TRUE(done.text.contains(" It said so far: ")) << done.text;
    EXPECT_FALSE(done.steps[0].steps.at(0).output.empty());
    EXPECT_TRUE(transcript("untooled").empty());
    EXPECT_EQ(transcript("chief").at(1).content, "I asked untooled. The answer:\n" + done.text);
}

TEST_F(RunnerTest, ThatTheGiverWillNotRememberIsTold) {
    const RunRequest asked = work_for_untooled(24);
    std::optional<FileSizeLimit> full;
    const RunResult done = run(asked, [&](const RunEvent &event) {
        if (std::holds_alternative<RunToolEnds>(event)) full.emplace(0);
    });
    full.reset();
    EXPECT_EQ(done.end, RunEnd::answered) << "the answer is there, for whoever asked";
    EXPECT_FALSE(done.committed);
    EXPECT_TRUE(done.warning.contains("chief won't remember this: this turn was not committed")) << done.warning;
    EXPECT_EQ(done.text, done.steps.at(0).output);
    EXPECT_EQ(transcript("untooled").size(), 2U);
    EXPECT_TRUE(transcript("chief").empty());
    EXPECT_TRUE(run(asked).committed);
    EXPECT_EQ(transcript("chief").size(), 2U);
}

TEST_F(RunnerTest, CirclesDepthAndStrangersAreToldToTheModel) {
    must(manager_->create(with_colleagues("chief", {"middle", "gone", "chief"})));
    must(manager_->create(with_colleagues("middle", {"chief"})));
    const auto told = [&](const std::string &to, std::uint32_t depth) {
        RunRequest asked = request(giving(to));
        asked.agent = "chief";
        asked.limits = {.steps = 2, .depth = depth};
        asked.limits.result_tokens = 200;
        return run(asked).steps.at(1).output;
    };
    EXPECT_TRUE(told("chief", 4).starts_with("chief waits for this answer already (chief)")) << told("chief", 4);
    EXPECT_TRUE(told("stranger", 4).starts_with("There is no colleague stranger. There are: middle, gone, chief."))
        << told("stranger", 4);
    EXPECT_TRUE(told("gone", 4).starts_with("gone could not be asked: ")) << told("gone", 4);
    EXPECT_TRUE(told("middle", 1).starts_with("Work may be handed on 0 times")) << told("middle", 1);

    const AgentInfo middle = must(manager_->get("middle"));
    const std::vector<ChatTool> tools = colleagues_.tools(*manager_, middle);
    ASSERT_EQ(tools.size(), 1U);
    EXPECT_TRUE(tools.front().description.ends_with("\n- chief: does chief")) << tools.front().description;
    EXPECT_TRUE(tools.front().parameters.contains(R"("enum":["chief"])")) << tools.front().parameters;
}

}  // namespace
}  // namespace engram
