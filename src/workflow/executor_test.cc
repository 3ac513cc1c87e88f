#include "workflow/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <set>
#include <thread>

#include "agents/testing_file_size_limit.h"
#include "workflow/testing_workflow.h"

namespace engram::workflow {
namespace {

using namespace testing;

using ExecutorTest = WorkflowTest;

const std::string kOne =
    "name: w\nagents: {x: {system_prompt: You are x.}}\nnodes:\n  a:\n    agent: x\n    prompt: hello\n"
    "    max_tokens: 8\n";

TEST_F(ExecutorTest, ThreeAgentsAnalyse) {
    const RunRow ended = run(analysis_yaml(), {{"topic", "ferries"}});
    EXPECT_EQ(ended.state, RunState::finished) << ended.error;
    const std::string technical = step(ended.key, "technical").text, business = step(ended.key, "business").text;
    EXPECT_FALSE(technical.empty());
    const std::vector<Message> said = must(manager_->transcript("coordinator"));
    ASSERT_EQ(said.size(), 2U);
    EXPECT_EQ(said[0].content, "T " + technical + " B " + business);
    EXPECT_EQ(said[1].content, output(ended, "report"));
    EXPECT_EQ(must(manager_->transcript("technical")).at(0).content, "Look at ferries");
    EXPECT_TRUE(told().ends_with("started synthesis, finished synthesis")) << told();
    EXPECT_EQ(agents(), 3U) << "forks stay behind";
    std::string pieces;
    for (const Event &event : events_) pieces += event.kind == EventKind::text && event.node == "synthesis" ? event.text : "";
    EXPECT_EQ(pieces, output(ended, "report"));
    // What is stored is what was told, but for the pieces of text.
    std::vector<std::int64_t> numbers;
    for (const Event &event : events_) {
        if (event.seq > 0) numbers.push_back(event.seq);
    }
    const std::vector<Event> stored = must(store_->events(ended.key, 0));
    ASSERT_EQ(stored.size(), numbers.size());
    for (std::size_t i = 0; i < stored.size(); ++i) EXPECT_EQ(stored[i].seq, numbers[i]);
    EXPECT_EQ(stored.front().text, "running");
    EXPECT_EQ(stored.back().text, "finished");
}

// Counts who runs at the same time. With `together` each waits until so many do.
class Crowd {
  public:
    explicit Crowd(std::size_t together) : together_(together) {}
    RunAgent counted() {
        return [this](AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
            {
                std::unique_lock lock(mutex_);
                most_ = std::max(most_, ++now_);
                changed_.notify_all();
                changed_.wait_for(lock, std::chrono::seconds(20), [this] { return most_ >= together_; });
            }
            auto result = plain_run(agents, request, sink, std::move(stop));
            const std::scoped_lock lock(mutex_);
            --now_;
            return result;
        };
    }
    std::size_t most() const { return most_; }

