#include "workflow/step.h"

#include <algorithm>
#include <format>

#include "workflow/approval.h"
#include "workflow/router.h"

namespace engram::workflow {
namespace {

constexpr int kMostAgain = 10;  // times that an attempt is made again because its agent was talked to

// Why a run's end is no result of a node; empty: it is one.
std::string what_is_missing(const RunResult &result) {
    switch (result.end) {
        case RunEnd::answered:
        case RunEnd::approval:
        case RunEnd::length: return {};
        case RunEnd::context: return "the agent's context is full";
        case RunEnd::steps: return "the agent took more steps than it may";
        case RunEnd::time: return "the agent took longer than it may";
        case RunEnd::tokens: return "the agent took more tokens than it may";
        case RunEnd::cancelled: return "it was broken off";
        case RunEnd::failed: return result.warning.empty() ? "the agent couldn't go on" : result.warning;
    }
    return {};
}

}  // namespace

std::string StepRunner::fork_of(const StepRow &step) const {
    const std::string name = std::format("{}{}.{}", kForkPrefix, journal_.key().id, step.node);
    return step.item == kWholeNode ? name : std::format("{}.{}", name, step.item);
}

void StepRunner::drop_fork(const StepRow &step) { static_cast<void>(agents_.remove(fork_of(step))); }

Result<StepRow> StepRunner::attempt(const Node &node, StepRow step, const std::string &task, const std::stop_token &stop) {
    if (step.agent.empty()) {
        ENGRAM_ASSIGN(step.agent, choose_agent(agents_, *node.route, task, stop));
        ENGRAM_TRY(journal_.put(step));  // whoever resumes doesn't choose again
    }
    for (int again = 0;; ++again) {
        auto done = attempt_once(node, step, task, stop);
        const bool decided = step.state == StepState::waiting;
        const bool overtaken = !done && (done.error().code == ErrorCode::already_exists ||
                                         (decided && done.error().code == ErrorCode::invalid_argument));
        if (!overtaken || again == kMostAgain) return done;
        step.state = StepState::running;
        step.text.clear();
        ++step.attempts;
        ENGRAM_TRY(journal_.put(step, EventKind::started));
    }
}

Result<StepRow> StepRunner::attempt_once(const Node &node, StepRow step, const std::string &task, const std::stop_token &stop) {
    RunRequest request{.agent = fork_of(step)};
    if (step.state == StepState::waiting && agents_.get(request.agent)) {
        request.approvals = approvals_of(step);
    } else {
        drop_fork(step);
        ENGRAM_TRY(agents_.fork(step.agent, request.agent));
        request.messages = {{.role = "user", .content = task}};
    }
    auto result = answer(node, step, std::move(request), stop);
    if (!result) {
        drop_fork(step);
        return std::unexpected(std::move(result.error()));
    }
    step.error.clear();
    if (result->end == RunEnd::approval) {
        step.text = waiting_text(result->pending);
        step.state = StepState::waiting;
        ENGRAM_TRY(journal_.put(step, EventKind::waiting));
        return step;
    }
    step.text = std::move(result->text);
    step.state = StepState::answered;
    if (node.memory == MemoryUse::keep) ENGRAM_TRY(journal_.put(step));
    return settle(node, std::move(step));
}

Result<RunResult> StepRunner::answer(const Node &node, const StepRow &step, RunRequest request, const std::stop_token &stop) {
    if (node.json) request.format = node.schema.empty() ? AnswerFormat::json_object : AnswerFormat::json_schema;
    request.schema = node.schema;
    request.sampling = node.sampling;
    request.max_tokens = node.max_tokens;
    if (node.timeout.count() > 0) request.limits.time = node.timeout;
    const auto take = [&](const RunEvent &event) {
        const auto *answering = std::get_if<RunAnswering>(&event);
        if (answering == nullptr || answering->agent != request.agent) return;
        if (const auto *text = std::get_if<ChatText>(&answering->event)) journal_.text(step, text->text);
    };
    ENGRAM_ASSIGN(RunResult result, run_agent_(agents_, request, take, stop));
    if (const std::string missing = what_is_missing(result); !missing.empty()) return fail(ErrorCode::engine, missing);
    if (result.end == RunEnd::approval) return result;
    if (node.memory == MemoryUse::keep && !result.committed) return fail(ErrorCode::engine, result.warning);
    if (result.text.size() > kMaxTextBytes) {
        return fail(ErrorCode::too_long, std::format("the answer is longer than {} bytes", kMaxTextBytes));
    }
    if (node.json && !parse_bounded_json(result.text, kMaxTextBytes)) {
        return fail(ErrorCode::engine,
                    result.end == RunEnd::length
                        ? std::format("the answer isn't whole: it has reached max_tokens ({})", node.max_tokens)
                        : std::string("the answer is no JSON"));
    }
    // Whoever asks the agent next finds its KV as it was computed, whatever becomes of this process. Where it can't be written
    // the turn is good all the same.
    if (node.memory == MemoryUse::keep) static_cast<void>(agents_.save(request.agent));
    return result;
}

Result<StepRow> StepRunner::settle(const Node &node, StepRow step) {
    const bool keeps = node.memory == MemoryUse::keep;
    const auto fork = agents_.get(fork_of(step));
    if (!fork && fork.error().code != ErrorCode::not_found) return std::unexpected(fork.error());
    if (keeps && fork) {
        if (auto gone_on = agents_.fast_forward(step.agent, fork_of(step)); !gone_on) {
            step.state = StepState::running;
            step.text.clear();
            step.error = gone_on.error().message;
            ENGRAM_TRY(journal_.put(
                step, EventKind::attempt_failed));  // before the fork goes: its absence means that the agent has gone on from it
            drop_fork(step);
            return std::unexpected(std::move(gone_on.error()));
        }
    }
    step.state = StepState::finished;
    step.error.clear();
    step.ended_ms = journal_.now_ms();
    ENGRAM_TRY(journal_.put(step, EventKind::finished));
    if (!keeps) drop_fork(step);
    return step;
}

Result<void> StepRunner::remove_forks(const std::vector<StepRow> &steps) {
    const std::string prefix = std::format("{}{}.", kForkPrefix, journal_.key().id);
    ENGRAM_ASSIGN(const std::vector<AgentInfo> all, agents_.list());
    for (const AgentInfo &info : all) {
        if (!info.id.starts_with(prefix)) continue;
        const auto needs_it = [&](const StepRow &step) {
            return (step.state == StepState::answered || step.state == StepState::waiting) && fork_of(step) == info.id;
        };
        if (!std::ranges::any_of(steps, needs_it)) ENGRAM_TRY(agents_.remove(info.id));
    }
    return {};
}

}  // namespace engram::workflow
