#include "workflow/router.h"

#include <algorithm>
#include <format>

#include "core/beginning.h"
#include "workflow/executor.h"

namespace engram::workflow {
namespace {

constexpr std::size_t kMostCandidates = 64;
constexpr std::size_t kMostTaskBytes = 8000;  // of what the choice is made by; the agent gets all of it
constexpr std::uint32_t kChoiceTokens = 256;  // an id has at most 128 characters

std::string one_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    return text;
}

std::string introduction(const AgentInfo &agent) {
    std::string text = std::format("- {}", agent.id);
    if (!agent.description.empty()) text += ": " + one_line(agent.description);
    for (const AgentSkill &skill : agent.card.skills) {
        text += std::format("\n  skill {}", one_line(skill.name));
        if (!skill.description.empty()) text += ": " + one_line(skill.description);
    }
    return text + "\n";
}

std::string described(const Route &route) {
    std::string text;
    const auto add = [&](std::string_view what, const std::string &value) {
        if (!value.empty()) text += std::format("{}{} \"{}\"", text.empty() ? "" : " and ", what, value);
    };
    add("the skill", route.skill);
    add("the label", route.label);
    add("the words", route.words);
    if (!route.agents.empty())
        text += std::format("{}one of the {} listed ids", text.empty() ? "" : " and ", route.agents.size());
    return text;
}

}  // namespace

Result<std::vector<AgentInfo>> candidates_for(const AgentManager &agents, const Route &route) {
    for (const std::string &id : route.agents) ENGRAM_TRY(agents.get(id));
    ENGRAM_ASSIGN(
        std::vector<AgentInfo> found,
        agents.find({.text = route.words, .skill = route.skill, .label = route.label, .owner = {}, .model = {}, .tool = {}}));
    std::erase_if(found, [&](const AgentInfo &info) {
        return info.id.starts_with(kForkPrefix) || (!route.agents.empty() && !std::ranges::contains(route.agents, info.id));
    });
    if (found.empty()) return fail(ErrorCode::not_found, std::format("no agent has {}", described(route)));
    if (found.size() > kMostCandidates) {
        return fail(ErrorCode::invalid_argument,
                    std::format("{} agents have {}, and at most {} can be chosen from: say more of whom it should be",
                                found.size(), described(route), kMostCandidates));
    }
    return found;
}

ChatRequest choice_request(const std::vector<AgentInfo> &candidates, std::string_view task) {
    std::string system = "Choose the agent that suits a task best. These are the agents:\n";
    OrderedJson ids = OrderedJson::array();
    for (const AgentInfo &agent : candidates) {
        system += introduction(agent);
        ids.push_back(agent.id);
    }
    system += "Answer with the agent's id as JSON: {\"agent\": \"id\"}";
    ChatRequest request;
    request.messages.push_back({.role = "system", .content = std::move(system)});
    request.messages.push_back({.role = "user", .content = std::format("The task:\n{}", beginning_of(task, kMostTaskBytes))});
    request.format = AnswerFormat::json_schema;
    request.schema = OrderedJson{
        {"type", "object"},
        {"properties", {{"agent", {{"enum", std::move(ids)}}}}},
        {"required", OrderedJson::array({"agent"})},
        {"additionalProperties",
         false}}.dump();
    request.max_tokens = kChoiceTokens;
    return request;
}

Result<std::string> choose_agent(AgentManager &agents, const Route &route, std::string_view task, const std::stop_token &stop) {
    ENGRAM_ASSIGN(const std::vector<AgentInfo> candidates, candidates_for(agents, route));
    if (candidates.size() == 1) return candidates.front().id;
    std::string answer;
    const auto take = [&](const ChatEvent &event) {
        if (const auto *text = std::get_if<ChatText>(&event)) answer += text->text;
    };
    ENGRAM_TRY(agents.chat(choice_request(candidates, task), take, stop));
    if (stop.stop_requested()) return fail(ErrorCode::cancelled, "the choice of an agent was broken off");
    const auto json = parse_bounded_json(answer, kMaxTextBytes);
    const auto named = [&](const AgentInfo &info) { return json && json->is_object() && json->value("agent", "") == info.id; };
    const auto chosen = std::ranges::find_if(candidates, named);
    if (chosen != candidates.end()) return chosen->id;
    return fail(ErrorCode::engine, "the model has named none of the agents that it may choose from");
}

}  // namespace engram::workflow
