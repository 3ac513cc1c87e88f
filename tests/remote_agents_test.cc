// Colleagues at another server, which here says what the test wants; with a real one: server/a2a_test and tests/delegation_test.
#include "teams/remote_agents.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <thread>

#include "agents/testing_manager.h"
#include "http/testing/test_server.h"
#include "teams/colleagues.h"
#include "teams/testing_runs.h"

namespace engram {
namespace {

using namespace testing;
using http::HttpRequest;
using http::HttpResponder;

class RemoteAgentsTest : public ::testing::Test {
  protected:
    RemoteAgentsTest() {
        open();
        AgentSpec spec{.id = "a"};
        spec.card.colleagues = {"legal"};
        must(manager_->create(spec));
    }

    void open() {
        remotes_.reset();
        store_ = must(TeamStore::open(home_.path() / "teams.db"));
        a2a::RemoteConfig config{.name = "legal", .url = server_->address() + "/legal"};
        remotes_ = std::make_unique<RemoteAgents>(std::vector{config}, *store_);
        colleagues_ = std::make_unique<Colleagues>(remotes_.get());
        runner_ = std::make_unique<Runner>(std::vector<ToolSource *>{colleagues_.get()}, store_.get());
        colleagues_->set_runner(*runner_);
    }

    Result<void> card(const HttpRequest &request, HttpResponder &responder) {
        ++cards_;
        while (hangs_ && !request.stop.stop_requested()) std::this_thread::yield();
        if (down_) return fail(ErrorCode::io, "down");
        responder.send({.body = std::format(R"({{"name":"legal","description":"Reads contracts.",
            "supportedInterfaces":[{{"url":"{}/legal","protocolBinding":"JSONRPC","protocolVersion":"1.0"}}]}})",
                                            server_->address())});
        return {};
    }
    Result<void> rpc(const HttpRequest &request, HttpResponder &responder) {
        if (down_) return fail(ErrorCode::io, "down");
        const OrderedJson body = OrderedJson::parse(request.body);
        const std::scoped_lock lock(mutex_);
        asked_.push_back(body["params"]["message"]);
        responder.send({.body = OrderedJson{{"jsonrpc", "2.0"}, {"id", 1}, {"result", {{"task", answer_}}}}.dump()});
        return {};
    }
    static OrderedJson task(const std::string &state, const std::string &text) {
        return {{"id", "t1"},
                {"contextId", "c1"},
                {"status", {{"state", state}}},
                {"artifacts", {{{"artifactId", "x"}, {"parts", {{{"text", text}}}}}}},
                {"metadata",
                 {{"engram", {{"steps", {{{"kind", "answer"}, {"agent", "lawyer"}, {"answer", text}, {"prompt_tokens", 7}}}}}}}}};
    }

    // The agent gives work away, and answers when it has the result.
    RunResult run(std::vector<std::string> chain = {}) {
        RunRequest request{.agent = "a", .messages = {{.role = "user", .content = "Is it sound?"}}};
        request.sampling.grammar = calling({R"({"name": "delegate_to", "arguments": {"agent": "legal", "task": "Read it."}})"});
        request.limits.steps = 1;
        request.max_tokens = 200;
        request.chain = std::move(chain);
        must(runner_->run(*manager_, request));
        request.messages.clear();
        request.sampling.grammar = saying("It is.");
        request.limits.steps = 24;
        return must(runner_->run(*manager_, request));
    }

    std::mutex mutex_;
    std::vector<OrderedJson> asked_;  // messages
    OrderedJson answer_ = task("TASK_STATE_COMPLETED", "It is sound.");
    std::atomic<int> cards_ = 0;
    std::atomic<bool> down_ = false;
    std::atomic<bool> hangs_ = false;  // says nothing of itself, until whoever asks goes
    std::unique_ptr<http::HttpServer> server_ = http::start_server(
        {http::make_route("GET", "/legal/.well-known/agent-card.json", [this](const auto &q, auto &r) { return card(q, r); }),
         http::make_route("POST", "/legal", [this](const auto &q, auto &r) { return rpc(q, r); })});
    TemporaryFolder home_;
    std::unique_ptr<AgentManager> manager_ = open_manager(tiny_manager(home_.path()));
    std::unique_ptr<TeamStore> store_;
    std::unique_ptr<RemoteAgents> remotes_;
    std::unique_ptr<Colleagues> colleagues_;
    std::unique_ptr<Runner> runner_;
};

