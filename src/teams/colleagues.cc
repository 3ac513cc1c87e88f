#include "teams/colleagues.h"

#include <algorithm>
#include <format>

#include "chat/bounded_json.h"
#include "teams/held_calls.h"

namespace engram {
namespace {

constexpr std::size_t kMaxTaskBytes = 1UZ << 20U;

std::string joined(std::span<const std::string> chain, const std::string &last) {
    std::string text;
    for (const std::string &one : chain) text += one + " > ";
    return text + last;
}

// Why a run that has no answer has none, for the model that waits for it.
std::string trouble(const std::string &to, const RunResult &result) {
    switch (result.end) {
        case RunEnd::answered:
        case RunEnd::length: return result.committed ? "" : std::format("{} {} ({}).", to, kWontRemember, result.warning);
        case RunEnd::approval: return {};
        case RunEnd::context: return std::format("The context of {} is full.", to);
        case RunEnd::steps: return std::format("{} came to no answer within its limit of steps.", to);
        case RunEnd::time: return "The time is up.";
        case RunEnd::tokens: return "The budget of tokens is spent.";
        case RunEnd::cancelled: return std::format("{} was stopped.", to);
        case RunEnd::failed: return std::format("{} failed: {}", to, result.warning);
    }
    return {};
}

ToolOutcome outcome_of(const std::string &to, RunResult done) {
    const std::string why = trouble(to, done);
    ToolOutcome outcome{.text = why.empty() ? done.text : why, .failed = !why.empty(), .delegated = true, .to = to};
    if (!why.empty() && !done.text.empty()) outcome.text += " It said so far: " + done.text;
    if (done.end == RunEnd::approval) {
        outcome.text = waits_text(to);
        for (ChatToolCall &call : done.pending) {
            call.id = id_below(to, call.id);
            outcome.wait.calls.push_back(std::move(call));
        }
    }
    outcome.steps = std::move(done.steps);
    outcome.usage = done.usage;
    return outcome;
}

ToolOutcome refused(const std::string &to, std::string text) {
    return {.text = std::move(text), .failed = true, .delegated = !to.empty(), .to = to};
}

}  // namespace

std::string delegation_arguments(const std::string &to, const std::string &task) {
    return OrderedJson{{"agent", to}, {"task", task}}.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

Delegation delegation_of(const ChatToolCall &call) {
    const auto arguments = parse_bounded_json(call.arguments, kMaxTaskBytes);
    const auto text_of = [&](const char *name) {
        const bool is_text = arguments && arguments->is_object() && arguments->contains(name) && (*arguments)[name].is_string();
        return is_text ? (*arguments)[name].get<std::string>() : std::string();
    };
    return {.to = text_of("agent"), .task = text_of("task")};
}

void Colleagues::set_runner(Runner &runner) {
    set_run([&runner](const ToolContext &context, const RunRequest &request) { return runner.run_within(context, request); });
}

std::vector<std::string> Colleagues::prepare(const AgentInfo &agent, const std::stop_token &stop) {
    std::vector<std::string> troubles;
    for (const std::string &id : agent.card.colleagues) {
        if (remotes_ == nullptr || !remotes_->has(agent.tenant, id)) continue;
        if (const auto known = remotes_->learn(agent.tenant, id, stop); !known)
            troubles.push_back(
                std::format("what {} does isn't known, since it could not be asked: {}", id, known.error().message));
    }
    return troubles;
}

std::vector<ChatTool> Colleagues::tools(const AgentManager &agents, const AgentInfo &agent) {
    if (agent.card.colleagues.empty()) return {};
    OrderedJson ids = OrderedJson::array();
    std::string description = "Gives a task to a colleague and returns its answer. Say all that it needs to know. Colleagues:";
    for (const std::string &id : agent.card.colleagues) {
        ids.push_back(id);
        const auto info = agents.get(id);
        const std::string does = info                  ? info->description
                                 : remotes_ != nullptr ? remotes_->description(agent.tenant, id)
                                                       : std::string();
        description += std::format("\n- {}{}", id, does.empty() ? "" : ": " + does);
    }
    const OrderedJson schema{
        {"type", "object"},
        {"properties",
         {{"agent", {{"type", "string"}, {"enum", ids}}}, {"task", {{"type", "string"}, {"description", "What it has to do"}}}}},
        {"required", {"agent", "task"}}};
    return {{.name = std::string(kDelegateTool), .description = description, .parameters = schema.dump()}};
}

bool Colleagues::needs_approval(const AgentInfo &agent, std::string_view tool) const {
    return std::ranges::contains(agent.card.approvals, tool);
}

ToolOutcome Colleagues::call(const ToolContext &context, const ChatToolCall &call) {
    if (call.arguments.size() > kMaxTaskBytes)
        return refused({}, std::format("A task has at most {} bytes: give it in parts.", kMaxTaskBytes));
    const Delegation work = delegation_of(call);
    if (work.to.empty() || work.task.empty()) return refused({}, R"(delegate_to needs two texts: "agent" and "task".)");
    if (!std::ranges::contains(context.agent.card.colleagues, work.to)) {
        std::string names;
        for (const std::string &id : context.agent.card.colleagues) names += (names.empty() ? "" : ", ") + id;
        return refused({}, std::format("There is no colleague {}. There are: {}.", work.to, names));
    }
    return delegate(context, work);
}

ToolOutcome Colleagues::delegate(const ToolContext &context, const Delegation &work) {
    const std::string &to = work.to;
    if (to == context.agent.id || std::ranges::contains(context.chain, to)) {
        return refused(to, std::format("{} waits for this answer already ({}): do it yourself, or ask somebody else.", to,
                                       joined(context.chain, context.agent.id)));
    }
    if (context.chain.size() + 1 >= context.limits.depth) {
        return refused(to, std::format("Work may be handed on {} times, and it was ({}): do it yourself.",
                                       context.limits.depth - 1, joined(context.chain, context.agent.id)));
    }
    if (is_remote(context.agents, context.agent, to)) return ask_remote(context, work);
    RunRequest request{.agent = to, .messages = {}};
    if (context.wait == nullptr) {
        request.messages = {{.role = "user", .content = work.task}};
    } else {
        for (const auto &[id, allowed] : context.wait->approvals) {
            if (const auto own = id_within(to, id)) request.approvals.emplace(*own, allowed);
        }
    }
    request.limits = context.limits;
    request.max_tokens = context.limits.result_tokens;  // nobody reads more
    auto done = run_within_(context, request);
    if (!done) return refused(to, std::format("{} could not be asked: {}", to, done.error().message));
    return outcome_of(to, std::move(*done));
}

bool Colleagues::is_remote(const AgentManager &agents, const AgentInfo &from, const std::string &to) const {
    return remotes_ != nullptr && remotes_->has(from.tenant, to) && !agents.get(to);
}

ToolOutcome Colleagues::ask_remote(const ToolContext &context, const Delegation &work) {
    std::vector<std::string> chain;
    const auto add = [&](const std::string &id) {
        const auto info = context.agents.get(id);
        const bool is_context = info && std::ranges::contains(info->card.labels, kContextLabel);
        chain.push_back(is_context && !info->forked_from.empty() ? info->forked_from : id);
    };
    for (const std::string &id : context.chain) add(id);
    add(context.agent.id);
    return remotes_->ask(context, work.to, work.task, chain);
}

}  // namespace engram
