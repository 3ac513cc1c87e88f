#include "workflow/run_under_way.h"

#include <algorithm>
#include <format>

#include "workflow/approval.h"

namespace engram::workflow {
namespace {

constexpr std::chrono::milliseconds kLookEvery{200};  // whether somebody has asked for the run's end
constexpr std::chrono::hours kLongestPause{1};

std::string time_text(std::chrono::milliseconds time) {
    return time.count() % 1000 == 0 ? std::format("{} s", time.count() / 1000) : std::format("{} ms", time.count());
}

}  // namespace

RunUnderWay::RunUnderWay(const Executor::Parts &parts, RunRow run, Definition definition, EventSink sink)
    : parts_(parts),
      run_(std::move(run)),
      definition_(std::move(definition)),
      journal_(parts.runs, run_.key, std::move(sink), parts.clock),
      steps_(parts.agents, parts.run_agent, journal_),
      warmer_([this](const std::stop_token &stop) { warm(stop); }) {
    scope_["inputs"] = OrderedJson::parse(run_.inputs, nullptr, false);
    scope_["nodes"] = OrderedJson::object();
    for (const Node &node : definition_.nodes) {
        nodes_.push_back({.node = &node, .phase = Phase::waiting, .list = {}, .elements = {}, .started_ms = 0});
    }
}

RunUnderWay::~RunUnderWay() {
    stop_workers();
    workers_.clear();  // they use what is destroyed before them
}

Result<RunRow> RunUnderWay::go(const std::stop_token &stop) {
    if (definition_.timeout.count() > 0) deadline_ = Clock::now() + definition_.timeout;
    run_.state = RunState::running;
    run_.error.clear();
    ENGRAM_TRY(journal_.put(run_));
    ENGRAM_TRY(make_agents());
    ENGRAM_TRY(restore());
    for (;;) {
        ENGRAM_TRY(take_outcomes());
        look_at_clock();
        if (stop.stop_requested()) interrupted_ = true;
        if (cancelled_ || interrupted_) stop_workers();
        if (!ending()) ENGRAM_TRY(start_ready());
        if (workers_.empty() && (ending() || !any_due_later())) break;
        wait(stop);
    }
    return conclude();
}

// Those of the definition that don't exist yet.
Result<void> RunUnderWay::make_agents() {
    for (const AgentSpec &spec : definition_.agents) {
        const auto made = parts_.agents.create(spec);
        if (!made && made.error().code != ErrorCode::already_exists) return std::unexpected(made.error());
    }
    return {};
}

// What earlier processes have come to.
Result<void> RunUnderWay::restore() {
    ENGRAM_ASSIGN(const std::vector<StepRow> rows, parts_.runs.steps(run_.key));
    ENGRAM_TRY(steps_.remove_forks(rows));
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
        NodeState &state = nodes_[n];
        const Node &node = *state.node;
        for (const StepRow &row : rows) {
            if (row.node != node.name || row.item != kWholeNode) continue;
            if (row.state == StepState::skipped) state.phase = Phase::skipped;
            if (row.state == StepState::finished) state.phase = Phase::finished;
        }
        for (const StepRow &row : rows) {
            if (row.node != node.name || (row.item == kWholeNode && node.for_each)) continue;
            Element element{.row = row, .done = row.state == StepState::finished};
            if (row.state == StepState::answered) {
                auto settled = steps_.settle(node, row);
                element.done = settled.has_value();
                if (settled) element.row = std::move(*settled);
                if (settled && !node.for_each) state.phase = Phase::finished;
            }
            element.waits = row.state == StepState::waiting && !is_decided(row);
            if (!element.done) element.row.attempts = 0;
            if (element.done || !row.agent.empty()) state.elements.push_back(std::move(element));
        }
        std::ranges::sort(state.elements, {}, [](const Element &element) { return element.row.item; });
        if (state.phase == Phase::finished || state.phase == Phase::skipped) tell_result(state);
    }
    return {};
}

