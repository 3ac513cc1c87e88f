#include "server/a2a_tasks.h"

#include <algorithm>
#include <format>
#include <utility>

#include "core/random_name.h"
#include "ports/clock.h"
#include "protocol/a2a/write.h"
#include "server/a2a_test_mode.h"
#include "server/a2a_work.h"

namespace engram::server {

using namespace protocol::a2a;
using protocol::a2a::Message;  // not the transcript's

namespace {

constexpr std::int64_t kTaskLifeMs = 30LL * 24 * 60 * 60 * 1000;
constexpr std::uint64_t kTasksPerCleaning = 256;
constexpr std::size_t kMaxHooks = 16;  // of a task
constexpr std::uint32_t kAnswerTokens = 4096;

template <typename T>
A2aResult<T> from_engine(Result<T> result) {
    if (!result) return std::unexpected(A2aError(protocol::api_error(result.error())));
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        return std::move(*result);
    }
}

bool may_see(const A2aPlace &place, const StoredTask &task) {
    return task.tenant == place.tenant && (!place.agent || *place.agent == task.agent);
}

std::unexpected<A2aError> not_now(const StoredTask &stored) {
    const TaskState state = stored.task.status.state;
    const std::string_view why = is_terminal(state) ? "is over: begin another task in its context"
                                                    : "is at work: its next message can come when it needs one";
    return std::unexpected(
        A2aError(A2aErrorKind::unsupported_operation, std::format("the task \"{}\" {}", stored.task.id, why), stored.task.id));
}

A2aResult<std::string> agent_asked(const A2aPlace &place, const SendRequest &request) {
    if (!place.agent || request.agent.empty() || request.agent == *place.agent) {
        return place.agent ? *place.agent : request.agent;
    }
    A2aError error(A2aErrorKind::invalid_params,
                   std::format("tenant: this is the address of the agent \"{}\", and the request names another", *place.agent));
    error.field = "tenant";
    return std::unexpected(std::move(error));
}

// Work that came by agents who wait for it isn't given to one of them, nor on and on.
A2aResult<void> check_chain(const RunRequest &run, const std::string &agent) {
    std::string chain;
    for (const std::string &one : run.chain) chain += one + " > ";
    const std::string &name = agent.empty() ? run.agent : agent;
    if (std::ranges::contains(run.chain, name)) {
        return std::unexpected(A2aError(A2aErrorKind::unsupported_operation,
                                        std::format("{} waits for this answer already ({}{})", name, chain, name)));
    }
    if (run.chain.size() >= run.limits.depth) {
        return std::unexpected(
            A2aError(A2aErrorKind::unsupported_operation,
                     std::format("work may be handed on {} times, and it was ({}{})", run.limits.depth - 1, chain, name)));
    }
    return {};
}

}  // namespace

A2aTasks::A2aTasks(Parts parts)
    : app_(parts.app),
      store_(std::move(parts.store)),
      run_(std::move(parts.run)),
      test_mode_(parts.test_mode),
      push_(std::move(parts.push)),
      pool_("a2a-task", app_.options().max_waiting + app_.options().manager.model.max_running),
      keeper_([this](const std::stop_token &stop) { keep_saving(stop); }) {}

A2aTasks::~A2aTasks() { stop(std::chrono::milliseconds(0)); }

Result<std::unique_ptr<A2aTasks>> A2aTasks::start(Parts parts) {
    std::unique_ptr<A2aTasks> tasks(new A2aTasks(std::move(parts)));
    ENGRAM_TRY(tasks->recover());
    return tasks;
}

Result<void> A2aTasks::recover() {
    ENGRAM_TRY(push_->restore());
    ENGRAM_ASSIGN(std::vector<StoredTask> unfinished, store_->unfinished());
    for (StoredTask &stored : unfinished) {
        const auto live = std::make_shared<Live>();
        live->known_messages = stored.task.history.size();
        live->stored = std::move(stored);
        std::string why =
            "The server ended before the task was done. What the agent had answered until then in earlier tasks of this context "
            "is kept; send the message again.";
        if (live->stored.task.status.state == TaskState::submitted) {
            const auto begun = begin_again(live);
            if (begun) continue;
            why =
                std::format("The server ended before the task was begun, and it can't be begun now ({}); send the message again.",
                            begun.error().message);
        }
        const std::scoped_lock lock(live->mutex);
        set_status(*live, TaskState::failed, agent_says(std::move(why)));
    }
    return store_->remove_old(system_clock().wall_ms() - kTaskLifeMs);
}

