#include "workflow/approval.h"

#include <algorithm>
#include <format>

#include "chat/bounded_json.h"
#include "engram/teams.h"

namespace engram::workflow {
namespace {

constexpr std::size_t kMaxBytes = 64UZ << 20U;  // of what this program wrote itself

OrderedJson whole(const StepRow &waiting) {
    auto json = parse_bounded_json(waiting.text, kMaxBytes);
    return json && json->is_object() ? std::move(*json) : OrderedJson::object();
}

std::string dump(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

OrderedJson arguments_json(const std::string &text) {
    auto json = parse_bounded_json(text, kMaxBytes);
    return json ? std::move(*json) : OrderedJson(text);
}

}  // namespace

std::string waiting_text(std::span<const ChatToolCall> calls) {
    OrderedJson list = OrderedJson::array();
    for (const ChatToolCall &call : calls) {
        OrderedJson one{{"id", call.id}};
        if (const std::string_view whose = pending_agent(call.id); !whose.empty()) one["agent"] = whose;
        one["name"] = call.name;
        one["arguments"] = arguments_json(call.arguments);
        list.push_back(std::move(one));
    }
    OrderedJson json = OrderedJson::object();
    json["calls"] = std::move(list);
    return dump(json);
}

OrderedJson calls_of(const StepRow &waiting) {
    const OrderedJson json = whole(waiting);
    const auto calls = json.find("calls");
    return calls != json.end() && calls->is_array() ? *calls : OrderedJson::array();
}

bool is_decided(const StepRow &waiting) {
    const OrderedJson json = whole(waiting);
    return json.contains("allow") && json["allow"].is_boolean();
}

std::map<std::string, bool> approvals_of(const StepRow &waiting) {
    std::map<std::string, bool> approvals;
    if (!is_decided(waiting)) return approvals;
    const bool allow = whole(waiting)["allow"].get<bool>();
    for (const OrderedJson &call : calls_of(waiting)) approvals[call.value("id", std::string())] = allow;
    return approvals;
}

Result<void> decide(RunStore &store, const RunKey &key, const Decision &decision) {
    ENGRAM_TRY(store.get(key));
    ENGRAM_ASSIGN(const std::vector<StepRow> steps, store.steps(key));
    const auto found = std::ranges::find_if(
        steps, [&](const StepRow &step) { return step.node == decision.node && step.item == decision.item; });
    const std::string what = decision.item == kWholeNode ? std::format("node {}", decision.node)
                                                         : std::format("node {}, element {}", decision.node, decision.item);
    if (found == steps.end() || found->state != StepState::waiting || is_decided(*found)) {
        return fail(ErrorCode::invalid_argument, std::format("{} of the workflow run {} waits for no approval", what, key.id));
    }
    StepRow step = *found;
    OrderedJson json = whole(step);
    json["allow"] = decision.allow;
    step.text = dump(json);
    return store.put(key, std::span(&step, 1), {});
}

Result<bool> any_decided(RunStore &store, const RunKey &key) {
    ENGRAM_ASSIGN(const std::vector<StepRow> steps, store.steps(key));
    return std::ranges::any_of(steps, [](const StepRow &step) { return step.state == StepState::waiting && is_decided(step); });
}

}  // namespace engram::workflow
