#include "server/workflow_host.h"

#include <algorithm>
#include <format>
#include <utility>

namespace engram::server {

using workflow::Event;
using workflow::RunKey;
using workflow::RunRow;

namespace {

constexpr std::size_t kMostRuns = 256;              // at the same time
constexpr std::size_t kMostRunsOfTenant = 16;       // of those, so that nobody takes all of them
constexpr std::size_t kMostLiveEvents = 100'000;    // of one run; then pieces of text are left out
constexpr std::chrono::milliseconds kAskAgain{50};  // whether a tenant's quota has room for a turn
constexpr std::chrono::seconds kGoOnAgain{1};       // with a run that couldn't be written down

void pause(std::chrono::milliseconds time, const std::stop_token &stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, time, [] { return false; });
}

}  // namespace

WorkflowHost::WorkflowHost(std::unique_ptr<workflow::RunStore> store, ModelHost &models, Tenants &tenants, Options options)
    : store_(std::move(store)), models_(models), tenants_(tenants), options_(std::move(options)) {}

WorkflowHost::~WorkflowHost() { stop(); }

Result<RunRow> WorkflowHost::begin(const workflow::NewRun &run) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_TRY(may_start({.tenant = run.tenant, .id = {}}));
    ENGRAM_ASSIGN(RunRow begun, workflow::begin_run(*store_, run));
    start(begun.key);
    return begun;
}

// What was asked for before is taken back here, not on the run's thread: whoever cancels from now on means what goes on now.
Result<RunRow> WorkflowHost::resume(const RunKey &key) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_TRY(store_->get(key));
    ENGRAM_TRY(may_start(key));
    ENGRAM_TRY(store_->reopen(key));
    ENGRAM_ASSIGN(RunRow row, store_->get(key));
    start(key);
    return row;
}

Result<RunRow> WorkflowHost::decide(const RunKey &key, const workflow::Decision &decision) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_TRY(store_->get(key));
    const bool is_heard = runs(key);
    if (!is_heard) ENGRAM_TRY(may_start(key));
    ENGRAM_TRY(workflow::decide(*store_, key, decision));
    if (!is_heard) start(key);
    return store_->get(key);
}

bool WorkflowHost::runs(const RunKey &key) {
    const auto found = running_.find(key);
    return found != running_.end() && !found->second.live->has_ended();
}

Result<void> WorkflowHost::cancel(const RunKey &key) {
    using enum workflow::RunState;
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(RunRow row, store_->get(key));
    if (row.state != running && row.state != interrupted && row.state != waiting) {
        return fail(ErrorCode::invalid_argument,
                    std::format("the workflow run {} has {} already", key.id, workflow::run_state_name(row.state)));
    }
    ENGRAM_TRY(store_->ask_to_cancel(key));
    if (runs(key)) return {};
    if (row.state == waiting) {  // what waits has a fork, which the run itself takes away
        ENGRAM_TRY(may_start(key));
        start(key);
        return {};
    }
    row.state = cancelled;
    row.ended_ms = system_clock().wall_ms();
    Event event{.text = std::string(workflow::run_state_name(cancelled)), .at_ms = row.ended_ms};
    return store_->put_state(row, event);
}

void WorkflowHost::resume_unfinished() {
    const auto keys = store_->unfinished();
    if (!keys) {
        if (options_.warn) options_.warn(keys.error().message);
        return;
    }
    for (const RunKey &key : *keys) {
        const auto resumed = resume(key);
        if (!resumed && options_.warn) options_.warn(std::format("workflow run {}: {}", key.id, resumed.error().message));
    }
}

Result<void> WorkflowHost::may_start(const RunKey &key) {
    if (stopping_) return fail(ErrorCode::cancelled, "the server is shutting down");
    std::erase_if(running_, [](const auto &entry) { return entry.second.live->has_ended(); });
    if (running_.contains(key)) return fail(ErrorCode::locked, std::format("the workflow run {} is running", key.id));
    if (running_.size() >= kMostRuns) {
        return fail(ErrorCode::over_budget,
                    std::format("{} workflows are running already: try again when one has ended", kMostRuns));
    }
    const auto of_tenant = std::ranges::count_if(running_, [&](const auto &entry) { return entry.first.tenant == key.tenant; });
    if (static_cast<std::size_t>(of_tenant) >= kMostRunsOfTenant) {
        return fail(
            ErrorCode::over_budget,
            std::format("tenant {} has {} workflows running already: try again when one has ended", key.tenant, of_tenant));
    }
    return {};
}

void WorkflowHost::start(const RunKey &key) {
    Running &running = running_[key];
    running.live = std::make_shared<Live>();
    running.thread = std::jthread([this, key, live = running.live](const std::stop_token &stop) { work(key, *live, stop); });
}

