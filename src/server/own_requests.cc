#include "server/own_requests.h"

#include <chrono>
#include <utility>

#include "chat/agent_card.h"
#include "protocol/openai/request_fields.h"

namespace engram::server {

using namespace protocol;

namespace {

constexpr std::int64_t kMostAnswer = 1 << 24;  // tokens
constexpr std::int64_t kMostPriority = 1000;   // either way
constexpr std::size_t kMostTurns = 256;        // of a batch
constexpr std::int64_t kMostSteps = 1000;
constexpr std::int64_t kMostSeconds = 24LL * 60 * 60;
constexpr std::int64_t kMostTokens = 1LL << 40;

std::string tools_text(const Field &tools) { return tools.present() ? tools.compact() : std::string(); }

ApiResult<Retention> read_retention(const Field &field) {
    ENGRAM_ASSIGN(const std::string name, field.text());
    const auto retention = retention_from_name(name);
    if (!retention) return field.wrong("must be \"5m\", \"1h\", \"24h\", \"forever\" or \"standard\"");
    return *retention;
}

ApiResult<AgentCard> read_card(const Field &field) {
    auto card = card_of(field.json());
    if (!card) return std::unexpected(api_error(card.error()));
    return std::move(*card);
}

ApiResult<std::int32_t> read_priority(const Field &field) {
    ENGRAM_ASSIGN(const std::int64_t priority, field.whole_number_or(0, -kMostPriority, kMostPriority));
    return static_cast<std::int32_t>(priority);
}

ApiResult<RunLimits> read_limits(const Field &limits) {
    RunLimits read;
    if (!limits.present()) return read;
    ENGRAM_TRY(limits.must_be_object());
    ENGRAM_ASSIGN(const std::int64_t steps, limits["steps"].whole_number_or(read.steps, 1, kMostSteps));
    ENGRAM_ASSIGN(
        const std::int64_t seconds,
        limits["seconds"].whole_number_or(std::chrono::duration_cast<std::chrono::seconds>(read.time).count(), 1, kMostSeconds));
    ENGRAM_ASSIGN(const std::int64_t tokens, limits["tokens"].whole_number_or(0, 0, kMostTokens));
    ENGRAM_ASSIGN(const std::int64_t result_tokens, limits["result_tokens"].whole_number_or(read.result_tokens, 16, 1'000'000));
    ENGRAM_ASSIGN(const std::int64_t depth, limits["depth"].whole_number_or(read.depth, 1, 64));
    return RunLimits{.steps = static_cast<std::uint32_t>(steps),
                     .time = std::chrono::seconds(seconds),
                     .tokens = static_cast<std::uint64_t>(tokens),
                     .result_tokens = static_cast<std::uint32_t>(result_tokens),
                     .depth = static_cast<std::uint32_t>(depth)};
}

ApiResult<std::map<std::string, bool>> read_approvals(const Field &approvals) {
    std::map<std::string, bool> decided;
    if (!approvals.present()) return decided;
    ENGRAM_TRY(approvals.must_be_object());
    for (const auto &[id, decision] : approvals.json().items()) {
        ENGRAM_ASSIGN(const std::string word, approvals[id].text());
        if (word != "allow" && word != "deny") return approvals[id].wrong("must be \"allow\" or \"deny\"");
        decided.emplace(id, word == "allow");
    }
    return decided;
}

}  // namespace

ApiResult<AgentSpec> read_agent_spec(const Field &body) {
    AgentSpec spec;
    ENGRAM_ASSIGN(spec.id, body["id"].text_that_is_not_empty());
    ENGRAM_ASSIGN(spec.system_prompt, body["system_prompt"].text_or(""));
    ENGRAM_ASSIGN(spec.description, body["description"].text_or(""));
    spec.tools = tools_text(body["tools"]);
    if (body["retention"].present()) {
        ENGRAM_ASSIGN(spec.retention, read_retention(body["retention"]));
    }
    if (body["card"].present()) {
        ENGRAM_ASSIGN(spec.card, read_card(body["card"]));
    }
    return spec;
}

ApiResult<AgentPatch> read_agent_patch(const Field &body) {
    AgentPatch patch;
    if (body["pinned"].present()) {
        ENGRAM_ASSIGN(patch.pinned, body["pinned"].boolean());
    }
    if (body["system_prompt"].present()) {
        ENGRAM_ASSIGN(patch.change.system_prompt, body["system_prompt"].text());
    }
    if (body["description"].present()) {
        ENGRAM_ASSIGN(patch.change.description, body["description"].text());
    }
    if (body["tools"].present()) patch.change.tools = tools_text(body["tools"]);
    if (body["card"].present()) {
        ENGRAM_ASSIGN(patch.change.card, read_card(body["card"]));
    }
    ENGRAM_ASSIGN(patch.adopt, body["adopt"].boolean_or(false));
    if (body["retention"].present()) {
        ENGRAM_ASSIGN(patch.retention, read_retention(body["retention"]));
    }
    if (body["id"].present()) {
        ENGRAM_ASSIGN(patch.id, body["id"].text_that_is_not_empty());
    }
    return patch;
}

ApiResult<std::string> read_fork(const Field &body) { return body["id"].text_that_is_not_empty(); }

ApiResult<AgentManager::EvictTo> read_evict(const Field &body) {
    ENGRAM_ASSIGN(const std::string to, body["to"].text_or("disk"));
    if (to != "disk" && to != "memory") return body["to"].wrong("must be \"disk\" or \"memory\"");
    return to == "disk" ? AgentManager::EvictTo::disk : AgentManager::EvictTo::memory;
}

ApiResult<OwnTurn> read_turn(const Field &body, const Sampling &defaults) {
    OwnTurn turn;
    ENGRAM_ASSIGN(turn.request.prompt, body["prompt"].text());
    ENGRAM_ASSIGN(turn.request.role, body["role"].text_or("user"));
    ENGRAM_ASSIGN(const std::int64_t most, body["max_tokens"].whole_number_or(512, 0, kMostAnswer));
    turn.request.max_tokens = static_cast<std::uint32_t>(most);
    ENGRAM_ASSIGN(turn.request.sampling, openai::sampling_of(body, defaults));
    ENGRAM_ASSIGN(turn.request.sampling.grammar, body["grammar"].text_or(""));
    ENGRAM_ASSIGN(turn.request.priority, read_priority(body["priority"]));
    ENGRAM_ASSIGN(turn.stream, body["stream"].boolean_or(false));
    return turn;
}

ApiResult<std::vector<AgentManager::BatchItem>> read_batch(const Field &body, const Sampling &defaults) {
    const Field turns = body["turns"];
    ENGRAM_TRY(turns.must_be_array(1, kMostTurns));
    std::vector<AgentManager::BatchItem> items;
    for (const Field &field : turns.elements()) {
        ENGRAM_ASSIGN(std::string id, field["agent"].text_that_is_not_empty());
        ENGRAM_ASSIGN(OwnTurn asked, read_turn(field, defaults));
        if (asked.stream) return field["stream"].wrong("is not possible within a batch");
        items.push_back({.id = std::move(id), .request = std::move(asked.request)});
    }
    return items;
}

ApiResult<OwnRun> read_run(const Field &body, const Sampling &defaults) {
    OwnRun asked;
    RunRequest &run = asked.request;
    if (body["prompt"].present()) {
        ENGRAM_ASSIGN(const std::string prompt, body["prompt"].text_that_is_not_empty());
        run.messages = {{.role = "user", .content = prompt}};
    }
    ENGRAM_ASSIGN(run.approvals, read_approvals(body["approvals"]));
    ENGRAM_ASSIGN(const std::int64_t most, body["max_tokens"].whole_number_or(run.max_tokens, 1, kMostAnswer));
    run.max_tokens = static_cast<std::uint32_t>(most);
    ENGRAM_ASSIGN(run.sampling, openai::sampling_of(body, defaults));
    ENGRAM_ASSIGN(run.sampling.grammar, body["grammar"].text_or(""));
    ENGRAM_ASSIGN(run.thinks, body["thinks"].boolean_or(false));
    ENGRAM_ASSIGN(run.priority, read_priority(body["priority"]));
    ENGRAM_ASSIGN(run.limits, read_limits(body["limits"]));
    if (body["schema"].present()) {
        ENGRAM_TRY(body["schema"].must_be_object());
        run.format = AnswerFormat::json_schema;
        run.schema = body["schema"].compact();
    }
    ENGRAM_ASSIGN(asked.stream, body["stream"].boolean_or(false));
    return asked;
}

ApiResult<OwnRun> read_delegation(const Field &body) {
    OwnRun asked;
    ENGRAM_ASSIGN(asked.request.delegate_to, body["to"].text_that_is_not_empty());
    ENGRAM_ASSIGN(asked.request.approvals, read_approvals(body["approvals"]));
    if (asked.request.approvals.empty() || body["task"].present()) {
        ENGRAM_ASSIGN(const std::string task, body["task"].text_that_is_not_empty());
        asked.request.messages = {{.role = "user", .content = task}};
    }
    ENGRAM_ASSIGN(asked.request.limits, read_limits(body["limits"]));
    ENGRAM_ASSIGN(asked.stream, body["stream"].boolean_or(false));
    return asked;
}

ApiResult<OwnWorkflowRun> read_workflow_run(const Field &body) {
    OwnWorkflowRun run;
    ENGRAM_ASSIGN(run.definition, body["definition"].text_that_is_not_empty());
    ENGRAM_ASSIGN(run.file, body["file"].text_or("definition"));
    if (body["inputs"].present()) {
        ENGRAM_TRY(body["inputs"].must_be_object());
        run.inputs = body["inputs"].json();
    }
    ENGRAM_ASSIGN(run.stream, body["stream"].boolean_or(false));
    return run;
}

}  // namespace engram::server