RunUnderWay::Phase RunUnderWay::phase_of(std::string_view node) const {
    const auto found = std::ranges::find(nodes_, node, [](const NodeState &state) { return std::string_view(state.node->name); });
    return found->phase;  // the definition has been checked
}

// --- beginning ---

Result<void> RunUnderWay::start_ready() {
    for (bool again = true; again && !ending();) {  // what needs no agent is finished at once, and others may follow
        again = false;
        for (std::size_t n = 0; n < nodes_.size() && !ending(); ++n) {
            if (nodes_[n].phase != Phase::waiting) continue;
            const auto settled = [&](const std::string &need) {
                const Phase phase = phase_of(need);
                return phase == Phase::finished || phase == Phase::skipped;
            };
            if (!std::ranges::all_of(nodes_[n].node->needs, settled)) continue;
            ENGRAM_TRY(open(n));
            again = again || nodes_[n].phase != Phase::open;
        }
    }
    for (std::size_t n = 0; n < nodes_.size() && !ending(); ++n) {
        if (nodes_[n].phase == Phase::open) ENGRAM_TRY(start_elements(n));
    }
    return {};
}

Result<void> RunUnderWay::open(std::size_t n) {
    NodeState &state = nodes_[n];
    const Node &node = *state.node;
    const auto was_skipped = [&](const std::string &need) { return phase_of(need) == Phase::skipped; };
    if (!node.needs.empty() && std::ranges::all_of(node.needs, was_skipped)) return skip(n);
    if (node.when) {
        const auto holds = node.when->value(scope_);
        if (!holds) return fail_node(n, std::format("when: {}", holds.error().message));
        if (!is_true(*holds)) return skip(n);
    }
    state.phase = Phase::open;
    state.started_ms = journal_.now_ms();
    if (node.for_each) {
        ENGRAM_TRY(open_list(n));
        if (ending()) return {};
    } else if (state.elements.empty()) {
        state.elements.push_back({.row = {.node = node.name, .agent = node.agent}});
    }
    if (!node.asks()) return finish_text(n);
    return finish_if_done(n);
}

Result<void> RunUnderWay::open_list(std::size_t n) {
    NodeState &state = nodes_[n];
    auto list = state.node->for_each->value(scope_);
    if (!list) return fail_node(n, std::format("for_each: {}", list.error().message));
    if (!list->is_array()) return fail_node(n, std::format("for_each must be a list, and it is {}", list->type_name()));
    if (list->size() > kMaxItems) {
        return fail_node(n, std::format("for_each has {} elements, and at most {} are possible", list->size(), kMaxItems));
    }
    state.list = std::move(*list);
    std::vector<Element> earlier = std::exchange(state.elements, {});
    for (std::size_t i = 0; i < state.list.size(); ++i) {
        const auto item = static_cast<std::int64_t>(i);
        const auto known = std::ranges::find(earlier, item, [](const Element &element) { return element.row.item; });
        if (known != earlier.end()) {
            state.elements.push_back(std::move(*known));
        } else {
            state.elements.push_back({.row = {.node = state.node->name, .item = item, .agent = state.node->agent}});
        }
    }
    return {};
}

Result<void> RunUnderWay::start_elements(std::size_t n) {
    NodeState &state = nodes_[n];
    std::size_t under_way = 0;
    for (const Element &element : state.elements) under_way += element.under_way ? 1U : 0U;
    for (std::size_t i = 0; i < state.elements.size() && !ending(); ++i) {
        const Element &element = state.elements[i];
        if (element.done || element.under_way || element.waits || element.due > Clock::now()) continue;
        if (workers_.size() >= definition_.parallel) return {};
        if (state.node->parallel > 0 && under_way >= state.node->parallel) return {};
        ENGRAM_TRY(start({.node = n, .element = i}));
        ++under_way;
    }
    return {};
}

