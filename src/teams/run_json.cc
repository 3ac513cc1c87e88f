#include "teams/run_json.h"

namespace engram {
namespace {

constexpr std::size_t kMaxArgumentBytes = 16UZ << 20U;

OrderedJson json_or_text(const std::string &text) {
    auto json = parse_bounded_json(text, kMaxArgumentBytes);
    return json ? std::move(*json) : OrderedJson(text);
}

std::pair<std::string_view, OrderedJson> answer_event(const RunAnswering &answering) {
    const std::string &agent = answering.agent;
    if (const auto *text = std::get_if<ChatText>(&answering.event)) return {"text", {{"agent", agent}, {"text", text->text}}};
    if (const auto *text = std::get_if<ChatThinking>(&answering.event))
        return {"thinking", {{"agent", agent}, {"text", text->text}}};
    if (const auto *progress = std::get_if<ChatProgress>(&answering.event)) {
        return {"prefill", {{"agent", agent}, {"done", progress->done}, {"total", progress->total}}};
    }
    return {};
}

}  // namespace

OrderedJson call_json(const ChatToolCall &call) {
    return {{"id", call.id}, {"name", call.name}, {"arguments", json_or_text(call.arguments)}};
}

OrderedJson pending_json(const std::string &agent, const ChatToolCall &call) {
    const std::string_view whose = pending_agent(call.id);
    return {{"id", call.id},
            {"agent", whose.empty() ? std::string_view(agent) : whose},
            {"name", call.name},
            {"arguments", json_or_text(call.arguments)}};
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as RunLimits::depth
OrderedJson step_json(const RunStep &step) {
    OrderedJson json{{"kind", step_kind_name(step.kind)}, {"agent", step.agent}};
    if (step.kind == RunStep::Kind::answer) {
        json["answer"] = step.output;
        json["prompt_tokens"] = step.prompt_tokens;
        json["cached_tokens"] = step.cached_tokens;
        json["answer_tokens"] = step.answer_tokens;
    } else {
        json[step.kind == RunStep::Kind::tool ? "tool" : "to"] = step.name;
        json["input"] = json_or_text(step.input);
        json["output"] = step.output;
        json["failed"] = step.failed;
    }
    json["ms"] = step.ms;
    for (const RunStep &inner : step.steps) json["steps"].push_back(step_json(inner));
    return json;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the JSON, which is bounded
RunStep step_of(const OrderedJson &json) {
    RunStep step;
    if (!json.is_object()) return step;
    const auto text = [&](const char *name) {
        const auto found = json.find(name);
        if (found == json.end() || found->is_null()) return std::string();
        return found->is_string() ? found->get<std::string>() : found->dump();
    };
    const auto count = [&](const char *name) {
        const auto found = json.find(name);
        return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
    };
    const std::string kind = text("kind");
    step.kind = kind == "tool" ? RunStep::Kind::tool : kind == "delegation" ? RunStep::Kind::delegation : RunStep::Kind::answer;
    step.agent = text("agent");
    step.name = text(step.kind == RunStep::Kind::tool ? "tool" : "to");
    step.input = text("input");
    step.output = text(step.kind == RunStep::Kind::answer ? "answer" : "output");
    step.failed = json.value("failed", OrderedJson()) == true;
    const auto ms = json.find("ms");
    step.ms = ms != json.end() && ms->is_number() ? ms->get<double>() : 0;
    step.prompt_tokens = count("prompt_tokens");
    step.cached_tokens = count("cached_tokens");
    step.answer_tokens = count("answer_tokens");
    if (const auto steps = json.find("steps"); steps != json.end() && steps->is_array()) {
        for (const OrderedJson &inner : *steps) step.steps.push_back(step_of(inner));
    }
    return step;
}

OrderedJson run_json(const std::string &agent, const RunResult &result) {
    OrderedJson json{
        {"agent", agent}, {"answer", result.text}, {"end", run_end_name(result.end)}, {"pending", OrderedJson::array()}};
    for (const ChatToolCall &call : result.pending) json["pending"].push_back(pending_json(agent, call));
    json["steps"] = OrderedJson::array();
    for (const RunStep &step : result.steps) json["steps"].push_back(step_json(step));
    json["usage"] = {{"prompt_tokens", result.usage.prompt_tokens},
                     {"cached_tokens", result.usage.cached_tokens},
                     {"answer_tokens", result.usage.answer_tokens}};
    if (!result.thinking.empty()) json["thinking"] = result.thinking;
    json["committed"] = result.committed;
    json["warning"] = result.warning.empty() ? OrderedJson(nullptr) : OrderedJson(result.warning);
    return json;
}

std::pair<std::string_view, OrderedJson> run_event_json(const RunEvent &event) {
    if (const auto *answering = std::get_if<RunAnswering>(&event)) return answer_event(*answering);
    if (const auto *begins = std::get_if<RunToolBegins>(&event)) {
        return {"tool_begins", {{"agent", begins->agent}, {"call", call_json(begins->call)}}};
    }
    if (const auto *progress = std::get_if<RunToolProgress>(&event)) {
        return {"tool_progress",
                {{"agent", progress->agent},
                 {"call", progress->call_id},
                 {"done", progress->done},
                 {"total", progress->total},
                 {"message", progress->message}}};
    }
    const auto &ends = std::get<RunToolEnds>(event);
    return {"tool_ends",
            {{"agent", ends.agent}, {"call", ends.call.id}, {"output", ends.output}, {"failed", ends.failed}, {"ms", ends.ms}}};
}

}  // namespace engram
