#include "server/workflow_host.h"

#include <format>
#include <utility>

namespace engram::server {

using workflow::Event;
using workflow::RunKey;
using workflow::RunRow;

namespace {

constexpr std::size_t kMostRuns = 64;             // at the same time
constexpr std::size_t kMostLiveEvents = 100'000;  // of one run; then pieces of text are left out

}  // namespace

WorkflowHost::WorkflowHost(std::unique_ptr<workflow::RunStore> store, ModelHost &models, Tenants &tenants, Options options)
    : store_(std::move(store)), models_(models), tenants_(tenants), options_(std::move(options)) {}

WorkflowHost::~WorkflowHost() { stop(); }

Result<RunRow> WorkflowHost::begin(const workflow::NewRun &run) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_TRY(may_start({}));
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

Result<void> WorkflowHost::cancel(const RunKey &key) {
    using enum workflow::RunState;
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(RunRow row, store_->get(key));
    if (row.state != running && row.state != interrupted) {
        return fail(ErrorCode::invalid_argument,
                    std::format("the workflow run {} has {} already", key.id, workflow::run_state_name(row.state)));
    }
    ENGRAM_TRY(store_->ask_to_cancel(key));
    forget_ended();  // a run that an error has ended isn't there any more to hear of it
    if (running_.contains(key)) return {};
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
    forget_ended();
    if (running_.contains(key)) return fail(ErrorCode::locked, std::format("the workflow run {} is running", key.id));
    if (running_.size() >= kMostRuns) {
        return fail(ErrorCode::over_budget,
                    std::format("{} workflows are running already: try again when one has ended", kMostRuns));
    }
    return {};
}

void WorkflowHost::forget_ended() {
    std::erase_if(running_, [](const auto &entry) { return entry.second.live->has_ended(); });
}

void WorkflowHost::start(const RunKey &key) {
    Running &running = running_[key];
    running.live = std::make_shared<Live>();
    running.thread = std::jthread([this, key, live = running.live](const std::stop_token &stop) { work(key, *live, stop); });
}

void WorkflowHost::work(const RunKey &key, Live &live, const std::stop_token &stop) {
    const auto ended = run(key, live, stop);
    {
        const std::scoped_lock lock(live.mutex);
        live.ended = true;
        live.changed.notify_all();
    }
    // Afterwards: whoever reads that it has ended can cancel it.
    if (!ended && options_.warn) options_.warn(std::format("workflow run {}: {}", key.id, ended.error().message));
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
    workflow::Executor executor({.agents = *agents, .runs = *store_, .run_agent = counted(key.tenant)});
    return executor.run(key, sink, stop);
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
