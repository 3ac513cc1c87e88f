// A run while it runs: which nodes may begin, whose turns are under way, what has come of them. Internal to the executor.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "workflow/executor.h"
#include "workflow/journal.h"
#include "workflow/step.h"

namespace engram::workflow {

class RunUnderWay {
  public:
    RunUnderWay(const Executor::Parts &parts, RunRow run, Definition definition, EventSink sink);
    ~RunUnderWay();  // breaks off what is under way
    RunUnderWay(const RunUnderWay &) = delete;
    RunUnderWay &operator=(const RunUnderWay &) = delete;

    // Until it has ended. Used once, from one thread.
    Result<RunRow> go(const std::stop_token &stop);

  private:
    using Clock = std::chrono::steady_clock;

    enum class Phase : std::uint8_t { waiting, open, finished, skipped };
    struct Element {  // the node itself, or one of its list
        StepRow row;
        bool under_way = false, done = false;
        bool waits = false;       // for a person, who hasn't decided yet
        Clock::time_point due{};  // when it may begin, after a failed attempt
    };
    struct NodeState {
        const Node *node = nullptr;
        Phase phase = Phase::waiting;
        OrderedJson list;  // of for_each
        std::vector<Element> elements;
        std::int64_t started_ms = 0;
    };
    struct StepId {
        std::size_t node = 0, element = 0;
        auto operator<=>(const StepId &) const = default;
    };
    struct Worker {
        std::optional<Clock::time_point> deadline;
        bool timed_out = false;
        std::jthread thread;
    };
    struct Outcome {
        StepId id;
        Result<StepRow> row;
    };

    Result<void> make_agents();
    Result<void> restore();
    Result<void> start_ready();
    Result<void> open(std::size_t node);
    Result<void> open_list(std::size_t node);
    Result<void> start_elements(std::size_t node);
    Result<void> start(StepId id);
    Result<StepRow> attempt(const Node &node, const StepRow &row, const std::string &task, const std::stop_token &stop);
    Result<void> take_outcomes();
    Result<void> take(Outcome outcome);
    Result<void> take_failure(StepId id, const Error &error, bool timed_out);
    Result<void> finish_if_done(std::size_t node);
    Result<void> finish_text(std::size_t node);
    Result<void> fail_node(std::size_t node, const std::string &why);
    Result<void> skip(std::size_t node);
    Result<RunRow> conclude();
    Result<void> give_up_waiting();
    bool any_waits() const;

    void wait(const std::stop_token &stop);
    void look_at_clock();
    void hear_decisions();
    bool ending() const { return failed_ || cancelled_ || interrupted_; }
    bool any_due_later() const;
    void stop_workers();
    void warm_next();
    void warm(const std::stop_token &stop);

    Phase phase_of(std::string_view node) const;
    OrderedJson result_of(const NodeState &state) const;
    void tell_result(const NodeState &state);
    Result<std::string> task_of(const NodeState &state, std::size_t element);

    const Executor::Parts &parts_;
    RunRow run_;
    const Definition definition_;
    Journal journal_;
    StepRunner steps_;

    // The coordinating thread's own.
    std::vector<NodeState> nodes_;
    OrderedJson scope_;  // of expressions: inputs and results
    std::map<StepId, Worker> workers_;
    std::optional<std::string> failed_;  // why
    bool cancelled_ = false, interrupted_ = false;
    std::optional<Clock::time_point> deadline_;
    Clock::time_point asked_at_{};  // when it was last looked whether somebody wants the run's end
    std::set<std::string> warmed_;

    std::mutex mutex_;  // guards what follows
    std::condition_variable_any changed_;
    std::deque<Outcome> outcomes_;
    std::deque<std::string> to_warm_;

    std::jthread warmer_;  // last: it uses all of this
};

}  // namespace engram::workflow
