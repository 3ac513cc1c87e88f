// Fuzz entry of Engram's own API: any bytes give what may be asked for, within its bounds, or a refusal with a sentence.
#include "server/own_requests.h"

#include <chrono>
#include <cstdlib>

#include "chat/agent_card.h"
#include "core/testing/fuzz.h"

namespace {

using namespace engram;
using namespace engram::server;
using fuzz::require;
using protocol::Field;

template <typename T>
const T *accepted(const protocol::ApiResult<T> &request) {
    if (request) return &*request;
    require(request.error().kind == protocol::ApiErrorKind::invalid_request && !request.error().message.empty());
    return nullptr;
}

void check_json(const std::string &text) { require(text.empty() || parse_bounded_json(text, text.size()).has_value()); }

void check_card(const AgentCard &card) {
    const auto again = parse_card(card_text(card));
    require(again.has_value() && *again == card);
}

void check_agents(const Field &body) {
    const auto created = read_agent_spec(body);
    if (const AgentSpec *spec = accepted(created)) {
        require(!spec->id.empty());
        check_json(spec->tools);
        check_card(spec->card);
    }
    const auto patched = read_agent_patch(body);
    if (const AgentPatch *patch = accepted(patched)) {
        require(!patch->id || !patch->id->empty());
        check_json(patch->change.tools.value_or(""));
        if (patch->change.card) check_card(*patch->change.card);
    }
    const auto fork = read_fork(body);
    if (const std::string *id = accepted(fork)) require(!id->empty());
    static_cast<void>(accepted(read_evict(body)));
}

void check_turn(const TurnRequest &turn) {
    require(turn.max_tokens <= 1U << 24U && std::abs(turn.priority) <= 1000 && turn.sampling.stop.size() <= 4);
}

void check_turns(const Field &body) {
    const auto asked = read_turn(body, {});
    if (const OwnTurn *turn = accepted(asked)) check_turn(turn->request);
    const auto batch = read_batch(body, {});
    if (const auto *items = accepted(batch)) {
        require(!items->empty() && items->size() <= 256);
        for (const AgentManager::BatchItem &item : *items) {
            require(!item.id.empty());
            check_turn(item.request);
        }
    }
}

void check_limits(const RunLimits &limits) {
    using namespace std::chrono_literals;
    require(limits.steps >= 1 && limits.steps <= 1000 && limits.time >= 1s && limits.time <= 24h);
    require(limits.result_tokens >= 16 && limits.depth >= 1 && limits.depth <= 64);
}

void check_runs(const Field &body) {
    const auto asked = read_run(body, {});
    if (const OwnRun *own = accepted(asked)) {
        const RunRequest &run = own->request;
        require(run.agent.empty() && run.delegate_to.empty() && run.messages.size() <= 1);
        for (const ChatMessage &message : run.messages) require(message.role == "user" && !message.content.empty());
        require(run.max_tokens >= 1 && run.max_tokens <= 1U << 24U && std::abs(run.priority) <= 1000);
        require((run.format == AnswerFormat::json_schema) == !run.schema.empty());
        check_json(run.schema);
        check_limits(run.limits);
    }
    const auto given = read_delegation(body);
    if (const OwnRun *own = accepted(given)) {
        require(!own->request.delegate_to.empty() && own->request.messages.size() == 1);
        check_limits(own->request.limits);
    }
    const auto begun = read_workflow_run(body);
    if (const OwnWorkflowRun *run = accepted(begun)) require(!run->definition.empty() && run->inputs.is_object());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const auto json = protocol::parse_body(fuzz::text_of(data, size), 1UZ << 20U);
    if (!json) return 0;
    const Field body(*json);
    check_agents(body);
    check_turns(body);
    check_runs(body);
    return 0;
}