TEST_F(RemoteAgentsTest, WorkGoesThereAndComesBackWithItsTrace) {
    const RunResult done = run();
    ASSERT_EQ(done.steps.size(), 2U);
    const RunStep &given = done.steps[0];
    EXPECT_EQ(given.kind, RunStep::Kind::delegation);
    EXPECT_EQ(given.name + ": " + given.output, "legal: It is sound.");
    EXPECT_FALSE(given.failed);
    ASSERT_EQ(given.steps.size(), 1U);
    EXPECT_EQ(given.steps[0].agent + given.steps[0].output, "lawyerIt is sound.");
    EXPECT_EQ(given.steps[0].prompt_tokens, 7U);
    ASSERT_EQ(asked_.size(), 1U);
    EXPECT_EQ(asked_[0]["parts"][0]["text"], "Read it.");
    EXPECT_EQ(asked_[0]["metadata"]["engram"]["chain"], OrderedJson::array({store_->identity() + "/default/a"}));
    EXPECT_EQ(asked_[0]["metadata"]["engram"]["trace"], true);
}

TEST_F(RemoteAgentsTest, ThatTheOtherWillNotRememberIsTold) {
    answer_["metadata"]["engram"]["committed"] = false;
    const RunStep given = run().steps.at(0);
    EXPECT_TRUE(given.failed);
    EXPECT_EQ(given.output, "legal could not write down what it answered, and won't remember it.\nIt said so far: It is sound.");
    EXPECT_EQ(given.steps.size(), 1U);
}

