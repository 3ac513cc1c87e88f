// AgentRun: from the first message to the end.
#include "teams/agent_run.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <format>
#include <set>
#include <utility>

#include "chat/tool_call.h"
#include "core/random_name.h"
#include "teams/colleagues.h"

namespace engram {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point began) { return std::chrono::duration<double, std::milli>(Clock::now() - began).count(); }

RunEnd end_of(FinishReason reason) {
    switch (reason) {
        case FinishReason::length: return RunEnd::length;
        case FinishReason::context: return RunEnd::context;
        case FinishReason::cancelled: return RunEnd::cancelled;
        case FinishReason::stop:
        case FinishReason::stop_string:
        case FinishReason::tool_calls: break;
    }
    return RunEnd::answered;
}

}  // namespace

// One answer of the model, put together from its events.
struct AgentRun::Answer {
    std::string text, thinking;
    std::vector<ChatToolCall> calls;
    ChatStarted started;
    ChatFinished finished;

    void take(const ChatEvent &event) {
        if (const auto *begin = std::get_if<ChatStarted>(&event)) started = *begin;
        if (const auto *thought = std::get_if<ChatThinking>(&event)) thinking += thought->text;
        if (const auto *said = std::get_if<ChatText>(&event)) text += said->text;
        if (const auto *call = std::get_if<ChatCallBegin>(&event))
            calls.push_back({.id = call->id, .name = call->name, .arguments = ""});
        if (const auto *arguments = std::get_if<ChatCallArguments>(&event)) calls.back().arguments += arguments->text;
        if (const auto *end = std::get_if<ChatFinished>(&event)) finished = *end;
    }
};

void AgentRun::find_tools() {
    std::set<std::string, std::less<>> names;
    for (ToolSource *source : within_.sources) {
        for (const std::string &trouble : source->prepare(info_, within_.budget.stop()))
            missing_ += (missing_.empty() ? "" : "; ") + trouble;
        for (ChatTool &tool : source->tools(within_.agents, info_)) {
            if (names.insert(tool.name).second) tools_.push_back({.source = source, .tool = std::move(tool)});
        }
    }
}

// What the model reads first: the new messages, or the results of the calls that waited.
Result<void> AgentRun::begin() {
    ENGRAM_TRY(take_up());
    if (!request_.messages.empty() && !request_.approvals.empty()) {
        return fail(
            ErrorCode::invalid_argument,
            "approvals let an agent go on with calls that wait, and a message says that they aren't made: send one of both");
    }
    if (!request_.messages.empty()) {
        const bool has_results = std::ranges::contains(request_.messages, "tool", &ChatMessage::role);
        if (!has_results) tell_what_was_not_made();
        next_.append_range(request_.messages);
        return {};
    }
    if (open_.empty()) {
        return fail(ErrorCode::invalid_argument,
                    std::format("there is nothing for {} to do: no message, and no call that waits", info_.id));
    }
    take_decisions();
    if (all_may_be_made()) {
        make();
    } else if (!request_.approvals.empty()) {
        keep();
    }
    return {};
}

std::optional<RunEnd> AgentRun::limit() const {
    if (within_.budget.time_is_up()) return RunEnd::time;
    if (within_.budget.stop().stop_requested()) return RunEnd::cancelled;
    if (answers_ >= request_.limits.steps) return RunEnd::steps;
    if (within_.budget.tokens_are_spent()) return RunEnd::tokens;
    return std::nullopt;
}

Result<AgentRun::Answer> AgentRun::answer(std::vector<ChatMessage> messages) {
    ChatRequest chat;
    chat.agent = info_.id;
    chat.messages = std::move(messages);
    for (const Tool &one : tools_) chat.tools.push_back(one.tool);
    chat.format = request_.format;
    chat.schema = request_.schema;
    chat.sampling = request_.sampling;
    chat.max_tokens = request_.max_tokens;
    chat.thinks = request_.thinks;
    chat.priority = request_.priority;
    Answer answer;
    const auto began = Clock::now();
    ENGRAM_TRY(within_.agents.chat(
        chat,
        [&](const ChatEvent &event) {
            answer.take(event);
            if (sink_) sink_(RunAnswering{.agent = info_.id, .event = event});
        },
        within_.budget.stop()));
    const ChatStarted &started = answer.started;
    within_.budget.spend(started.prompt_tokens - started.cached_tokens + answer.finished.answer_tokens);
    result_.usage.prompt_tokens += started.prompt_tokens;
    result_.usage.cached_tokens += started.cached_tokens;
    result_.usage.answer_tokens += answer.finished.answer_tokens;
    result_.steps.push_back({.kind = RunStep::Kind::answer,
                             .agent = info_.id,
                             .name = "",
                             .input = "",
                             .output = answer.text,
                             .failed = false,
                             .ms = ms_since(began),
                             .prompt_tokens = started.prompt_tokens,
                             .cached_tokens = started.cached_tokens,
                             .answer_tokens = answer.finished.answer_tokens});
    result_.committed = answer.finished.committed;
    if (!answer.finished.warning.empty()) result_.warning = answer.finished.warning;
    ++answers_;
    return answer;
}

