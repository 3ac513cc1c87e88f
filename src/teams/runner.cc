#include <algorithm>
#include <array>
#include <chrono>
#include <format>
#include <optional>
#include <set>
#include <utility>

#include "chat/tool_call.h"
#include "engram/teams.h"
#include "teams/colleagues.h"
#include "teams/run_budget.h"
#include "teams/run_gates.h"
#include "teams/tool_calls.h"

namespace engram {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point began) { return std::chrono::duration<double, std::milli>(Clock::now() - began).count(); }

// One answer of the model, put together from its events.
struct Answer {
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

// The calls of the agent's last answer, when nobody has told it their results.
Result<std::vector<ChatToolCall>> waiting_calls(const AgentManager &agents, const std::string &agent) {
    ENGRAM_ASSIGN(const std::vector<Message> transcript, agents.transcript(agent));
    std::vector<ChatToolCall> waiting;
    if (transcript.empty() || transcript.back().tool_calls.empty()) return waiting;
    ENGRAM_ASSIGN(const std::vector<ToolCall> calls, parse_tool_calls(transcript.back().tool_calls));
    for (const ToolCall &call : calls) waiting.push_back({.id = call.id, .name = call.name, .arguments = call.arguments});
    return waiting;
}

ChatMessage result_message(const ChatToolCall &call, std::string text) {
    ChatMessage message{.role = "tool", .content = std::move(text)};
    message.tool_call_id = call.id;
    return message;
}

// A run under way: the surroundings of its calls, and what came of it so far.
class Run {
  public:
    struct Within {
        AgentManager &agents;
        std::span<ToolSource *const> sources;
        RunBudget &budget;
        std::vector<std::string> chain;
    };
    Run(Within within, const RunRequest &request, const RunSink &sink, AgentInfo info)
        : within_(std::move(within)), request_(request), sink_(sink), info_(std::move(info)) {}

    Result<RunResult> go();
    Result<RunResult> give();  // with delegate_to

  private:
    struct Tool {
        ToolSource *source = nullptr;
        ChatTool tool;
    };
    void find_tools();
    Result<void> begin();
    bool may_be_made(const ChatToolCall &call) const;
    void make(const std::vector<ChatToolCall> &calls);
    std::optional<RunEnd> limit() const;
    Result<Answer> answer(std::vector<ChatMessage> messages);
    RunResult end(RunEnd how, std::vector<ChatToolCall> pending = {});
    RunResult end_without_answer(const Error &error);
    ToolOutcome call(const ChatToolCall &call, const RunSink &sink);