// What it says that its work cost is a part of the run's usage, and is spent from the run's tokens.
TEST_F(RemoteAgentsTest, TheRunPaysForIt) {
    OrderedJson &cost = answer_["metadata"]["engram"];
    cost["promptTokens"] = 150'000;
    cost["cachedTokens"] = 60'000;
    cost["answerTokens"] = 10'009;
    RunRequest request{.agent = "a", .messages = {{.role = "user", .content = "Is it sound?"}}};
    request.sampling.grammar = calling({R"({"name": "delegate_to", "arguments": {"agent": "legal", "task": "Read it."}})"});
    request.max_tokens = 200;
    request.limits.tokens = 100'000;
    const RunResult done = must(runner_->run(*manager_, request));
    EXPECT_EQ(done.end, RunEnd::tokens);
    ASSERT_EQ(done.steps.size(), 3U) << "the answer after the work is the last one";
    EXPECT_EQ(done.usage.prompt_tokens, done.steps[0].prompt_tokens + done.steps[2].prompt_tokens + 150'000);
    EXPECT_EQ(done.usage.cached_tokens, done.steps[0].cached_tokens + done.steps[2].cached_tokens + 60'000);
    EXPECT_EQ(done.usage.answer_tokens, done.steps[0].answer_tokens + done.steps[2].answer_tokens + 10'009);

    // Numbers that can't be right overflow nothing.
    cost["promptTokens"] = 5;
    cost["cachedTokens"] = 1ULL << 63U;
    cost["answerTokens"] = "many";
    request.limits = {.steps = 2};
    const RunResult odd = must(runner_->run(*manager_, request));
    EXPECT_EQ(odd.end, RunEnd::steps);
    EXPECT_EQ(odd.usage.prompt_tokens, odd.steps.at(0).prompt_tokens + odd.steps.at(2).prompt_tokens + 5);
    EXPECT_EQ(odd.usage.cached_tokens, odd.steps.at(0).cached_tokens + odd.steps.at(2).cached_tokens + 5);
}

TEST_F(RemoteAgentsTest, ItsConversationGoesOnAfterARestart) {
    run();
    const std::string home = store_->identity();
    open();
    EXPECT_EQ(store_->identity(), home);
    run();
    ASSERT_EQ(asked_.size(), 2U);
    EXPECT_FALSE(asked_[0].contains("contextId"));
    EXPECT_EQ(asked_[1]["contextId"], "c1");
    // An agent that is made anew has nothing to do with the earlier one.
    must(manager_->remove("a"));
    AgentSpec spec{.id = "a"};
    spec.card.colleagues = {"legal"};
    must(manager_->create(spec));
    run();
    EXPECT_FALSE(asked_[2].contains("contextId"));
}

TEST_F(RemoteAgentsTest, WhoAsksBackIsAnsweredInTheSameTask) {
    answer_ = task("TASK_STATE_INPUT_REQUIRED", "Which contract?");
    const RunResult asked = run();
    EXPECT_TRUE(asked.steps[0].output.starts_with("legal asks back: Which contract?")) << asked.steps[0].output;
    answer_ = task("TASK_STATE_COMPLETED", "It is sound.");
    open();
    run();
    run();
    ASSERT_EQ(asked_.size(), 3U);
    EXPECT_EQ(asked_[1]["taskId"], "t1");
    EXPECT_FALSE(asked_[2].contains("taskId")) << "that task is over";
}

TEST_F(RemoteAgentsTest, TroubleIsToldToTheModel) {
    answer_ = task("TASK_STATE_FAILED", "half of it");
    RunResult done = run();
    EXPECT_TRUE(done.steps[0].failed);
    EXPECT_EQ(done.steps[0].output, "legal failed.\nIt said so far: half of it");
    EXPECT_EQ(done.text, "It is.") << "the run goes on";
    down_ = true;
    open();
    done = run();
    EXPECT_TRUE(done.steps[0].output.starts_with("legal could not be asked: ")) << done.steps[0].output;
}

// What it does stands in the front of the prompt: it doesn't change when the server is down.
TEST_F(RemoteAgentsTest, ItsDescriptionIsRemembered) {
    const auto described = [&] {
        const AgentInfo agent = must(manager_->get("a"));
        EXPECT_TRUE(colleagues_->prepare(agent, {}).empty());
        return colleagues_->tools(*manager_, agent).at(0).description;
    };
    const std::string before = described();
    EXPECT_TRUE(before.ends_with("\n- legal: Reads contracts.")) << before;
    EXPECT_EQ(cards_, 1);
    down_ = true;
    open();
    EXPECT_EQ(described(), before);
    EXPECT_EQ(cards_, 1) << "nobody had to be asked";
    const auto looks = remotes_->look("default", {});
    ASSERT_EQ(looks.size(), 1U);
    EXPECT_FALSE(looks[0].trouble.empty());
    EXPECT_TRUE(remotes_->look("another", {}).empty());
    EXPECT_FALSE(remotes_->has("another", "legal"));
}

TEST_F(RemoteAgentsTest, WhoCanNotSayWhatItDoesIsNotAskedAgainAtOnce) {
    down_ = true;
    const RunResult done = run();
    EXPECT_TRUE(done.warning.starts_with("what legal does isn't known, since it could not be asked: ")) << done.warning;
    const int asked = cards_;
    const AgentInfo agent = must(manager_->get("a"));
    EXPECT_EQ(colleagues_->prepare(agent, {}).size(), 1U);
    EXPECT_TRUE(colleagues_->tools(*manager_, agent).at(0).description.ends_with("\n- legal"));
    EXPECT_EQ(cards_, asked);
}

// A server that says nothing holds up a run no longer than the run may take, nor others that wait for its word.
TEST_F(RemoteAgentsTest, AServerThatHangsHoldsNoRun) {
    hangs_ = true;
    std::vector<std::jthread> runs;
    std::array<RunEnd, 2> ends{};
    must(manager_->create([] {
        AgentSpec other{.id = "b"};
        other.card.colleagues = {"legal"};
        return other;
    }()));
    for (std::size_t i = 0; i < ends.size(); ++i) {
        runs.emplace_back([&, i] {
            RunRequest request{.agent = i == 0 ? "a" : "b", .messages = {{.role = "user", .content = "Is it sound?"}}};
            request.limits.time = std::chrono::milliseconds(200);
            ends[i] = must(runner_->run(*manager_, request)).end;
        });
    }
    runs.clear();
    EXPECT_EQ(ends, (std::array{RunEnd::time, RunEnd::time}));
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(runner_->run(*manager_, {.agent = "a", .messages = {{.role = "user", .content = "x"}}}, {}, stop.get_token())
                  .error()
                  .code,
              ErrorCode::cancelled);
    hangs_ = false;
}

// --- a task there that waits for a person ---

OrderedJson asks(const std::vector<std::string> &ids) {
    OrderedJson calls = OrderedJson::array();
    for (const std::string &id : ids) calls.push_back({{"id", id}, {"name", "erase"}, {"arguments", {{"file", "x"}}}});
    OrderedJson message{{"messageId", "m"}, {"role", "ROLE_AGENT"}};
    message["parts"] = OrderedJson::array({{{"text", "A call waits."}}, {{"data", {{"calls", std::move(calls)}}}}});
    return {
        {"id", "t1"}, {"contextId", "c1"}, {"status", {{"state", "TASK_STATE_INPUT_REQUIRED"}, {"message", std::move(message)}}}};
}

TEST_F(RemoteAgentsTest, ItsCallsWaitForAPersonHere) {
    const auto decide = [&](std::map<std::string, bool> approvals) {
        RunRequest request{.agent = "a", .messages = {}, .approvals = std::move(approvals)};
        request.sampling.grammar = saying("It is.");
        request.max_tokens = 200;
        return must(runner_->run(*manager_, request));
    };
    answer_ = asks({"call_1", "clerk/call_2"});
    const RunResult waits = run();
    EXPECT_EQ(waits.end, RunEnd::approval);
    ASSERT_EQ(waits.pending.size(), 2U);
    EXPECT_EQ(waits.pending[0], (ChatToolCall{.id = "legal/call_1", .name = "erase", .arguments = R"({"file":"x"})"}));
    EXPECT_EQ(waits.pending[1].id, "legal/clerk/call_2");
    EXPECT_EQ(waits.steps.at(0).output, "legal waits for a person to allow its calls.");
    open();
    EXPECT_EQ(decide({}).pending, waits.pending);
    EXPECT_EQ(asked_.size(), 1U) << "there is nothing to tell it";
    answer_ = asks({"clerk/call_2"});
    const RunResult half = decide({{"legal/call_1", true}});
    EXPECT_EQ(half.end, RunEnd::approval);
    ASSERT_EQ(half.pending.size(), 1U);
    answer_ = task("TASK_STATE_COMPLETED", "It is sound.");
    const RunResult done = decide({{"legal/clerk/call_2", false}});
    EXPECT_EQ(done.end, RunEnd::answered);
    EXPECT_EQ(done.steps.at(0).output, "It is sound.");
    ASSERT_EQ(asked_.size(), 3U);
    EXPECT_EQ(asked_[1]["taskId"], "t1");
    EXPECT_EQ(asked_[1]["parts"][0]["data"], (OrderedJson{{"approvals", {{"call_1", true}}}}));
    EXPECT_EQ(asked_[2]["parts"][0]["data"], (OrderedJson{{"approvals", {{"clerk/call_2", false}}}}));
}

// What is said to it in place of a decision is other work, which its task that waits would not take.
TEST_F(RemoteAgentsTest, OtherWorkIsANewTaskOfTheSameTalk) {
    answer_ = asks({"call_1"});
    EXPECT_EQ(run().end, RunEnd::approval);
    answer_ = task("TASK_STATE_COMPLETED", "It is sound.");
    EXPECT_EQ(run().end, RunEnd::answered);
    ASSERT_EQ(asked_.size(), 2U);
    EXPECT_FALSE(asked_[1].contains("taskId"));
    EXPECT_EQ(asked_[1]["contextId"], "c1");
}

TEST_F(RemoteAgentsTest, WorkIsNotHandedOnForEver) {
    const RunResult done = run({"home-x/default/b", "home-y/default/c", "home-x/default/d"});
    EXPECT_TRUE(done.steps[0].failed);
    EXPECT_TRUE(done.steps[0].output.starts_with("Work may be handed on 3 times")) << done.steps[0].output;
    EXPECT_TRUE(asked_.empty());
    run({"home-x/default/b"});
    ASSERT_EQ(asked_.size(), 1U);
    EXPECT_EQ(asked_[0]["metadata"]["engram"]["chain"][0], "home-x/default/b") << "those who wait above are told on";
}

TEST(ChainOfMetadata, KnowsItsOwn) {
    const auto chain = [](std::string_view metadata) { return chain_of_metadata(metadata, "home-1", "default"); };
    EXPECT_EQ(chain(R"({"engram":{"chain":["home-1/default/a","home-2/default/a","home-1/other/a",3]}})"),
              (std::vector<std::string>{"a", "home-2/default/a", "home-1/other/a"}));
    EXPECT_TRUE(wants_trace(R"({"engram":{"trace":true}})"));
    EXPECT_FALSE(wants_trace(R"({"engram":{"trace":1}})"));
    EXPECT_FALSE(wants_trace(""));
    for (const char *none : {"", "{", "[]", R"({"engram":3})", R"({"engram":{"chain":"a"}})", R"({"other":{}})"}) {
        EXPECT_TRUE(chain(none).empty()) << none;
    }
}

}  // namespace
}  // namespace engram