Result<std::string> RunUnderWay::task_of(const NodeState &state, std::size_t element) {
    if (state.node->for_each) {
        scope_["item"] = state.list[element];
        scope_["index"] = element;
    }
    auto task = state.node->text.text(scope_);
    scope_.erase("item");
    scope_.erase("index");
    return task;
}

Result<void> RunUnderWay::start(StepId id) {
    const NodeState &state = nodes_[id.node];
    Element &element = nodes_[id.node].elements[id.element];
    auto task = task_of(state, id.element);
    if (!task) return fail_node(id.node, task.error().message);
    if (element.row.state != StepState::waiting) {  // what was decided stays written down until something has come of it
        element.row.state = StepState::running;
        element.row.text.clear();
    }
    element.row.error.clear();
    ++element.row.attempts;
    element.row.started_ms = journal_.now_ms();
    element.row.ended_ms = 0;
    ENGRAM_TRY(journal_.put(element.row, EventKind::started));
    element.under_way = true;
    Worker &worker = workers_[id];
    worker = {};
    if (state.node->timeout.count() > 0) worker.deadline = Clock::now() + state.node->timeout;
    worker.thread =
        std::jthread([this, id, node = state.node, row = element.row, task = std::move(*task)](const std::stop_token &stop) {
            Outcome outcome{.id = id, .row = attempt(*node, row, task, stop)};
            const std::scoped_lock lock(mutex_);
            outcomes_.push_back(std::move(outcome));
            changed_.notify_all();
        });
    warm_next();
    return {};
}

// On a thread of its own.
Result<StepRow> RunUnderWay::attempt(const Node &node, const StepRow &row, const std::string &task, const std::stop_token &stop) {
    std::shared_ptr<void> place;
    if (parts_.admit) {
        ENGRAM_ASSIGN(place, parts_.admit(stop));
    }
    return steps_.attempt(node, row, task, stop);
}

// --- ending ---

Result<void> RunUnderWay::take_outcomes() {
    for (;;) {
        std::unique_lock lock(mutex_);
        if (outcomes_.empty()) return {};
        Outcome outcome = std::move(outcomes_.front());
        outcomes_.pop_front();
        lock.unlock();
        ENGRAM_TRY(take(std::move(outcome)));
    }
}

Result<void> RunUnderWay::take(Outcome outcome) {
    const bool timed_out = workers_[outcome.id].timed_out;
    workers_.erase(outcome.id);
    Element &element = nodes_[outcome.id.node].elements[outcome.id.element];
    element.under_way = false;
    if (!outcome.row) return take_failure(outcome.id, outcome.row.error(), timed_out);
    element.row = std::move(*outcome.row);
    element.waits = element.row.state == StepState::waiting;
    if (element.waits) return {};
    element.done = true;
    return finish_if_done(outcome.id.node);
}

Result<void> RunUnderWay::take_failure(StepId id, const Error &error, bool timed_out) {
    NodeState &state = nodes_[id.node];
    Element &element = state.elements[id.element];
    const Node &node = *state.node;
    StepRow &row = element.row;
    if (!timed_out && ending()) {  // broken off, or nobody needs it any more
        if (interrupted_) return {};
        row.state = StepState::failed;
        row.text.clear();
        row.error = error.message;
        row.ended_ms = journal_.now_ms();
        return journal_.put(row);
    }
    row.state = StepState::running;
    row.text.clear();
    row.error = timed_out ? std::format("it took longer than {}", time_text(node.timeout)) : error.message;
    if (row.attempts <= node.retry.times) {
        std::chrono::milliseconds pause = node.retry.wait;
        for (std::uint32_t i = 1; i < row.attempts && pause < kLongestPause; ++i) pause *= 2;
        element.due = Clock::now() + std::min<std::chrono::milliseconds>(pause, kLongestPause);
        return journal_.put(row, EventKind::attempt_failed);
    }
    row.state = StepState::failed;
    row.ended_ms = journal_.now_ms();
    ENGRAM_TRY(journal_.put(row, EventKind::failed));
    failed_ = node.for_each ? std::format("node {}, element {}: {}", node.name, row.item, row.error)
                            : std::format("node {}: {}", node.name, row.error);
    return {};
}