  private:
    const std::size_t together_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t now_ = 0, most_ = 0;
};

TEST_F(ExecutorTest, BranchesRunAtTheSameTime) {
    Crowd crowd(2);
    run_agent_ = crowd.counted();
    EXPECT_EQ(run(analysis_yaml(), {{"topic", "x"}}).state, RunState::finished);
    EXPECT_EQ(crowd.most(), 2U);
}

// Branches that are alike and begin together: what they say is decoded in one batch, for the most part.
TEST_F(ExecutorTest, BranchesAreDecodedTogether) {
    const std::string head =
        "name: w\nagents: {x: {system_prompt: You count.}, y: {system_prompt: You count.}}\nnodes:\n"
        "  a: {agent: x, memory: fork, prompt: Go on, max_tokens: 400}\n";
    const std::string other = "  b: {agent: y, memory: fork, prompt: Go on, max_tokens: 400}\n";
    const auto batches_of = [&](std::size_t branches) {
        Crowd crowd(branches);
        run_agent_ = crowd.counted();
        const std::uint64_t before = manager_->stats().batches;
        const RunRow ended = run(branches == 1 ? head : head + other);
        EXPECT_EQ(ended.state, RunState::finished) << ended.error;
        return manager_->stats().batches - before;
    };
    const std::uint64_t one = batches_of(1), two = batches_of(2);
    ASSERT_GT(one, 100U) << "an answer that ends early shows nothing";
    EXPECT_LT(4 * two, 7 * one) << "one branch takes " << one << " batches, two take " << two;
}

TEST_F(ExecutorTest, NoMoreAtTheSameTimeThanMay) {
    Crowd crowd(1);
    run_agent_ = crowd.counted();
    EXPECT_EQ(run("parallel: 1\n" + analysis_yaml(), {{"topic", "x"}}).state, RunState::finished);
    EXPECT_EQ(crowd.most(), 1U);
}

TEST_F(ExecutorTest, AListIsDoneInItsOrderWhoeverIsFirst) {
    Crowd crowd(2);
    run_agent_ = crowd.counted();
    must(manager_->create({.id = "x", .system_prompt = "You are x."}));
    const RunRow ended =
        run("name: w\ninputs: {list: {type: list}, empty: {type: list, default: []}}\nnodes:\n"
            "  each: {agent: x, for_each: inputs.list, parallel: 2, prompt: \"${{ index }} ${{ item }}\", max_tokens: 4}\n"
            "  lines: {text: \"${{ index }}=${{ item }}\", for_each: inputs.list}\n"
            "  none: {text: x, for_each: inputs.empty}\n"
            "outputs: {all: \"${{ join(nodes.lines.texts, ' ') }} ${{ length(nodes.each.texts) }} "
            "${{ nodes.none.texts }}\"}\n",
            {{"list", {"red", "green", "blue"}}});
    EXPECT_EQ(ended.state, RunState::finished) << ended.error;
    EXPECT_EQ(output(ended, "all"), "0=red 1=green 2=blue 3 []");
    EXPECT_EQ(crowd.most(), 2U);
    EXPECT_EQ(must(manager_->get("x")).n_messages, 0U) << "elements don't stay in the agent's memory";
    EXPECT_EQ(agents(), 1U);
}

TEST_F(ExecutorTest, ConditionsSkipAndJoinsGoOn) {
    const RunRow ended =
        run("name: w\ninputs: {kind: {}}\nnodes:\n"
            "  a: {text: A, when: inputs.kind == 'a'}\n"
            "  b: {text: B, when: inputs.kind == 'b'}\n"
            "  after_a: {text: \"${{ nodes.a.text }}!\"}\n"
            "  join: {text: \"<${{ nodes.a.text }}${{ nodes.b.text }}> ${{ nodes.after_a.state }}\"}\n"
            "outputs: {o: \"${{ nodes.join.text }}\"}\n",
            {{"kind", "b"}});
    EXPECT_EQ(output(ended, "o"), "<B> skipped");
    EXPECT_EQ(told("a") + told("after_a"), "skipped askipped after_a");
}

TEST_F(ExecutorTest, AnswersKeepToASchema) {
    const std::string yaml =
        "name: w\nagents: {x: {}}\nnodes:\n"
        "  a:\n    agent: x\n    prompt: Is it good?\n"
        "    schema: {type: object, properties: {good: {type: boolean}}, required: [good]}\n";
    const RunRow ended = run(yaml +
                             "    max_tokens: 60\n"
                             "  yes: {text: good, when: nodes.a.json.good}\n"
                             "  no: {text: bad, when: not nodes.a.json.good}\n"
                             "outputs: {o: \"${{ nodes.yes.text }}${{ nodes.no.text }}\"}\n");
    EXPECT_EQ(ended.state, RunState::finished) << ended.error;
    const OrderedJson answer = OrderedJson::parse(step(ended.key, "a").text, nullptr, false);
    ASSERT_TRUE(answer.is_object() && answer["good"].is_boolean()) << step(ended.key, "a").text;
    EXPECT_EQ(output(ended, "o"), answer["good"].get<bool>() ? "good" : "bad");
    EXPECT_EQ(run(yaml + "    max_tokens: 1\n").error, "node a: the answer isn't whole: it has reached max_tokens (1)");
}

// The agents' registry takes nothing more, though the file of runs does: an answer that the agent would not remember is no
// result.
TEST_F(ExecutorTest, WhatCouldNotBeWrittenDownIsTriedAgain) {
    int runs = 0;
    run_agent_ = [&](AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
        if (++runs > 1) return plain_run(agents, request, sink, std::move(stop));
        const FileSizeLimit full(0);
        return plain_run(agents, request, sink, std::move(stop));
    };
    const RunRow failed = run(kOne);
    EXPECT_EQ(failed.state, RunState::failed);
    EXPECT_NE(failed.error.find("not committed"), std::string::npos) << failed.error;
    EXPECT_TRUE(must(manager_->transcript("x")).empty());
    EXPECT_EQ(agents(), 1U) << "forks stay behind";
    runs = 0;
    const RunRow ended = run(kOne + "    retry: {times: 1, wait: 1ms}\n");
    EXPECT_EQ(ended.state, RunState::finished) << ended.error;
    const std::vector<Message> said = must(manager_->transcript("x"));
    ASSERT_EQ(said.size(), 2U);
    EXPECT_EQ(said[1].content, step(ended.key, "a").text);
}

TEST_F(ExecutorTest, AFailedAttemptLeavesNothingInTheMemory) {
    std::atomic<int> calls = 0;
    run_agent_ = [&](AgentManager &agents, const RunRequest &request, const RunSink &sink,
                     std::stop_token stop) -> Result<RunResult> {
        auto result = plain_run(agents, request, sink, std::move(stop));
        if (++calls < 3) return fail(ErrorCode::engine, "the light went out");
        return result;
    };
    const RunRow ended = run(kOne + "    retry: {times: 2, wait: 1ms}\n");
    EXPECT_EQ(ended.state, RunState::finished) << ended.error;
    EXPECT_EQ(told(), "started a, attempt_failed a, started a, attempt_failed a, started a, finished a");
    EXPECT_EQ(must(manager_->get("x")).n_turns, 1U);
    EXPECT_EQ(step(ended.key, "a").attempts, 3U);
    EXPECT_EQ(agents(), 1U);
}

TEST_F(ExecutorTest, ANodeThatFailsEndsTheRunWhichGoesOnFromThere) {
    std::atomic<bool> broken = true;
    std::atomic<int> calls = 0;
    run_agent_ = [&](AgentManager &agents, const RunRequest &request, const RunSink &sink,
                     std::stop_token stop) -> Result<RunResult> {
        ++calls;
        if (broken && request.messages.at(0).content.starts_with("T ")) return fail(ErrorCode::engine, "the light went out");
        return plain_run(agents, request, sink, std::move(stop));
    };
    RunRow ended = run(analysis_yaml(), {{"topic", "x"}});
    EXPECT_EQ(ended.state, RunState::failed);
    EXPECT_EQ(ended.error, "node synthesis: the light went out");
    EXPECT_EQ(calls, 3);
    broken = false;
    ended = run(ended.key);
    EXPECT_EQ(ended.state, RunState::finished) << ended.error;
    EXPECT_EQ(calls, 4) << "what had finished is done again";
    EXPECT_EQ(must(manager_->get("technical")).n_turns, 1U);
    EXPECT_EQ(run(ended.key).state, RunState::finished);
    EXPECT_EQ(calls, 4);
}

// Runs until it is stopped.
RunAgent endless(std::atomic<int> &begun) {
    return [&begun](AgentManager &, const RunRequest &, const RunSink &, const std::stop_token &stop) -> Result<RunResult> {
        ++begun;
        std::mutex mutex;
        std::condition_variable_any never;
        std::unique_lock lock(mutex);
        never.wait_for(lock, stop, std::chrono::seconds(60), [] { return false; });
        return RunResult{.end = RunEnd::cancelled};
    };
}

TEST_F(ExecutorTest, AnAttemptThatTakesTooLongHasFailed) {
    std::atomic<int> begun = 0;
    run_agent_ = endless(begun);
    const RunRow ended = run(kOne + "    timeout: 20ms\n    retry: {times: 1, wait: 1ms}\n");
    EXPECT_EQ(ended.state, RunState::failed);
    EXPECT_EQ(ended.error, "node a: it took longer than 20 ms");
    EXPECT_EQ(begun, 2);
    EXPECT_EQ(run("timeout: 1s\n" + kOne).error, "the run took longer than 1 s");
    EXPECT_EQ(agents(), 1U);
}

TEST_F(ExecutorTest, SomebodyElseCancelsTheRunAndItCanGoOn) {
    std::atomic<int> begun = 0;
    run_agent_ = endless(begun);
    const RunKey key = begin(kOne).key;
    std::jthread other([&] {
        while (begun == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        must(must(RunStore::open(home_.path() / "workflows.db"))->ask_to_cancel(key));
    });
    EXPECT_EQ(run(key).state, RunState::cancelled);
    run_agent_ = plain_run;
    const RunRow ended = run(key);
    EXPECT_EQ(ended.state, RunState::finished) << ended.error;
    EXPECT_EQ(must(manager_->get("x")).n_turns, 1U);
}

TEST_F(ExecutorTest, AStoppedRunIsInterruptedAndFoundAgain) {
    std::atomic<int> begun = 0;
    run_agent_ = endless(begun);
    const RunKey key = begin(kOne).key;
    std::stop_source stop;
    std::jthread other([&] {
        while (begun == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        stop.request_stop();
    });
    EXPECT_EQ(must(try_run(key, stop.get_token())).state, RunState::interrupted);
    EXPECT_EQ(must(store_->unfinished()), std::vector<RunKey>{key});
    run_agent_ = plain_run;
    EXPECT_EQ(run(key).state, RunState::finished);
    EXPECT_TRUE(must(store_->unfinished()).empty());
}

// The three states in which a process can die between an answer and the end of its node.
TEST_F(ExecutorTest, WhatWasAnsweredIsSaidOnce) {
    const auto died_when = [&](StepState state, bool said_to_fork, bool gone_on) {
        const RunRow begun = begin(kOne);
        if (!manager_->get("x")) must(manager_->create({.id = "x", .system_prompt = "You are x."}));
        const std::string fork = "workflow." + begun.key.id + ".a";
        must(manager_->fork("x", fork));
        StepRow row{.node = "a", .state = state, .attempts = 1, .agent = "x"};
        if (said_to_fork) row.text = say(*manager_, fork, "hello", 8).text;
        must(store_->put(begun.key, std::span(&row, 1), {}));
        if (gone_on) must(manager_->fast_forward("x", fork));
        const std::uint64_t before = must(manager_->get("x")).n_turns;
        const RunRow ended = run(begun.key);
        EXPECT_EQ(ended.state, RunState::finished) << ended.error;
        EXPECT_TRUE(state == StepState::running || step(begun.key, "a").text == row.text);
        EXPECT_EQ(agents(), 1U);
        return must(manager_->get("x")).n_turns - before;
    };
    EXPECT_EQ(died_when(StepState::running, false, false), 1U) << "before the answer";
    EXPECT_EQ(died_when(StepState::running, true, false), 1U) << "before the result was written down";
    EXPECT_EQ(died_when(StepState::answered, true, false), 1U) << "before the agent went on from the fork";
    EXPECT_EQ(died_when(StepState::answered, true, true), 0U) << "before the node was finished";
    EXPECT_EQ(must(manager_->get("x")).n_turns, 4U);
}

TEST_F(ExecutorTest, WhoeverTalksToTheAgentMeanwhileIsHeard) {
    std::atomic<int> calls = 0;
    run_agent_ = [&](AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
        auto result = plain_run(agents, request, sink, std::move(stop));
        if (++calls == 1) say(agents, "x", "between", 4);
        return result;
    };
    const RunRow ended = run(kOne);
    EXPECT_EQ(ended.state, RunState::finished) << ended.error;
    EXPECT_EQ(told(), "started a, attempt_failed a, started a, finished a");
    const std::vector<Message> said = must(manager_->transcript("x"));
    ASSERT_EQ(said.size(), 4U);
    EXPECT_EQ(said[0].content, "between");
    EXPECT_EQ(said[2].content, "hello");
}

TEST_F(ExecutorTest, RunsOfOneWorkflowAtTheSameTimeAreAllRemembered) {
    const std::string yaml =
        "name: w\nagents: {x: {}}\ninputs: {n: {}}\nnodes:\n  a: {agent: x, prompt: \"${{ inputs.n }}\", max_tokens: 4}\n";
    std::vector<RunKey> keys;
    for (const char *n : {"one", "two", "three"}) keys.push_back(begin(yaml, {{"n", n}}).key);
    {
        std::vector<std::jthread> threads;
        for (const RunKey &key : keys) threads.emplace_back([&, key] { EXPECT_EQ(run(key).state, RunState::finished); });
    }
    std::set<std::string> said;
    for (const Message &message : must(manager_->transcript("x"))) {
        const bool asks = message.role == "user";
        EXPECT_TRUE(!asks || said.insert(message.content).second);
    }
    EXPECT_EQ(said, (std::set<std::string>{"one", "two", "three"}));
}

TEST_F(ExecutorTest, ARouteChoosesAmongThoseWhoCan) {
    const std::string yaml =
        "name: w\nagents:\n"
        "  bills: {description: Answers about bills, skills: [money, letters]}\n"
        "  taxes: {description: Answers about taxes, skills: [money]}\n"
        "  gardens: {skills: [plants]}\n"
        "nodes:\n";
    const RunRow one =
        run(yaml + "  r: {route: {skill: plants}, prompt: 'Water?', max_tokens: 4}\noutputs: {o: \"${{ nodes.r.agent }}\"}\n");
    EXPECT_EQ(output(one, "o"), "gardens") << one.error;
    const RunRow two =
        run(yaml + "  r: {route: {skill: money}, prompt: 'Who pays?', max_tokens: 4}\noutputs: {o: \"${{ nodes.r.agent }}\"}\n");
    EXPECT_TRUE(output(two, "o") == "bills" || output(two, "o") == "taxes") << two.error;
    const RunRow listed =
        run(yaml +
            "  r: {route: {skill: money, agents: [taxes, gardens]}, prompt: 'Who?', max_tokens: 4}\noutputs: {o: "
            "\"${{ nodes.r.agent }}\"}\n");
    EXPECT_EQ(output(listed, "o"), "taxes") << listed.error;
    EXPECT_EQ(run(yaml + "  r: {route: {skill: music}, prompt: Sing, max_tokens: 4}\n").error,
              "node r: no agent has the skill \"music\"");
    EXPECT_EQ(must(manager_->get("taxes")).n_messages, 0U);
}

TEST_F(ExecutorTest, WhoIsNextIsBroughtIntoMemory) {
    must(manager_->create({.id = "coordinator"}));
    say(*manager_, "coordinator", filler(100), 8);
    must(manager_->save("coordinator"));
    must(manager_->evict("coordinator"));
    ASSERT_EQ(must(manager_->get("coordinator")).tier, "disk");
    std::atomic<bool> was_there = false;
    run_agent_ = [&](AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
        const bool first = request.messages.at(0).content.starts_with("Look at");
        for (int i = 0; first && !was_there && i < 2000; ++i) {
            was_there = must(agents.get("coordinator")).tier == "memory";
            if (!was_there) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return plain_run(agents, request, sink, std::move(stop));
    };
    EXPECT_EQ(run(analysis_yaml(), {{"topic", "x"}}).state, RunState::finished);
    EXPECT_TRUE(was_there);
    EXPECT_EQ(manager_->stats().preloads_asked.done, 1U);
}

TEST_F(ExecutorTest, SaysWhatIsMissing) {
    EXPECT_EQ(run("name: w\nnodes: {a: {agent: nobody, prompt: hi}}").error,
              "node a: there is no agent nobody of tenant default");
    EXPECT_EQ(run("name: w\ninputs: {n: {type: number, default: 3}}\nnodes: {a: {text: x, for_each: inputs.n}}").error,
              "node a: for_each must be a list, and it is number");
    EXPECT_EQ(run("name: w\ninputs: {list: {type: list}}\nnodes: {a: {text: x, for_each: inputs.list}}",
                  {{"list", std::vector<int>(kMaxItems + 1)}})
                  .error,
              "node a: for_each has 1001 elements, and at most 1000 are possible");
    EXPECT_EQ(try_run({.tenant = "default", .id = "absent"}).error().code, ErrorCode::not_found);
    const auto begun = begin_run(*store_, {.tenant = "default", .file = "w.yaml", .definition = "name: w"});
    ASSERT_FALSE(begun);
    EXPECT_EQ(begun.error().message, "w.yaml:1: the workflow: needs nodes");
    EXPECT_TRUE(must(store_->unfinished()).empty());
}

}  // namespace
}  // namespace engram::workflow
