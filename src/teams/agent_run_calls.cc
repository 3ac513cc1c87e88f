// AgentRun: the calls of the agent's last answer, until the model has read their results.
#include <algorithm>
#include <format>
#include <set>
#include <string_view>
#include <utility>

#include "chat/tool_call.h"
#include "teams/agent_run.h"
#include "teams/colleagues.h"

namespace engram {
namespace {

// The calls of the agent's last answer, when nobody has told it their results.
Result<std::vector<ChatToolCall>> open_calls(const AgentManager &agents, const std::string &agent) {
    ENGRAM_ASSIGN(const std::vector<Message> transcript, agents.transcript(agent));
    std::vector<ChatToolCall> open;
    if (transcript.empty() || transcript.back().tool_calls.empty()) return open;
    ENGRAM_ASSIGN(const std::vector<ToolCall> calls, parse_tool_calls(transcript.back().tool_calls));
    for (const ToolCall &call : calls) open.push_back({.id = call.id, .name = call.name, .arguments = call.arguments});
    return open;
}

ChatMessage result_message(const ChatToolCall &call, std::string text) {
    ChatMessage message{.role = "tool", .content = std::move(text)};
    message.tool_call_id = call.id;
    return message;
}

}  // namespace

// The calls of the answer before this run, and what is known of them.
Result<void> AgentRun::take_up() {
    ENGRAM_ASSIGN(open_, open_calls(within_.agents, info_.id));
    ENGRAM_ASSIGN(held_, within_.held.find(info_.tenant, open_));
    are_kept_ = !held_.empty();
    return check_approvals();
}

// Each must be of a call that is open, or that an open one waits for; and what an agent above waits for must still be there.
Result<void> AgentRun::check_approvals() const {
    std::set<std::string, std::less<>> known;
    for (const ChatToolCall &call : open_) known.insert(call.id);
    for (const auto &[id, call] : held_) {
        for (const ChatToolCall &below : call.wait.calls) known.insert(below.id);
    }
    for (const std::string &id : within_.expected) {
        if (known.contains(id)) continue;
        return fail(
            ErrorCode::not_found,
            std::format("its calls that waited for a person wait no more, since somebody has spoken to {} meanwhile", info_.id));
    }
    for (const auto &[id, allowed] : request_.approvals) {
        if (!known.contains(id)) return fail(ErrorCode::invalid_argument, std::format("no call {} waits for approval", id));
    }
    return {};
}

const AgentRun::Tool *AgentRun::tool_of(const ChatToolCall &call) const {
    const auto tool = std::ranges::find(tools_, call.name, [](const Tool &one) { return one.tool.name; });
    return tool == tools_.end() ? nullptr : &*tool;
}

bool AgentRun::may_be_made(const ChatToolCall &call) const {
    const auto known = held_.find(call.id);
    const bool is_decided = known != held_.end() && (known->second.allowed || known->second.made || known->second.waits());
    if (is_decided) return true;  // one way or the other
    const Tool *tool = tool_of(call);
    return tool == nullptr || !tool->source->needs_approval(info_, call.name);
}

// Otherwise a person must decide first.
bool AgentRun::all_may_be_made() {
    undecided_.clear();
    for (const ChatToolCall &call : open_) {
        if (!may_be_made(call)) undecided_.push_back(call);
    }
    return undecided_.empty();
}

void AgentRun::take_decisions() {
    for (const ChatToolCall &call : open_) {
        const auto decided = request_.approvals.find(call.id);
        if (decided != request_.approvals.end()) held_[call.id].allowed = decided->second;
    }
}

ToolOutcome AgentRun::call(const ChatToolCall &call, const RunSink &sink) {
    const HeldCall &known = held_.at(call.id);
    if (!known.allowed.value_or(true)) return {.text = "A person did not allow this call.", .failed = true};
    const Tool *tool = tool_of(call);
    if (tool == nullptr) {
        std::string names;
        for (const Tool &one : tools_) names += (names.empty() ? "" : ", ") + one.tool.name;
        return {
            .text = std::format("There is no tool {}. {}", call.name, names.empty() ? "There are none." : "There are: " + names),
            .failed = true};
    }
    ToolWait wait = known.wait;
    for (const ChatToolCall &below : wait.calls) {
        const auto decided = request_.approvals.find(below.id);
        if (decided != request_.approvals.end()) wait.approvals.insert(*decided);
    }
    const ToolContext context{.agents = within_.agents,
                              .agent = info_,
                              .chain = within_.chain,
                              .budget = within_.budget,
                              .limits = request_.limits,
                              .sink = sink,
                              .stop = within_.budget.stop(),
                              .wait = wait.calls.empty() ? nullptr : &wait};
    return tool->source->call(context, call);
}

// The open calls that can be made now, side by side. Those whose results are there aren't made again, nor is any twice; and a
// colleague gets one task at a time, since a second one would take it from the first where that has to wait.
std::vector<PlannedCall> AgentRun::callable(std::set<std::string, std::less<>> &tried) {
    std::vector<PlannedCall> planned;
    std::set<std::string, std::less<>> at_work;
    for (const ChatToolCall &one : open_) {
        if (held_[one.id].made) continue;
        const std::string to = one.name == kDelegateTool ? delegation_of(one).to : std::string();
        if (!to.empty() && !at_work.insert(to).second) continue;
        if (!tried.insert(one.id).second) continue;
        planned.push_back({.call = one, .make = [this, &one](const RunSink &sink) {
                               ToolOutcome outcome = call(one, sink);
                               outcome.text = shortened(within_.agents, std::move(outcome.text), request_.limits.result_tokens);
                               return outcome;
                           }});
    }
    return planned;
}

// The open calls, but for those whose results are there already. Either all results are to be read next, or a person must decide.
void AgentRun::make() {
    std::set<std::string, std::less<>> tried;
    for (auto planned = callable(tried); !planned.empty(); planned = callable(tried)) {
        std::vector<MadeCall> made = make_calls(planned, info_.id, sink_);
        for (std::size_t i = 0; i < planned.size(); ++i) take(planned[i].call, std::move(made[i].outcome), made[i].ms);
    }
    undecided_.clear();
    for (const ChatToolCall &one : open_) {
        if (held_[one.id].waits()) undecided_.append_range(held_[one.id].wait.calls);
    }
    if (!undecided_.empty()) return keep();
    for (const ChatToolCall &one : open_) next_.push_back(result_message(one, held_[one.id].text));
}

void AgentRun::take(const ChatToolCall &call, ToolOutcome outcome, double ms) {
    HeldCall &known = held_[call.id];
    const bool waits = !outcome.wait.calls.empty();
    const bool was_stopped = outcome.failed && within_.budget.stop().stop_requested();
    if (waits) {
        known.wait = std::move(outcome.wait);
    } else if (!was_stopped) {  // else it is as it was, and is made by whoever goes on
        known.made = true;
        known.failed = outcome.failed;
        known.text = outcome.text;
        known.wait = {};
    }
    result_.usage.prompt_tokens += outcome.usage.prompt_tokens;
    result_.usage.cached_tokens += outcome.usage.cached_tokens;
    result_.usage.answer_tokens += outcome.usage.answer_tokens;
    result_.steps.push_back({.kind = outcome.delegated ? RunStep::Kind::delegation : RunStep::Kind::tool,
                             .agent = info_.id,
                             .name = outcome.delegated ? outcome.to : call.name,
                             .input = call.arguments,
                             .output = std::move(outcome.text),
                             .failed = outcome.failed,
                             .ms = ms,
                             .steps = std::move(outcome.steps)});
}

void AgentRun::tell_what_was_not_made() {
    for (const ChatToolCall &call : open_) {
        const HeldCall &known = held_[call.id];
        std::string text = "This call was not made.";
        if (known.made) text = known.text;
        if (known.waits()) text = "There is no result: a person was asked to allow what it needs, and has not decided.";
        next_.push_back(result_message(call, std::move(text)));
    }
}

// For whoever goes on with these calls.
void AgentRun::keep() {
    HeldCalls::ById worth = held_;
    std::erase_if(worth, [](const auto &one) { return !one.second.made && !one.second.allowed && !one.second.waits(); });
    if (worth.empty()) return;
    if (const auto kept = within_.held.keep(info_.tenant, worth); !kept) {
        result_.warning =
            std::format("what was decided about calls, and came of them, could not be kept: {}", kept.error().message);
        return;
    }
    are_kept_ = true;
}

void AgentRun::forget() {
    if (std::exchange(are_kept_, false)) within_.held.forget(info_.tenant, open_);
    open_.clear();
    held_.clear();
    undecided_.clear();
}

}  // namespace engram