    Within within_;
    const RunRequest &request_;
    const RunSink &sink_;
    const AgentInfo info_;
    std::vector<Tool> tools_;
    std::string missing_;                  // which tools there should be beside these, and why they aren't there
    std::vector<ChatToolCall> undecided_;  // of the answer before this run
    std::vector<ChatMessage> next_;        // for the model to read
    RunResult result_;
    std::uint32_t answers_ = 0;
};

void Run::find_tools() {
    std::set<std::string, std::less<>> names;
    for (ToolSource *source : within_.sources) {
        for (const std::string &trouble : source->prepare(info_, within_.budget.stop()))
            missing_ += (missing_.empty() ? "" : "; ") + trouble;
        for (ChatTool &tool : source->tools(within_.agents, info_)) {
            if (names.insert(tool.name).second) tools_.push_back({.source = source, .tool = std::move(tool)});
        }
    }
}

bool Run::may_be_made(const ChatToolCall &call) const {
    const auto decided = request_.approvals.find(call.id);
    if (decided != request_.approvals.end()) return true;  // one way or the other
    const auto tool = std::ranges::find(tools_, call.name, [](const Tool &one) { return one.tool.name; });
    return tool == tools_.end() || !tool->source->needs_approval(info_, call.name);
}

// What the model reads first: the new messages, or the results of the calls that waited.
Result<void> Run::begin() {
    ENGRAM_ASSIGN(const std::vector<ChatToolCall> waiting, waiting_calls(within_.agents, info_.id));
    for (const auto &[id, allowed] : request_.approvals) {
        if (std::ranges::contains(waiting, id, &ChatToolCall::id)) continue;
        return fail(ErrorCode::invalid_argument, std::format("no call {} waits for approval", id));
    }
    if (!request_.messages.empty() && !request_.approvals.empty()) {
        return fail(
            ErrorCode::invalid_argument,
            "approvals let an agent go on with calls that wait, and a message says that they aren't made: send one of both");
    }
    if (!request_.messages.empty()) {
        const bool has_results = std::ranges::contains(request_.messages, "tool", &ChatMessage::role);
        for (const ChatToolCall &call : waiting) {
            if (!has_results) next_.push_back(result_message(call, "This call was not made."));
        }
        next_.append_range(request_.messages);
        return {};
    }
    if (waiting.empty()) {
        return fail(ErrorCode::invalid_argument,
                    std::format("there is nothing for {} to do: no message, and no call that waits", info_.id));
    }
    for (const ChatToolCall &call : waiting) {
        if (!may_be_made(call)) undecided_.push_back(call);
    }
    if (undecided_.empty()) make(waiting);
    return {};
}

ToolOutcome Run::call(const ChatToolCall &call, const RunSink &sink) {
    const auto decided = request_.approvals.find(call.id);
    if (decided != request_.approvals.end() && !decided->second)
        return {.text = "A person did not allow this call.", .failed = true};
    const auto tool = std::ranges::find(tools_, call.name, [](const Tool &one) { return one.tool.name; });
    if (tool == tools_.end()) {
        std::string names;
        for (const Tool &one : tools_) names += (names.empty() ? "" : ", ") + one.tool.name;
        return {
            .text = std::format("There is no tool {}. {}", call.name, names.empty() ? "There are none." : "There are: " + names),
            .failed = true};
    }
    const ToolContext context{.agents = within_.agents,
                              .agent = info_,
                              .chain = within_.chain,
                              .budget = within_.budget,
                              .limits = request_.limits,
                              .sink = sink,
                              .stop = within_.budget.stop()};
    return tool->source->call(context, call);
}

void Run::make(const std::vector<ChatToolCall> &calls) {
    std::vector<PlannedCall> planned;
    for (const ChatToolCall &one : calls) {
        planned.push_back({.call = one, .make = [this, &one](const RunSink &sink) {
                               ToolOutcome outcome = call(one, sink);
                               outcome.text = shortened(within_.agents, std::move(outcome.text), request_.limits.result_tokens);
                               return outcome;
                           }});
    }
    std::vector<MadeCall> made = make_calls(planned, info_.id, sink_);
    for (std::size_t i = 0; i < calls.size(); ++i) {
        ToolOutcome &outcome = made[i].outcome;
        next_.push_back(result_message(calls[i], outcome.text));
        result_.usage.prompt_tokens += outcome.usage.prompt_tokens;
        result_.usage.cached_tokens += outcome.usage.cached_tokens;
        result_.usage.answer_tokens += outcome.usage.answer_tokens;
        result_.steps.push_back({.kind = outcome.delegated ? RunStep::Kind::delegation : RunStep::Kind::tool,
                                 .agent = info_.id,
                                 .name = outcome.delegated ? outcome.to : calls[i].name,
                                 .input = calls[i].arguments,
                                 .output = std::move(outcome.text),
                                 .failed = outcome.failed,
                                 .ms = made[i].ms,
                                 .steps = std::move(outcome.steps)});
    }
}

std::optional<RunEnd> Run::limit() const {
    if (within_.budget.time_is_up()) return RunEnd::time;
    if (within_.budget.stop().stop_requested()) return RunEnd::cancelled;
    if (answers_ >= request_.limits.steps) return RunEnd::steps;
    if (within_.budget.tokens_are_spent()) return RunEnd::tokens;
    return std::nullopt;
}

Result<Answer> Run::answer(std::vector<ChatMessage> messages) {
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
    if (!answer.finished.warning.empty()) result_.warning = answer.finished.warning;
    ++answers_;
    return answer;
}

RunResult Run::end(RunEnd how, std::vector<ChatToolCall> pending) {
    if (how == RunEnd::cancelled && within_.budget.time_is_up()) how = RunEnd::time;
    if (!missing_.empty()) result_.warning = missing_ + (result_.warning.empty() ? "" : "; ") + result_.warning;
    result_.end = how;
    result_.pending = std::move(pending);
    return std::move(result_);
}

RunResult Run::end_without_answer(const Error &error) {
    result_.warning = error.message;
    if (error.code == ErrorCode::cancelled) return end(RunEnd::cancelled);
    return end(error.code == ErrorCode::too_long ? RunEnd::context : RunEnd::failed);
}

Result<RunResult> Run::go() {
    find_tools();
    ENGRAM_TRY(begin());
    if (!undecided_.empty()) return end(RunEnd::approval, undecided_);
    while (true) {
        auto answered = answer(std::exchange(next_, {}));
        if (!answered) {
            const bool timed_out = answered.error().code == ErrorCode::cancelled && within_.budget.time_is_up();
            if (answers_ == 0 && result_.steps.empty() && !timed_out) return std::unexpected(std::move(answered.error()));
            return end_without_answer(answered.error());
        }
        result_.text = std::move(answered->text);
        result_.thinking = std::move(answered->thinking);
        if (answered->calls.empty()) return end(end_of(answered->finished.reason));
        if (const auto reached = limit()) return end(*reached, std::move(answered->calls));
        std::vector<ChatToolCall> undecided;
        for (const ChatToolCall &call : answered->calls) {
            if (!may_be_made(call)) undecided.push_back(call);
        }
        if (!undecided.empty()) return end(RunEnd::approval, std::move(undecided));
        make(answered->calls);
        if (within_.budget.stop().stop_requested()) {
            return end(RunEnd::cancelled, std::move(answered->calls));  // their results are read by nobody
        }
    }
}

Result<RunResult> Run::give() {
    const std::string &to = request_.delegate_to;
    if (!std::ranges::contains(info_.card.colleagues, to)) {
        return fail(
            ErrorCode::invalid_argument,
            std::format("{} is none of {}'s colleagues, to whom alone it may give work: its card names them", to, info_.id));
    }
    std::string task;
    for (const ChatMessage &message : request_.messages) task += (task.empty() ? "" : "\n\n") + message.content;
    if (task.empty()) return fail(ErrorCode::invalid_argument, std::format("there is nothing to do for {}: no task", to));
    find_tools();
    make({{.id = "call_1", .name = std::string(kDelegateTool), .arguments = delegation_arguments(to, task)}});
    const RunStep &given = result_.steps.back();
    result_.text = given.output;
    if (given.failed) result_.warning = given.output;
    const RunEnd how = given.failed ? RunEnd::failed : RunEnd::answered;
    if (const auto reached = limit(); given.failed && reached) return end(*reached);
    const std::array<Message, 2> remembered{
        Message{.role = "user", .content = std::format("Let {} do this: {}", to, task)},
        Message{.role = "assistant", .content = std::format("I asked {}. The answer:\n{}", to, given.output)}};
    ENGRAM_TRY(within_.agents.append(info_.id, remembered));
    return end(how);
}

constexpr std::array<std::string_view, 9> kEnds{"answered", "approval", "length",    "context", "steps",
                                                "time",     "tokens",   "cancelled", "failed"};
constexpr std::array<std::string_view, 3> kStepKinds{"answer", "tool", "delegation"};

}  // namespace

