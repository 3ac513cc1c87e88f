// How a task runs, and how what happens to it gets to those who want to know.
#include <algorithm>
#include <format>
#include <utility>

#include "ports/clock.h"
#include "protocol/a2a/write.h"
#include "server/a2a_tasks.h"
#include "server/a2a_test_mode.h"
#include "server/a2a_work.h"
#include "server/run_account.h"
#include "teams/run_json.h"

namespace engram::server {

using namespace protocol::a2a;
using protocol::a2a::Message;  // not the transcript's

namespace {

constexpr std::string_view kStopped = "The server was stopped before the task was done; send the message again.";

constexpr std::chrono::seconds kSaveAgain{1};  // what the store didn't take
constexpr std::size_t kMaxTraceBytes = 64UZ << 10U;

std::string dump(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

std::string line_of(const StoredTask &task) { return std::format("{}\n{}", task.tenant, task.memory); }

// Why a run that isn't done ended.
std::string reason(const RunResult &result) {
    switch (result.end) {
        case RunEnd::context: return "The agent's context is full.";
        case RunEnd::steps: return "The task took more steps than a run may have.";
        case RunEnd::time: return "The task took longer than a run may.";
        case RunEnd::tokens: return "The task took more tokens than a run may.";
        case RunEnd::answered:
        case RunEnd::approval:
        case RunEnd::length:
        case RunEnd::failed: return result.warning;
        case RunEnd::cancelled: break;
    }
    return std::string(kStopped);
}

StatusUpdate status_of(const Task &task) {
    return {.task_id = task.id, .context_id = task.context_id, .status = task.status, .metadata = task.metadata};
}

const std::string *text_in(const Artifact &artifact) {
    const bool one_text = artifact.parts.size() == 1 && artifact.parts.front().kind == Part::Kind::text;
    return one_text ? &artifact.parts.front().content : nullptr;
}

}  // namespace

// --- what a run says while it goes on ---

class A2aTasks::Reporter {
  public:
    Reporter(A2aTasks &tasks, const Job &job)
        : tasks_(tasks), job_(job), memory_(job.run.agent), account_(tasks.app_, job.caller->tenant) {}

    void take(const RunEvent &event) {
        account_.take(event);
        if (const auto *answering = std::get_if<RunAnswering>(&event)) {
            if (answering->agent == memory_) take(answering->event);
        } else if (const auto *begins = std::get_if<RunToolBegins>(&event); begins != nullptr && begins->agent == memory_) {
            say_calls(begins->call.name);
        }
    }

    // In the task's metadata: where the memory came from, what all of the run cost, and the trace where it is wanted and not
    // too large.
    std::string metadata(const RunResult &result) const {
        OrderedJson json{{"agent", memory_},
                         {"promptTokens", result.usage.prompt_tokens},
                         {"cachedTokens", result.usage.cached_tokens},
                         {"answerTokens", result.usage.answer_tokens},
                         {"tier", first_ ? first_->tier : "none"},
                         {"restoreMs", first_ ? first_->restore_ms : 0.0}};
        if (!result.committed) json["committed"] = false;
        if (!result.warning.empty()) json["warning"] = result.warning;
        if (job_.wants_trace) {
            OrderedJson steps = OrderedJson::array();
            for (const RunStep &step : result.steps) steps.push_back(step_json(step));
            if (dump(steps).size() <= kMaxTraceBytes) json["steps"] = std::move(steps);
        }
        return dump({{"engram", std::move(json)}});
    }

  private:
    void take(const ChatEvent &event) {
        Live &live = *job_.live;
        const std::scoped_lock lock(live.mutex);
        if (is_terminal(live.stored.task.status.state)) return;
        if (const auto *started = std::get_if<ChatStarted>(&event)) {
            if (!first_) first_ = *started;
            live.held.clear();  // another answer takes the place of one that called tools
            live.begun = false;
        } else if (const auto *text = std::get_if<ChatText>(&event); text != nullptr && job_.run.format == AnswerFormat::text) {
            tasks_.add_piece(live, text->text);
        }
    }