void WorkflowHost::work(const RunKey &key, Live &live, const std::stop_token &stop) {
    auto ended = run_until_written_down(key, live, stop);
    while (!end(key, live, ended)) ended = run_until_written_down(key, live, stop);
    // Afterwards: whoever reads that it has ended can cancel it.
    if (!ended && options_.warn) options_.warn(std::format("workflow run {}: {}", key.id, ended.error().message));
}

// A run that can't be written down, on a full disk for instance, goes on where it was as soon as it can be. What else is wrong
// with it (its definition is none any more) makes it failed.
Result<RunRow> WorkflowHost::run_until_written_down(const RunKey &key, Live &live, const std::stop_token &stop) {
    for (bool told = false;;) {
        auto ended = run(key, live, stop);
        if (ended || stop.stop_requested()) return ended;
        const Error &error = ended.error();
        if (error.code != ErrorCode::io && error.code != ErrorCode::locked) {
            static_cast<void>(put_failed(key, error.message));  // where that can't be stored either, it is told all the same
            return ended;
        }
        if (!std::exchange(told, true) && options_.warn) {
            options_.warn(std::format("workflow run {}: {}; it goes on as soon as that is put right", key.id, error.message));
        }
        pause(kGoOnAgain, stop);
    }
}

Result<void> WorkflowHost::put_failed(const RunKey &key, const std::string &why) {
    ENGRAM_ASSIGN(RunRow row, store_->get(key));
    row.state = workflow::RunState::failed;
    row.error = why;
    row.ended_ms = system_clock().wall_ms();
    Event event{.text = std::string(workflow::run_state_name(row.state)), .error = why, .at_ms = row.ended_ms};
    return store_->put_state(row, event);
}

// False: a person has decided about a step since the run looked, and it goes on. Whoever writes a decision down holds the same
// lock.
bool WorkflowHost::end(const RunKey &key, Live &live, const Result<RunRow> &ended) {
    const std::scoped_lock lock(mutex_);
    if (ended && ended->state == workflow::RunState::waiting && !stopping_) {
        const auto decided = workflow::any_decided(*store_, key);
        if (decided && *decided) return false;
    }
    const std::scoped_lock lock_live(live.mutex);
    live.ended = true;
    live.changed.notify_all();
    return true;
}

Result<RunRow> WorkflowHost::run(const RunKey &key, Live &live, const std::stop_token &stop) {
    ENGRAM_ASSIGN(const ModelHost::Use model, models_.use(stop));
    ENGRAM_ASSIGN(AgentManager *const agents, model.agents_of(key.tenant));
    const workflow::EventSink sink = [&live](const Event &event) {
        const std::scoped_lock lock(live.mutex);
        if (event.seq == 0 && live.events.size() >= kMostLiveEvents) return;
        live.events.push_back(event);
        live.changed.notify_all();
    };
    workflow::Executor executor(
        {.agents = *agents, .runs = *store_, .run_agent = counted(key.tenant), .admit = admission(key.tenant)});
    return executor.run(key, sink, stop);
}

// A turn is a request of its tenant's. One that the quota has no room for waits: it is the tenant's own turns that it waits for.
workflow::Admit WorkflowHost::admission(std::string tenant) {
    return [this, tenant = std::move(tenant)](const std::stop_token &stop) -> Result<std::shared_ptr<void>> {
        while (!stop.stop_requested()) {
            RequestAdmission admitted = tenants_.admit(tenant);
            if (admitted.granted()) return std::make_shared<RequestPlace>(std::move(admitted.place));
            pause(kAskAgain, stop);
        }
        return fail(ErrorCode::cancelled, "it was broken off");
    };
}

// In the ledger a fork's turns are its agent's.
RunAgent WorkflowHost::counted(std::string tenant) {
    return [this, tenant = std::move(tenant)](AgentManager &agents, const RunRequest &request, const RunSink &sink,
                                              std::stop_token stop) {
        auto result = options_.run_agent(agents, request, sink, std::move(stop));
        if (!result) return result;
        const auto fork = agents.get(request.agent);
        const RunUsage &usage = result->usage;
        tenants_.record(tenant, fork ? fork->forked_from : std::string(),
                        {.requests = 1,
                         .computed_tokens = usage.prompt_tokens - usage.cached_tokens,
                         .reused_tokens = usage.cached_tokens,
                         .generated_tokens = usage.answer_tokens});
        return result;
    };
}

void WorkflowHost::stop() {
    std::map<RunKey, Running> running;
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
        for (auto &[key, one] : running_) one.thread.request_stop();
        running = std::exchange(running_, {});
    }
}  // joins the threads

std::shared_ptr<WorkflowHost::Live> WorkflowHost::live(const RunKey &key) {
    const std::scoped_lock lock(mutex_);
    const auto found = running_.find(key);
    return found == running_.end() ? nullptr : found->second.live;
}

}  // namespace engram::server