// Nothing has been said to the agent yet, so that it is as if the task's last message came now.
A2aResult<void> A2aTasks::begin_again(const LivePointer &live) {
    const StoredTask &stored = live->stored;
    if (stored.task.history.empty()) {
        return std::unexpected(A2aError(A2aErrorKind::internal, "its message isn't there", stored.task.id));
    }
    const SendRequest request{.message = stored.task.history.back(), .accepted_output_modes = stored.output_modes};
    ENGRAM_ASSIGN(RunRequest run, prepare_run(*live, request));
    ENGRAM_ASSIGN(ModelHost::Use model, from_engine(app_.models().use()));
    ENGRAM_ASSIGN(AgentManager *const agents, from_engine(model.agents_of(stored.tenant)));
    auto caller =
        std::make_shared<Caller>(Caller{.tenant = stored.tenant, .scopes = {}, .model = std::move(model), .agents = agents});
    ENGRAM_ASSIGN(App::Place admitted, app_.admit(*caller));
    live->running = true;
    {
        const std::scoped_lock lock(mutex_);
        live_[{stored.tenant, stored.task.id}] = live;
    }
    enqueue({.live = live,
             .caller = std::move(caller),
             .place = std::make_shared<App::Place>(std::move(admitted)),
             .run = std::move(run),
             .message_id = request.message.id,
             .wants_trace = wants_trace(request.message.metadata)});
    return {};
}

void A2aTasks::stop(std::chrono::milliseconds drain) {
    {
        std::unique_lock lock(mutex_);
        stopping_ = true;
        changed_.wait_for(lock, drain, [this] { return lines_.empty(); });
        for (const auto &[key, live] : live_) live->stop.request_stop();
        changed_.wait(lock, [this] { return lines_.empty(); });
    }
    streams_.end_all();
    pool_.stop();
    if (!keeper_.joinable()) return;
    keeper_.request_stop();
    keeper_.join();
    save_unsaved();  // for the last time
}

// --- whose tasks ---

A2aTasks::Held::~Held() {
    if (live_ == nullptr) return;
    const Key key(live_->stored.tenant, live_->stored.task.id);  // these two never change
    live_.reset();
    tasks_->forget_if_idle(key);
}

A2aTasks::Held A2aTasks::find_live(const Key &key) {
    const std::scoped_lock lock(mutex_);
    const auto found = live_.find(key);
    return {*this, found == live_.end() ? nullptr : found->second};
}

std::map<std::string, A2aTasks::Held> A2aTasks::live_of(const std::string &tenant) {
    const std::scoped_lock lock(mutex_);
    std::map<std::string, Held> all;
    for (auto at = live_.lower_bound({tenant, ""}); at != live_.end() && at->first.first == tenant; ++at) {
        all.try_emplace(at->first.second, *this, at->second);
    }
    return all;
}

A2aResult<A2aTasks::Held> A2aTasks::find(const A2aPlace &place, const std::string &task) {
    const Key key(place.tenant, task);
    if (Held live = find_live(key)) {
        if (!may_see(place, live->stored)) return no_such_task(task);  // tenant and agent never change
        return live;
    }
    ENGRAM_ASSIGN(StoredTask stored, find_stored(place, task));
    auto live = std::make_shared<Live>();
    live->known_messages = stored.task.history.size();
    live->stored = std::move(stored);
    if (is_terminal(live->stored.task.status.state)) return Held(*this, std::move(live));  // nothing happens to it any more
    const std::scoped_lock lock(mutex_);
    return Held(*this, live_.try_emplace(key, std::move(live)).first->second);
}

A2aResult<StoredTask> A2aTasks::find_stored(const A2aPlace &place, const std::string &task) {
    ENGRAM_ASSIGN(auto stored, from_engine(store_->find(place.tenant, task)));
    if (!stored || !may_see(place, *stored)) return no_such_task(task);
    return std::move(*stored);
}