std::string_view run_end_name(RunEnd end) { return kEnds[static_cast<std::size_t>(end)]; }
std::string_view step_kind_name(RunStep::Kind kind) { return kStepKinds[static_cast<std::size_t>(kind)]; }

Runner::Runner(std::vector<ToolSource *> sources) : sources_(std::move(sources)), gates_(std::make_unique<RunGates>()) {}
Runner::~Runner() = default;

Result<RunResult> Runner::run(AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
    ENGRAM_ASSIGN(AgentInfo info, agents.get(request.agent));
    RunBudget budget(request.limits.time, request.limits.tokens, std::move(stop));
    ENGRAM_ASSIGN(const RunGates::Hold hold, gates_->take({info.tenant, info.id}, {}, budget.stop()));
    Run run({.agents = agents, .sources = sources_, .budget = budget, .chain = request.chain}, request, sink, std::move(info));
    return request.delegate_to.empty() ? run.go() : run.give();
}

Result<RunResult> Runner::run_within(const ToolContext &above, const RunRequest &request) {
    ENGRAM_ASSIGN(AgentInfo info, above.agents.get(request.agent));
    const RunGates::Agent asker(above.agent.tenant, above.agent.id);
    ENGRAM_ASSIGN(const RunGates::Hold hold, gates_->take({info.tenant, info.id}, asker, above.stop));
    std::vector<std::string> chain(above.chain.begin(), above.chain.end());
    chain.push_back(above.agent.id);
    Run run({.agents = above.agents, .sources = sources_, .budget = above.budget, .chain = std::move(chain)}, request, above.sink,
            std::move(info));
    return run.go();
}

}  // namespace engram
