// kill -9 in the middle of workflows, at random moments: resumed, they end as if nothing had happened.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <format>
#include <iostream>
#include <random>
#include <thread>

#include "core/testing/test_seed.h"
#include "workflow/testing_workflow.h"

namespace engram::workflow {
namespace {

using namespace testing;

constexpr int kKills = 20;

ManagerOptions options(const std::filesystem::path &home) {
    ManagerOptions options = tiny_manager(home);
    options.model.context_tokens = 1024;
    return options;
}

std::string definition(int number) { return analysis_yaml(std::format("-{}", number)); }

// Resumes the newest run that hasn't ended, or begins one, and tells of each event in a line.
class Victim {
  public:
    Victim(const std::filesystem::path &home, int pipe) : home_(home), pipe_(pipe) {}

    [[noreturn]] void run(int number) {
        const auto manager = get(AgentManager::open(options(home_)));
        const auto store = get(RunStore::open(home_ / "workflows.db"));
        const RunKey key = the_run(*store, number);
        Executor executor({.agents = *manager, .runs = *store, .run_agent = plain_run});
        const RunRow ended =
            get(executor.run(key, [this](const Event &event) { tell(event_json(event).dump()); }, std::stop_token()));
        if (ended.state != RunState::finished) tell("broken " + ended.error);
        tell("end");
        ::_exit(0);
    }

  private:
    // What an earlier process has begun, or a new one.
    RunKey the_run(RunStore &store, int number) {
        const std::vector<RunRow> newest = get(store.list("default", 1));
        const OrderedJson inputs{{"topic", std::format("ship {}", number)}};
        if (!newest.empty() && get(store.get(newest.front().key)).inputs == inputs.dump()) return newest.front().key;
        return get(begin_run(store, {.tenant = "default", .file = "w.yaml", .definition = definition(number), .inputs = inputs}))
            .key;
    }

    void tell(const std::string &line) {
        const std::string whole = line + "\n";
        if (write(pipe_, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size())) _exit(1);
    }
    template <typename T>
    T get(Result<T> result) {
        if (!result) {
            tell("broken " + result.error().message);
            _exit(1);
        }
        return std::move(*result);
    }

    const std::filesystem::path home_;
    const int pipe_;
};

class KillTest : public ::testing::Test {
  protected:
    // Starts a process and kills it after a random line and time. True when it got to the end before that.
    bool kill_one(int number, std::mt19937 &random) {
        int ends[2];
        EXPECT_EQ(pipe(ends), 0);
        const pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            Victim(home_.path(), ends[1]).run(number);
        }
        close(ends[1]);
        std::string said;
        const std::size_t lines = 1 + random() % 30;
        const auto read_some = [&] {
            char buffer[4096];
            const ssize_t n = read(ends[0], buffer, sizeof buffer);
            if (n > 0) said.append(buffer, static_cast<std::size_t>(n));
            return n > 0;
        };
        while (static_cast<std::size_t>(std::ranges::count(said, '\n')) < lines && read_some()) {
        }
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
        kill(child, SIGKILL);
        while (read_some()) {
        }
        close(ends[0]);
        int status = 0;
        waitpid(child, &status, 0);
        EXPECT_EQ(said.find("broken"), std::string::npos) << said;
        const bool ended =
            said.ends_with("\nend\n") || said == "end\n";  // nothing before it: the last one was killed after its end
        if (!ended && !WIFSIGNALED(status)) ADD_FAILURE() << "it ended on its own: " << status << "\n" << said;
        return ended;
    }

    // Everything that a run leaves behind.
    static std::string state_of(const std::filesystem::path &home, int runs) {
        const auto manager = open_manager(options(home));
        const auto store = must(RunStore::open(home / "workflows.db"));
        std::string state;
        for (const RunRow &listed : must(store->list("default", 1000))) {
            const RunRow run = must(store->get(listed.key));
            state += std::format("run {} {} {}\n", run.inputs, run_state_name(run.state), run.outputs);
            std::vector<StepRow> steps = must(store->steps(run.key));
            std::ranges::sort(steps, {}, &StepRow::node);
            for (const StepRow &step : steps)
                state += std::format("  {} {} {}\n", step.node, step_state_name(step.state), step.text);
        }
        for (const AgentInfo &info : must(manager->list())) {
            state += std::format("agent {} {} turns, {} tokens\n", info.id, info.n_turns, info.n_tokens);
            for (const Message &message : must(manager->transcript(info.id))) {
                state += std::format("  {}: {}\n", message.role, message.content);
            }
        }
        EXPECT_EQ(must(manager->list()).size(), static_cast<std::size_t>(runs) * 3) << "an agent too few, or a fork too many";
        return state;
    }

    TemporaryFolder home_, control_home_;
};

TEST_F(KillTest, WhatWasKilledAndResumedEndsAsIfNothingHadHappened) {
    const auto seed = static_cast<std::uint32_t>(test_seed());
    std::mt19937 random(seed);
    options(home_.path());  // the model's file is written before the first fork
    int runs = 0, kills = 0;
    while (kills < kKills && runs < 100 && !HasFailure()) {
        while (!HasFailure() && !kill_one(runs, random)) ++kills;
        ++runs;
    }
    EXPECT_GE(kills, kKills);
    {
        const auto manager = open_manager(options(control_home_.path()));
        const auto store = must(RunStore::open(control_home_.path() / "workflows.db"));
        Executor executor({.agents = *manager, .runs = *store, .run_agent = plain_run});
        for (int number = 0; number < runs; ++number) {
            const RunRow begun = must(begin_run(*store, {.tenant = "default",
                                                         .file = "w.yaml",
                                                         .definition = definition(number),
                                                         .inputs = {{"topic", std::format("ship {}", number)}}}));
            must(executor.run(begun.key, {}, std::stop_token()));
        }
    }
    EXPECT_EQ(state_of(home_.path(), runs), state_of(control_home_.path(), runs)) << "ENGRAM_TEST_SEED=" << seed;
    std::cout << kills << " kills in " << runs << " runs\n";
}

}  // namespace
}  // namespace engram::workflow
