// What the tests of workflows share: a home with agents over a tiny model, and runs in it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agents/testing_manager.h"
#include "workflow/executor.h"

namespace engram::testing {

// A run without tools.
inline Result<RunResult> plain_run(AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
    return Runner({}).run(agents, request, sink, std::move(stop));
}

// The analysis by three agents, with answers that a tiny model gives quickly.
inline std::string analysis_yaml(const std::string &suffix = "") {
    return "name: analysis\n"
           "inputs: {topic: {}}\n"
           "agents:\n"
           "  technical" +
           suffix +
           ": {system_prompt: You judge how things are built.}\n"
           "  business" +
           suffix +
           ": {system_prompt: You judge what things cost.}\n"
           "  coordinator" +
           suffix +
           ": {system_prompt: You bring together what others found.}\n"
           "nodes:\n"
           "  technical: {agent: technical" +
           suffix +
           ", prompt: \"Look at ${{ inputs.topic }}\", max_tokens: 12}\n"
           "  business: {agent: business" +
           suffix +
           ", prompt: \"Price ${{ inputs.topic }}\", max_tokens: 12}\n"
           "  synthesis:\n"
           "    agent: coordinator" +
           suffix +
           "\n"
           "    prompt: \"T ${{ nodes.technical.text }} B ${{ nodes.business.text }}\"\n"
           "    max_tokens: 16\n"
           "outputs: {report: \"${{ nodes.synthesis.text }}\"}\n";
}

class WorkflowTest : public ::testing::Test {
  protected:
    void SetUp() override {
        manager_ = open_manager(tiny_manager(home_.path()));
        ASSERT_NE(manager_, nullptr);
        store_ = must(workflow::RunStore::open(home_.path() / "workflows.db"));
    }

    workflow::RunRow begin(const std::string &yaml, const OrderedJson &inputs = OrderedJson::object()) {
        return must(workflow::begin_run(*store_, {.tenant = "default", .file = "w.yaml", .definition = yaml, .inputs = inputs}));
    }
    Result<workflow::RunRow> try_run(const workflow::RunKey &key, std::stop_token stop = {}) {
        workflow::Executor executor({.agents = *manager_, .runs = *store_, .run_agent = run_agent_});
        return executor.run(
            key,
            [this](const workflow::Event &event) {
                const std::scoped_lock lock(mutex_);
                events_.push_back(event);
            },
            std::move(stop));
    }
    workflow::RunRow run(const workflow::RunKey &key) { return must(try_run(key)); }
    workflow::RunRow run(const std::string &yaml, const OrderedJson &inputs = OrderedJson::object()) {
        return run(begin(yaml, inputs).key);
    }

    // "started a, finished a", without pieces of text and the run's own.
    std::string told(const std::string &node = "") {
        std::string text;
        for (const workflow::Event &event : events_) {
            if (event.kind == workflow::EventKind::text || event.kind == workflow::EventKind::run) continue;
            if (!node.empty() && event.node != node) continue;
            text += (text.empty() ? "" : ", ") + std::string(workflow::event_kind_name(event.kind)) + " " + event.node;
            if (event.item != workflow::kWholeNode) text += "." + std::to_string(event.item);
        }
        return text;
    }
    workflow::StepRow step(const workflow::RunKey &key, const std::string &node, std::int64_t item = workflow::kWholeNode) {
        for (const workflow::StepRow &row : must(store_->steps(key))) {
            if (row.node == node && row.item == item) return row;
        }
        ADD_FAILURE() << "no step " << node;
        return {};
    }
    std::string output(const workflow::RunRow &row, const std::string &name) {
        const OrderedJson outputs = OrderedJson::parse(row.outputs, nullptr, false);
        return outputs.is_object() ? outputs.value(name, "(none)") : "(no outputs)";
    }
    std::size_t agents() { return must(manager_->list()).size(); }

    TemporaryFolder home_;
    std::unique_ptr<AgentManager> manager_;
    std::unique_ptr<workflow::RunStore> store_;
    RunAgent run_agent_ = plain_run;
    std::mutex mutex_;
    std::vector<workflow::Event> events_;
};

}  // namespace engram::testing