void A2aTasks::forget_if_idle(const Key &key) {
    const std::scoped_lock lock(mutex_);
    const auto found = live_.find(key);
    if (found == live_.end()) return;
    const LivePointer live = found->second;
    const std::unique_lock task_lock(live->mutex, std::try_to_lock);  // whoever has it comes by here later
    const bool idle = task_lock && !live->running && !live->unsaved && live->subscribers.empty() && live->waiting.empty();
    if (idle && live.use_count() == 2) live_.erase(found);  // the map's and ours
}

A2aResult<Task> A2aTasks::get(const A2aPlace &place, const std::string &task) {
    const Held live = find_live({place.tenant, task});
    if (!live) {
        ENGRAM_ASSIGN(StoredTask stored, find_stored(place, task));
        return std::move(stored.task);
    }
    if (!may_see(place, live->stored)) return no_such_task(task);
    const std::scoped_lock lock(live->mutex);
    return live->stored.task;  // with the answer as far as it has come
}

A2aResult<A2aTasks::Page> A2aTasks::list(const A2aPlace &place, const ListQuery &query) {
    const std::map<std::string, Held> live = live_of(place.tenant);  // before the store is read: what is forgotten is in there
    ENGRAM_ASSIGN(A2aTaskStore::Page stored,
                  from_engine(store_->list({.tenant = place.tenant, .agent = place.agent, .list = query})));
    Page page{.tasks = {}, .next_token = std::move(stored.next_token), .total = stored.total};
    for (StoredTask &task : stored.tasks) {
        if (const auto found = live.find(task.task.id); found != live.end()) {
            const std::scoped_lock lock(found->second->mutex);
            task.task = found->second->stored.task;
        }
        if (!query.state || *query.state == task.task.status.state) page.tasks.push_back(std::move(task.task));
    }
    return page;
}

// --- messages ---

bool A2aTasks::answer_with_message(const SendRequest &request, A2aListener &listener) {
    const auto script = test_mode_ ? script_of(request.message.id) : std::nullopt;
    if (!script || !std::holds_alternative<ScriptMessage>(script->front())) return false;
    Message message = agent_says(std::string(std::get<ScriptMessage>(script->front()).text));
    message.context_id = request.message.context_id.empty() ? random_name("ctx-") : request.message.context_id;
    if (listener.stream) {
        const auto answered = [answered = std::move(listener.answered)] { answered(200); };
        const A2aStreams::Id id = streams_.open(std::move(listener.responder), answered);
        streams_.write(id, listener.frame(message));
        streams_.end(id);
        return true;
    }
    listener.responder.send(listener.whole(message));
    listener.answered(listener.responder.status());
    return true;
}

A2aResult<A2aTasks::Held> A2aTasks::new_task(const Caller &caller, const A2aPlace &place, const SendRequest &request) {
    ENGRAM_ASSIGN(const std::string agent, agent_asked(place, request));
    if (!agent.empty()) {
        const auto info = caller.agents->get(agent);
        if (!info || info->conversation) {
            return std::unexpected(A2aError(A2aErrorKind::agent_not_found, std::format("there is no agent \"{}\"", agent)));
        }
    }
    bool clean = false;
    {
        const std::scoped_lock lock(mutex_);
        clean = ++made_ % kTasksPerCleaning == 0;
    }
    if (clean) ENGRAM_TRY(from_engine(store_->remove_old(system_clock().wall_ms() - kTaskLifeMs)));
    auto live = std::make_shared<Live>();
    StoredTask &stored = live->stored;
    stored.tenant = caller.tenant;
    stored.agent = agent;
    stored.created_ms = system_clock().wall_ms();
    stored.task.id = random_name("task-");
    stored.task.context_id = request.message.context_id.empty() ? random_name("ctx-") : request.message.context_id;
    stored.task.status = {.state = TaskState::submitted, .message = {}, .time_ms = stored.created_ms};
    stored.memory = memory_of(*caller.agents, agent, stored.task.context_id);
    ENGRAM_TRY(app_.check_agent_quota(caller, stored.memory));
    return Held(*this, std::move(live));
}