RunResult AgentRun::end(RunEnd how, std::vector<ChatToolCall> pending) {
    if (how == RunEnd::cancelled && within_.budget.time_is_up()) how = RunEnd::time;
    if (!missing_.empty()) result_.warning = missing_ + (result_.warning.empty() ? "" : "; ") + result_.warning;
    result_.end = how;
    result_.pending = std::move(pending);
    return std::move(result_);
}

RunResult AgentRun::end_without_answer(const Error &error) {
    result_.warning = error.message;
    if (error.code == ErrorCode::cancelled) return end(RunEnd::cancelled);
    return end(error.code == ErrorCode::too_long ? RunEnd::context : RunEnd::failed);
}

Result<RunResult> AgentRun::go() {
    find_tools();
    ENGRAM_TRY(begin());
    while (true) {
        const bool made_calls = !open_.empty() && !result_.steps.empty();
        if (made_calls && within_.budget.stop().stop_requested()) {
            if (are_kept_) keep();
            return end(RunEnd::cancelled, open_);  // their results are read by nobody
        }
        if (!undecided_.empty()) return end(RunEnd::approval, undecided_);
        auto answered = answer(std::exchange(next_, {}));
        if (!answered) {
            if (are_kept_) keep();
            const bool timed_out = answered.error().code == ErrorCode::cancelled && within_.budget.time_is_up();
            if (answers_ == 0 && result_.steps.empty() && !timed_out) return std::unexpected(std::move(answered.error()));
            return end_without_answer(answered.error());
        }
        forget();
        result_.text = std::move(answered->text);
        result_.thinking = std::move(answered->thinking);
        if (answered->calls.empty()) return end(end_of(answered->finished.reason));
        open_ = std::move(answered->calls);
        if (!result_.committed) return end(RunEnd::failed);  // nobody would know what its calls were made for
        if (const auto reached = limit()) return end(*reached, open_);
        if (all_may_be_made()) make();
    }
}

// A colleague's work without the model's word: a task, or one that has waited for approvals.
Result<RunResult> AgentRun::give() {
    const std::string &to = request_.delegate_to;
    if (!std::ranges::contains(info_.card.colleagues, to)) {
        return fail(
            ErrorCode::invalid_argument,
            std::format("{} is none of {}'s colleagues, to whom alone it may give work: its card names them", to, info_.id));
    }
    std::string task;
    for (const ChatMessage &message : request_.messages) task += (task.empty() ? "" : "\n\n") + message.content;
    if (!task.empty() && !request_.approvals.empty()) {
        return fail(ErrorCode::invalid_argument, "approvals let work go on that waits, and a task is new: send one of both");
    }
    find_tools();
    if (!task.empty()) {
        open_ = {{.id = random_name("call_"), .name = std::string(kDelegateTool), .arguments = delegation_arguments(to, task)}};
    } else {
        ENGRAM_TRY(take_up());
        const bool is_that = open_.size() == 1 && open_.front().name == kDelegateTool && delegation_of(open_.front()).to == to;
        if (!is_that) {
            return fail(ErrorCode::invalid_argument,
                        std::format("there is nothing to do for {}: no task, and none that waits for approvals", to));
        }
        take_decisions();
    }
    make();
    return given(task);
}

// What the agent remembers of it. While it waits for a person it is an open call, as if the agent's model had made it.
RunResult AgentRun::given(const std::string &task) {
    const std::string &to = request_.delegate_to;
    const Message asked{.role = "user", .content = std::format("Let {} do this: {}", to, task)};
    const ChatToolCall &call = open_.front();
    if (!undecided_.empty()) {
        const ToolCall made{.name = call.name, .arguments = call.arguments, .id = call.id};
        const std::array<Message, 2> remembered{
            asked, Message{.role = "assistant", .content = "", .tool_calls = tool_calls_json(std::span(&made, 1))}};
        if (task.empty() || remember(remembered)) return end(RunEnd::approval, undecided_);
        forget();  // nobody would know what was decided about
        return end(RunEnd::failed);
    }
    const HeldCall &came = held_.at(call.id);
    result_.text = came.made ? came.text : result_.steps.back().output;
    const bool has_failed = !came.made || came.failed;
    if (has_failed) result_.warning = result_.text;
    if (const auto reached = limit(); has_failed && reached) return end(*reached);
    if (are_kept_) keep();
    const std::array<Message, 2> remembered{
        task.empty() ? Message{.role = "tool", .content = result_.text} : asked,
        Message{.role = "assistant", .content = std::format("I asked {}. The answer:\n{}", to, result_.text)}};
    const bool is_remembered = remember(remembered);
    if (is_remembered || !task.empty()) forget();  // else the call is still open, and its result is there for whoever goes on
    return end(has_failed ? RunEnd::failed : RunEnd::answered);
}

// False, and the result says so: the agent won't know of it.
bool AgentRun::remember(std::span<const Message> messages) {
    const auto told = within_.agents.append(info_.id, messages);
    result_.committed = told && told->committed;
    if (result_.committed) return true;
    const std::string &why = told ? told->warning : told.error().message;
    result_.warning += std::format("{}{} won't remember this: {}", result_.warning.empty() ? "" : "; ", info_.id, why);
    return false;
}

}  // namespace engram