Result<void> RunUnderWay::finish_if_done(std::size_t n) {
    NodeState &state = nodes_[n];
    if (!std::ranges::all_of(state.elements, &Element::done)) return {};
    state.phase = Phase::finished;
    tell_result(state);
    if (!state.node->for_each) return {};  // its one step has been written down
    return journal_.put(StepRow{.node = state.node->name,
                                .state = StepState::finished,
                                .started_ms = state.started_ms,
                                .ended_ms = journal_.now_ms()},
                        EventKind::finished);
}

// A node that asks nobody: its texts are its results.
Result<void> RunUnderWay::finish_text(std::size_t n) {
    NodeState &state = nodes_[n];
    for (std::size_t i = 0; i < state.elements.size(); ++i) {
        auto text = task_of(state, i);
        if (!text) return fail_node(n, text.error().message);
        Element &element = state.elements[i];
        element.row.text = std::move(*text);
        element.row.state = StepState::finished;
        element.row.started_ms = state.started_ms;
        element.row.ended_ms = journal_.now_ms();
        ENGRAM_TRY(journal_.put(element.row, EventKind::finished));
        element.done = true;
    }
    return finish_if_done(n);
}

Result<void> RunUnderWay::fail_node(std::size_t n, const std::string &why) {
    const NodeState &state = nodes_[n];
    failed_ = std::format("node {}: {}", state.node->name, why);
    const std::int64_t now = journal_.now_ms();
    return journal_.put(
        StepRow{.node = state.node->name, .state = StepState::failed, .error = why, .started_ms = now, .ended_ms = now},
        EventKind::failed);
}

Result<void> RunUnderWay::skip(std::size_t n) {
    NodeState &state = nodes_[n];
    state.phase = Phase::skipped;
    tell_result(state);
    const std::int64_t now = journal_.now_ms();
    return journal_.put(StepRow{.node = state.node->name, .state = StepState::skipped, .started_ms = now, .ended_ms = now},
                        EventKind::skipped);
}

// As references see it.
OrderedJson RunUnderWay::result_of(const NodeState &state) const {
    if (state.phase == Phase::skipped) return {{"state", "skipped"}};
    OrderedJson texts = OrderedJson::array(), jsons = OrderedJson::array(), agents = OrderedJson::array();
    for (const Element &element : state.elements) {
        texts.push_back(element.row.text);
        agents.push_back(element.row.agent);
        if (!state.node->json) continue;
        auto json = parse_bounded_json(element.row.text, kMaxTextBytes);
        jsons.push_back(json ? std::move(*json) : OrderedJson(nullptr));
    }
    if (state.node->for_each) return {{"state", "finished"}, {"texts", texts}, {"jsons", jsons}, {"agents", agents}};
    OrderedJson result{{"state", "finished"}, {"text", texts.at(0)}, {"agent", agents.at(0)}};
    if (state.node->json) result["json"] = jsons.at(0);
    return result;
}

void RunUnderWay::tell_result(const NodeState &state) { scope_["nodes"][state.node->name] = result_of(state); }

