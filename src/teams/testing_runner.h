// What the tests of runs share: a runner over a tiny model, with a tool that the test plays, and agents that give work away.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agents/testing_manager.h"
#include "engram/teams.h"
#include "teams/colleagues.h"
#include "teams/testing_runs.h"

namespace engram::testing {

// A call of that tool, as models write it.
inline std::string look_at(const std::string &what) { return R"({"name": "look", "arguments": {"at": ")" + what + R"("}})"; }

class Played : public ToolSource {
  public:
    std::vector<ChatTool> tools(const AgentManager &, const AgentInfo &agent) override {
        if (agent.id == "untooled") return {};
        return {{.name = "look",
                 .description = "Looks at something",
                 .parameters = R"({"type":"object","properties":{"at":{"type":"string"}},"required":["at"]})"}};
    }
    bool needs_approval(const AgentInfo &, std::string_view) const override { return asks; }
    ToolOutcome call(const ToolContext &context, const ChatToolCall &call) override {
        ++calls;
        return play(context, call);
    }

    std::function<ToolOutcome(const ToolContext &, const ChatToolCall &)> play = [](const ToolContext &, const ChatToolCall &) {
        return ToolOutcome{.text = "high"};
    };
    bool asks = false;
    std::atomic<int> calls = 0;
};

// There is an agent "a".
class RunnerFixture : public ::testing::Test {
  protected:
    RunnerFixture() {
        colleagues_.set_runner(runner_);
        must(manager_->create({.id = "a", .system_prompt = "You look at things."}));
    }

    RunRequest request(const std::string &grammar) const {
        RunRequest request{.agent = "a", .messages = {{.role = "user", .content = "How is the tide?"}}};
        request.sampling.grammar = grammar;
        request.max_tokens = 200;
        return request;
    }
    void reopen() {
        manager_.reset();
        manager_ = open_manager(tiny_manager(home_.path()));
    }
    RunResult run(const RunRequest &request, const RunSink &sink = {}) { return must(runner_.run(*manager_, request, sink)); }
    std::vector<Message> transcript(const std::string &agent = "a") const { return must(manager_->transcript(agent)); }

    TemporaryFolder home_;
    std::unique_ptr<AgentManager> manager_ = open_manager(tiny_manager(home_.path()));
    Played tool_;
    Colleagues colleagues_;
    Runner runner_{{&tool_, &colleagues_}};
};

inline AgentSpec with_colleagues(const std::string &id, std::vector<std::string> colleagues) {
    AgentSpec spec{.id = id, .system_prompt = "You are " + id + ".", .description = "does " + id};
    spec.card.colleagues = std::move(colleagues);
    return spec;
}

inline std::string giving(const std::string &to) {
    return calling({R"({"name": "delegate_to", "arguments": {"agent": ")" + to + R"(", "task": "Say something."}})"});
}

}  // namespace engram::testing