A2aResult<RunRequest> A2aTasks::prepare_run(const Live &live, const SendRequest &request) const {
    RunRequest run{.agent = live.stored.memory, .messages = {}};
    run.sampling = app_.options().sampling;
    run.max_tokens = kAnswerTokens;
    ENGRAM_ASSIGN(run.format, format_of(request.accepted_output_modes));
    if (!live.stored.pending.empty()) {
        auto approvals = approvals_in(request.message, live.stored.pending);
        if (!approvals) {
            return std::unexpected(A2aError(A2aErrorKind::invalid_params,
                                            "the task waits for an approval: answer \"yes\" or \"no\", or with a data part "
                                            "{\"approvals\": {\"<id of the call>\": true}}, by the ids that its status lists",
                                            live.stored.task.id));
        }
        run.approvals = std::move(*approvals);
        // Whoever decides, the work is still that of those who gave it.
        if (!live.stored.task.history.empty()) {
            run.chain =
                chain_of_metadata(live.stored.task.history.front().metadata, app_.teams().store().identity(), live.stored.tenant);
        }
        return run;
    }
    run.chain = chain_of_metadata(request.message.metadata, app_.teams().store().identity(), live.stored.tenant);
    ENGRAM_TRY(check_chain(run, live.stored.agent));
    ENGRAM_ASSIGN(std::string text, text_of(request.message));
    run.messages.push_back({.role = "user", .content = std::move(text)});
    return run;
}

A2aResult<void> A2aTasks::go_on(Live &live, const SendRequest &request) {
    const Task &task = live.stored.task;
    const std::string &context = request.message.context_id;
    if (!context.empty() && context != task.context_id) {
        A2aError error(A2aErrorKind::invalid_params,
                       std::format("contextId: the task \"{}\" belongs to another context", task.id));
        error.field = "message.contextId";
        return std::unexpected(std::move(error));
    }
    if (!is_interrupted(task.status.state) || live.running) return not_now(live.stored);
    return {};
}

A2aResult<void> A2aTasks::add_hook(const std::string &tenant, PushConfig &hook) {
    ENGRAM_TRY(from_engine(push_->check(hook)));
    ENGRAM_ASSIGN(const auto others, from_engine(store_->hooks(tenant, hook.task_id)));
    if (hook.id.empty()) hook.id = random_name("hook-");
    if (others.size() >= kMaxHooks && !std::ranges::contains(others, hook.id, &PushConfig::id)) {
        return std::unexpected(A2aError(A2aErrorKind::invalid_params,
                                        std::format("a task has at most {} push configurations: delete one first", kMaxHooks)));
    }
    return from_engine(store_->put_hook(tenant, hook));
}

A2aResult<void> A2aTasks::send(Caller caller, const A2aPlace &place, SendRequest request, A2aListener &listener) {
    if (answer_with_message(request, listener)) return {};
    const std::string named = request.message.task_id;
    ENGRAM_ASSIGN(const Held live, named.empty() ? new_task(caller, place, request) : find(place, named));
    std::unique_lock task_lock(live->mutex);
    StoredTask &stored = live->stored;
    if (!named.empty()) ENGRAM_TRY(go_on(*live, request));
    ENGRAM_ASSIGN(RunRequest run, prepare_run(*live, request));
    if (request.push) ENGRAM_TRY(from_engine(push_->check(*request.push)));
    ENGRAM_ASSIGN(App::Place admitted, app_.admit(caller));
    request.message.task_id = stored.task.id;
    request.message.context_id = stored.task.context_id;
    stored.output_modes = std::move(request.accepted_output_modes);
    Job job{.live = live.pointer(),
            .caller = std::make_shared<Caller>(std::move(caller)),
            .place = std::make_shared<App::Place>(std::move(admitted)),
            .run = std::move(run),
            .message_id = request.message.id,
            .wants_trace = wants_trace(request.message.metadata)};
    if (named.empty()) {
        stored.task.history.push_back(std::move(request.message));
        ENGRAM_TRY(from_engine(store_->create(stored)));
        live->known_messages = stored.task.history.size();
    }
    if (request.push) {
        request.push->task_id = stored.task.id;
        if (const auto added = add_hook(stored.tenant, *request.push); !added) {
            if (named.empty()) set_status(*live, TaskState::failed, agent_says(added.error().message));
            return added;
        }
    }
    if (!named.empty()) {  // what it asked goes into the history, before the answer to it
        if (const auto taken = put_status(*live, TaskState::submitted, {}, &request.message); !taken) return from_engine(taken);
        tell_status(*live);
    }
    live->running = true;
    {
        const std::scoped_lock lock(mutex_);
        live_[{stored.tenant, stored.task.id}] = live.pointer();
    }
    if (request.return_immediately && !listener.stream) {
        listener.responder.send(listener.whole(stored.task));
        listener.answered(listener.responder.status());
    } else {
        listen(live.pointer(), listener, true);
    }
    task_lock.unlock();
    enqueue(std::move(job));
    return {};
}