Result<RunRow> RunUnderWay::conclude() {
    if (failed_ || cancelled_) ENGRAM_TRY(give_up_waiting());
    ENGRAM_ASSIGN(const std::vector<StepRow> rows, parts_.runs.steps(run_.key));
    ENGRAM_TRY(steps_.remove_forks(rows));
    run_.ended_ms = journal_.now_ms();
    if (failed_) {
        run_.state = RunState::failed;
        run_.error = *failed_;
    } else if (cancelled_) {
        run_.state = RunState::cancelled;
    } else if (interrupted_) {
        run_.state = RunState::interrupted;
        run_.ended_ms = 0;
    } else if (any_waits()) {
        run_.state = RunState::waiting;
        run_.ended_ms = 0;
    } else {
        OrderedJson outputs = OrderedJson::object();
        for (const Output &output : definition_.outputs) {
            auto text = output.text.text(scope_);
            if (!text) {
                run_.state = RunState::failed;
                run_.error = std::format("output {}: {}", output.name, text.error().message);
                ENGRAM_TRY(journal_.put(run_));
                return run_;
            }
            outputs[output.name] = std::move(*text);
        }
        run_.state = RunState::finished;
        run_.outputs = outputs.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    }
    ENGRAM_TRY(journal_.put(run_));
    return run_;
}

// --- waiting ---

bool RunUnderWay::any_due_later() const {
    return std::ranges::any_of(nodes_, [](const NodeState &state) {
        return state.phase == Phase::open &&
               std::ranges::any_of(state.elements, [](const Element &e) { return !e.done && !e.waits; });
    });
}

void RunUnderWay::wait(const std::stop_token &stop) {
    Clock::time_point until = Clock::now() + kLookEvery;
    const auto at_latest = [&](Clock::time_point moment) { until = std::min(until, moment); };
    if (deadline_ && !ending()) at_latest(*deadline_);
    for (const auto &[id, worker] : workers_) {
        if (worker.deadline && !worker.timed_out) at_latest(*worker.deadline);
    }
    for (const NodeState &state : nodes_) {
        for (const Element &element : state.elements) {
            if (!element.done && !element.under_way && element.due > Clock::now()) at_latest(element.due);
        }
    }
    std::unique_lock lock(mutex_);
    const auto news = [this] { return !outcomes_.empty(); };
    if (interrupted_) {
        changed_.wait_until(lock, until, news);
    } else {
        changed_.wait_until(lock, stop, until, news);
    }
}

void RunUnderWay::look_at_clock() {
    const Clock::time_point now = Clock::now();
    for (auto &[id, worker] : workers_) {
        if (!worker.deadline || worker.timed_out || now < *worker.deadline) continue;
        worker.timed_out = true;
        worker.thread.request_stop();
    }
    if (deadline_ && now >= *deadline_ && !ending()) {
        failed_ = std::format("the run took longer than {}", time_text(definition_.timeout));
        stop_workers();
    }
    if (now - asked_at_ < kLookEvery) return;
    asked_at_ = now;
    if (const auto asked = parts_.runs.cancel_asked(run_.key); asked && *asked) cancelled_ = true;
    hear_decisions();
}

void RunUnderWay::stop_workers() {
    for (auto &[id, worker] : workers_) worker.thread.request_stop();
}

// --- who is next ---

// Agents of the nodes that wait for nothing but nodes under way.
void RunUnderWay::warm_next() {
    for (const NodeState &state : nodes_) {
        const Node &node = *state.node;
        if (state.phase != Phase::waiting || node.agent.empty() || warmed_.contains(node.agent)) continue;
        if (!std::ranges::all_of(node.needs, [&](const std::string &need) { return phase_of(need) != Phase::waiting; })) continue;
        warmed_.insert(node.agent);
        const std::scoped_lock lock(mutex_);
        to_warm_.push_back(node.agent);
        changed_.notify_all();
    }
}

void RunUnderWay::warm(const std::stop_token &stop) {
    for (;;) {
        std::string agent;
        {
            std::unique_lock lock(mutex_);
            if (!changed_.wait(lock, stop, [this] { return !to_warm_.empty(); })) return;
            agent = std::move(to_warm_.front());
            to_warm_.pop_front();
        }
        const auto info = parts_.agents.get(agent);
        // It is only a help: without it the turn finds its memory on disk.
        if (info && info->tier == "disk") static_cast<void>(parts_.agents.prewarm(agent));
    }
}

}  // namespace engram::workflow