    void say_calls(const std::string &tool) {
        Live &live = *job_.live;
        const std::scoped_lock lock(live.mutex);
        const Task &task = live.stored.task;
        if (is_terminal(task.status.state)) return;
        StatusUpdate update{.task_id = task.id, .context_id = task.context_id, .status = task.status};
        update.status.message = agent_says(std::format("Calls {}.", tool));
        update.status.message->task_id = task.id;
        update.status.message->context_id = task.context_id;
        tasks_.publish(live, update);
    }

    A2aTasks &tasks_;
    const Job &job_;
    const std::string &memory_;
    RunAccount account_;
    std::optional<ChatStarted> first_;
};

// --- the line of tasks of one conversation ---

void A2aTasks::enqueue(Job job) {
    const std::string line = line_of(job.live->stored);
    const LivePointer live = job.live;
    {
        const std::scoped_lock lock(mutex_);
        if (!stopping_) {
            std::deque<Job> &jobs = lines_[line];
            jobs.push_back(std::move(job));
            if (jobs.size() > 1 || pool_.submit([this, line] { work(line); })) return;
            lines_.erase(line);
        }
    }
    const std::scoped_lock lock(live->mutex);
    live->stored.pending.clear();
    set_status(*live, TaskState::failed, agent_says(std::string(kStopped)));
}

void A2aTasks::work(const std::string &line) {
    Job job;
    {
        const std::scoped_lock lock(mutex_);
        job = std::move(lines_.at(line).front());  // an empty one keeps its place
    }
    perform(job);
    const Key key(job.live->stored.tenant, job.live->stored.task.id);
    job = {};  // also the place among the requests
    forget_if_idle(key);
    const std::scoped_lock lock(mutex_);
    const auto found = lines_.find(line);
    found->second.pop_front();
    if (found->second.empty() || !pool_.submit([this, line] { work(line); })) lines_.erase(found);
    changed_.notify_all();
}

void A2aTasks::perform(const Job &job) {
    Live &live = *job.live;
    {
        const std::scoped_lock lock(live.mutex);
        if (is_terminal(live.stored.task.status.state)) return;  // cancelled while it waited
    }
    if (test_mode_ && script_of(job.message_id)) return play(job);
    {
        const std::scoped_lock lock(live.mutex);
        live.stored.pending.clear();  // not before: a process that dies until now begins with it again
        set_status(live, TaskState::working);
        if (is_terminal(live.stored.task.status.state)) return;  // it could not be stored that it is at work
        live.held.clear();
        live.begun = false;
    }
    Reporter reporter(*this, job);
    AgentManager &agents = *job.caller->agents;
    Result<RunResult> result = RunResult{};
    if (const auto made = ensure_memory(agents, live.stored.agent, job.run.agent); !made) {
        result = std::unexpected(made.error());
    } else {
        result = run_(agents, job.run, [&](const RunEvent &event) { reporter.take(event); }, live.stop.get_token());
    }
    const std::scoped_lock lock(live.mutex);
    if (result) live.stored.task.metadata = reporter.metadata(*result);
    end_run(live, result, job.run);
}

void A2aTasks::end_run(Live &live, const Result<RunResult> &result, const RunRequest &request) {
    if (is_terminal(live.stored.task.status.state)) {  // cancelled while it ran: it has been told already
        save(live);
        return;
    }
    if (result) return end_with(live, *result, request);
    const bool stopped = result.error().code == ErrorCode::cancelled;
    set_status(live, TaskState::failed, agent_says(stopped ? std::string(kStopped) : result.error().message));
}

void A2aTasks::end_with(Live &live, const RunResult &result, const RunRequest &request) {
    switch (result.end) {
        case RunEnd::answered:
        case RunEnd::length: finish_answer(live, result.text, request.format); return set_status(live, TaskState::completed);
        case RunEnd::approval:
            live.stored.pending = pending_text(result.pending);
            return set_status(live, TaskState::input_required, question(result.pending));
        case RunEnd::context:
        case RunEnd::steps:
        case RunEnd::time:
        case RunEnd::tokens:
        case RunEnd::failed:
        case RunEnd::cancelled: break;
    }
    if (!result.text.empty()) finish_answer(live, result.text, AnswerFormat::text);
    set_status(live, TaskState::failed, agent_says(reason(result)));
}

// --- test mode ---

void A2aTasks::play(const Job &job) {
    Live &live = *job.live;
    const auto script = script_of(job.message_id);
    const std::stop_token stop = live.stop.get_token();
    for (const ScriptStep &step : *script) {
        if (const auto *wait = std::get_if<ScriptWait>(&step)) {
            std::mutex mutex;
            std::unique_lock lock(mutex);
            std::condition_variable_any stopped;
            stopped.wait_for(lock, stop, wait->time, [] { return false; });
            continue;
        }
        const std::scoped_lock lock(live.mutex);
        const Task &task = live.stored.task;
        if (is_terminal(task.status.state)) return;
        if (stop.stop_requested()) return set_status(live, TaskState::failed, agent_says(std::string(kStopped)));
        if (const auto *status = std::get_if<ScriptStatus>(&step)) {
            set_status(live, status->state,
                       status->text.empty() ? std::nullopt : std::optional(agent_says(std::string(status->text))));
        } else if (const auto *artifact = std::get_if<ScriptArtifact>(&step)) {
            ArtifactUpdate update{
                .task_id = task.id, .context_id = task.context_id, .append = artifact->append, .last_chunk = artifact->last};
            update.artifact = {.id = "answer", .name = "answer", .parts = {artifact->part}};
            put_artifact(live, std::move(update));
        }
    }
}

// --- what changes a task; its mutex is held ---

void A2aTasks::set_status(Live &live, TaskState state, std::optional<Message> message) {
    if (const auto done = put_status(live, state, message); !done) {
        if (state != TaskState::failed) {
            message =
                agent_says(std::format("The task's state could not be stored ({}), so that it counts as failed. What the "
                                       "agent has answered may be in its memory.",
                                       done.error().message));
        }
        change_status(live, TaskState::failed, std::move(message), nullptr);
        save(live);
    }
    tell_status(live);
}

void A2aTasks::change_status(Live &live, TaskState state, std::optional<Message> message, const Message *said) {
    Task &task = live.stored.task;
    if (task.status.message) task.history.push_back(*task.status.message);
    if (said != nullptr) task.history.push_back(*said);
    if (message) {
        message->task_id = task.id;
        message->context_id = task.context_id;
    }
    task.status = {
        .state = state, .message = std::move(message), .time_ms = std::max(system_clock().wall_ms(), task.status.time_ms)};
    tell_hooks(live, status_of(task));
}

Result<void> A2aTasks::put_status(Live &live, TaskState state, std::optional<Message> message, const Message *said) {
    Task &task = live.stored.task;
    const TaskStatus before = task.status;
    const std::size_t messages = task.history.size();
    const std::size_t untold = live.untold.size();
    change_status(live, state, std::move(message), said);
    auto stored = put(live);
    if (stored) return {};
    task.status = before;
    task.history.erase(task.history.begin() + static_cast<std::ptrdiff_t>(messages), task.history.end());
    live.untold.erase(live.untold.begin() + static_cast<std::ptrdiff_t>(untold), live.untold.end());
    return stored;
}

void A2aTasks::tell_status(Live &live) {
    const Task &task = live.stored.task;
    publish(live, status_of(task));
    if (is_terminal(task.status.state) || is_interrupted(task.status.state)) release(live);
}

Result<void> A2aTasks::put(Live &live) {
    const auto stored = store_->update(live.stored, live.known_messages, live.untold);
    if (!stored) {
        if (!live.unsaved && app_.options().warn) {
            app_.options().warn(std::format("the state of an A2A task could not be stored: {}", stored.error().message));
        }
        return stored;
    }
    live.known_messages = live.stored.task.history.size();
    live.unsaved = false;
    for (const A2aNotification &notification : std::exchange(live.untold, {})) push_->send(notification);
    return {};
}

void A2aTasks::save(Live &live) {
    if (put(live)) return;
    live.unsaved = true;
    {
        const std::scoped_lock lock(mutex_);
        live_.try_emplace({live.stored.tenant, live.stored.task.id}, live.shared_from_this());  // what clients are shown
        some_unsaved_ = true;
    }
    unsaved_changed_.notify_one();
}

void A2aTasks::save_unsaved() {
    std::vector<LivePointer> all;
    {
        const std::scoped_lock lock(mutex_);
        some_unsaved_ = false;
        for (const auto &[key, live] : live_) all.push_back(live);
    }
    for (LivePointer &live : all) {
        const Key key(live->stored.tenant, live->stored.task.id);
        {
            const std::scoped_lock lock(live->mutex);
            if (!live->unsaved) continue;
            save(*live);
        }
        live.reset();
        forget_if_idle(key);
    }
}

void A2aTasks::keep_saving(const std::stop_token &stop) {
    while (!stop.stop_requested()) {
        {
            std::unique_lock lock(mutex_);
            if (!unsaved_changed_.wait(lock, stop, [this] { return some_unsaved_; })) return;
            unsaved_changed_.wait_for(lock, stop, kSaveAgain, [] { return false; });
        }
        if (!stop.stop_requested()) save_unsaved();
    }
}

void A2aTasks::add_piece(Live &live, std::string text) {
    std::string piece = std::exchange(live.held, std::move(text));
    if (piece.empty()) return;
    const Task &task = live.stored.task;
    put_artifact(live, {.task_id = task.id,
                        .context_id = task.context_id,
                        .artifact = answer_artifact(std::move(piece), AnswerFormat::text),
                        .append = std::exchange(live.begun, true)});
}

void A2aTasks::finish_answer(Live &live, const std::string &text, AnswerFormat format) {
    const Task &task = live.stored.task;
    const std::string *told = live.begun && !task.artifacts.empty() ? text_in(task.artifacts.front()) : nullptr;
    const std::string held = std::exchange(live.held, {});
    // Only the last piece, where all pieces together are the answer; otherwise the answer takes their place.
    const bool append = told != nullptr && format == AnswerFormat::text && *told + held == text;
    put_artifact(live, {.task_id = task.id,
                        .context_id = task.context_id,
                        .artifact = answer_artifact(append ? held : text, format),
                        .append = append,
                        .last_chunk = true});
    tell_hooks(live,
               ArtifactUpdate{
                   .task_id = task.id, .context_id = task.context_id, .artifact = task.artifacts.front(), .last_chunk = true});
}

void A2aTasks::put_artifact(Live &live, ArtifactUpdate update) {
    std::vector<Artifact> &artifacts = live.stored.task.artifacts;
    const auto known = std::ranges::find(artifacts, update.artifact.id, &Artifact::id);
    if (known == artifacts.end()) {
        artifacts.push_back(update.artifact);
    } else if (!update.append) {
        *known = update.artifact;
    } else if (const std::string *more = text_in(update.artifact); more != nullptr && text_in(*known) != nullptr) {
        known->parts.front().content += *more;
    } else {
        std::ranges::copy(update.artifact.parts, std::back_inserter(known->parts));
    }
    publish(live, update);
}

void A2aTasks::publish(Live &live, const StreamEvent &event) {
    for (const Subscriber &subscriber : live.subscribers) streams_.write(subscriber.stream, subscriber.frame(event));
}

void A2aTasks::tell_hooks(Live &live, const StreamEvent &event) {
    const StoredTask &stored = live.stored;
    auto hooks = store_->hooks(stored.tenant, stored.task.id);
    if (!hooks) return;  // what can't be read has been told when the task was stored
    const std::int64_t now = system_clock().wall_ms();
    for (PushConfig &hook : *hooks) {
        std::string body;
        if (hook.dialect == WireVersion::v1_0) {
            body = dump(event_json(event, WireVersion::v1_0));
        } else if (std::holds_alternative<StatusUpdate>(event)) {
            body = dump(task_json(stored.task, WireVersion::v0_3));
        } else {
            continue;
        }
        live.untold.push_back({.tenant = stored.tenant, .hook = std::move(hook), .body = std::move(body), .created_ms = now});
    }
}

void A2aTasks::release(Live &live) {
    live.running = false;
    const bool over = is_terminal(live.stored.task.status.state);
    for (const Subscriber &subscriber : live.subscribers) {
        if (over || subscriber.ends_when_interrupted) streams_.end(subscriber.stream);
    }
    for (A2aListener &listener : std::exchange(live.waiting, {})) {
        listener.responder.send(listener.whole(live.stored.task));
        listener.answered(listener.responder.status());
    }
}

}  // namespace engram::server