// With the task's mutex held, so that no event comes between the task as it is and what follows.
void A2aTasks::listen(const LivePointer &live, A2aListener &listener, bool ends_when_interrupted) {
    if (!listener.stream) {
        live->waiting.push_back(std::move(listener));
        return;
    }
    const Key key(live->stored.tenant, live->stored.task.id);
    const std::weak_ptr<Live> watched = live;
    const auto id = std::make_shared<A2aStreams::Id>(0);
    Subscriber subscriber{.stream = 0, .frame = std::move(listener.frame), .ends_when_interrupted = ends_when_interrupted};
    const std::string first = subscriber.frame(live->stored.task);
    auto ended = [this, key, watched, id, answered = std::move(listener.answered)] {
        answered(200);
        if (const auto still = watched.lock()) {
            const std::scoped_lock lock(still->mutex);
            std::erase_if(still->subscribers, [&](const Subscriber &other) { return other.stream == *id; });
        }
        forget_if_idle(key);
    };
    *id = subscriber.stream = streams_.open(std::move(listener.responder), std::move(ended));
    streams_.write(subscriber.stream, first);
    live->subscribers.push_back(std::move(subscriber));
}

A2aResult<void> A2aTasks::subscribe(const A2aPlace &place, const std::string &task, A2aListener &listener) {
    ENGRAM_ASSIGN(const Held live, find(place, task));
    const std::scoped_lock lock(live->mutex);
    if (is_terminal(live->stored.task.status.state)) {
        return std::unexpected(A2aError(A2aErrorKind::unsupported_operation,
                                        std::format("the task \"{}\" is over: ask for it with GetTask", task), task));
    }
    listen(live.pointer(), listener, false);
    return {};
}

A2aResult<Task> A2aTasks::cancel(const A2aPlace &place, const std::string &task) {
    ENGRAM_ASSIGN(const Held live, find(place, task));
    const std::scoped_lock lock(live->mutex);
    if (is_terminal(live->stored.task.status.state)) {
        return std::unexpected(
            A2aError(A2aErrorKind::task_not_cancelable, std::format("the task \"{}\" is over already", task), task));
    }
    live->stop.request_stop();
    live->stored.pending.clear();
    set_status(*live, TaskState::canceled);
    return live->stored.task;
}

// --- hooks ---

A2aResult<PushConfig> A2aTasks::create_hook(const A2aPlace &place, PushConfig hook) {
    ENGRAM_TRY(find_stored(place, hook.task_id));
    ENGRAM_TRY(add_hook(place.tenant, hook));
    return hook;
}

A2aResult<std::vector<PushConfig>> A2aTasks::hooks(const A2aPlace &place, const std::string &task) {
    ENGRAM_TRY(find_stored(place, task));
    return from_engine(store_->hooks(place.tenant, task));
}

A2aResult<PushConfig> A2aTasks::hook(const A2aPlace &place, const PushConfigName &name) {
    ENGRAM_ASSIGN(const auto all, hooks(place, name.task_id));
    const auto wanted = [&](const PushConfig &hook) { return name.id.empty() || hook.id == name.id; };
    const auto found = std::ranges::find_if(all, wanted);
    if (found != all.end()) return *found;
    return std::unexpected(A2aError(A2aErrorKind::task_not_found,
                                    std::format("the task \"{}\" has no push configuration \"{}\"", name.task_id, name.id),
                                    name.task_id));
}

A2aResult<void> A2aTasks::remove_hook(const A2aPlace &place, const PushConfigName &name) {
    ENGRAM_TRY(find_stored(place, name.task_id));
    ENGRAM_TRY(from_engine(store_->remove_hook(place.tenant, name.task_id, name.id)));
    push_->forget(place.tenant, name.task_id, name.id);
    return {};
}

}  // namespace engram::server
