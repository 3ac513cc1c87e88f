#include "protocol/a2a/card.h"

#include <algorithm>
#include <format>
#include <utility>

namespace engram::protocol::a2a {
namespace {

const std::vector<std::string> kInputModes{"text/plain", "application/json"};
const std::vector<std::string> kOutputModes{"text/plain", "application/json"};

AgentSkill talks(std::string description) {
    return {.id = "conversation",
            .name = "Conversation",
            .description = std::move(description),
            .tags = {"conversation", "memory"},
            .examples = {}};
}

OrderedJson skill_json(const AgentSkill &skill) {
    OrderedJson json{{"id", skill.id},
                     {"name", skill.name.empty() ? skill.id : skill.name},
                     {"description", skill.description.empty() ? skill.id : skill.description},
                     {"tags", skill.tags.empty() ? std::vector<std::string>{"agent"} : skill.tags}};
    if (!skill.examples.empty()) json["examples"] = skill.examples;
    return json;
}

OrderedJson interfaces(const CardFacts &facts) {
    const auto interface = [&](const char *binding, const char *version) {
        return OrderedJson{{"url", facts.url}, {"protocolBinding", binding}, {"protocolVersion", version}};
    };
    return OrderedJson::array({interface("JSONRPC", "1.0"), interface("HTTP+JSON", "1.0"), interface("JSONRPC", "0.3")});
}

OrderedJson common(const CardFacts &facts) {
    OrderedJson skills = OrderedJson::array();
    for (const AgentSkill &skill : facts.skills) skills.push_back(skill_json(skill));
    return {{"name", facts.name},
            {"description", facts.description},
            {"version", facts.version},
            {"supportedInterfaces", interfaces(facts)},
            {"defaultInputModes", kInputModes},
            {"defaultOutputModes", kOutputModes},
            {"skills", std::move(skills)}};
}

}  // namespace

CardFacts facts_of(const AgentInfo &agent) {
    CardFacts facts{.name = agent.id,
                    .description = agent.description.empty() ? std::format("The agent {}.", agent.id) : agent.description,
                    .version = std::string(version()),
                    .skills = agent.card.skills};
    if (facts.skills.empty()) facts.skills.push_back(talks("Talks, and remembers what was said in each context."));
    return facts;
}

CardFacts facts_of(std::span<const AgentInfo> agents) {
    CardFacts facts{.name = "Engram",
                    .description =
                        "Local language-model agents with persistent memory: what was said in a context stays, "
                        "and is not read again.",
                    .version = std::string(version())};
    facts.skills.push_back(talks("Talks, and remembers what was said in each context."));
    for (const AgentInfo &agent : agents) {
        AgentSkill skill{.id = agent.id, .name = agent.id, .description = agent.description, .tags = {"agent"}, .examples = {}};
        for (const AgentSkill &own : agent.card.skills) {
            skill.tags.push_back(own.id);
            std::ranges::copy(own.tags, std::back_inserter(skill.tags));
        }
        facts.skills.push_back(std::move(skill));
    }
    return facts;
}

OrderedJson card_json(const CardFacts &facts) {
    OrderedJson json = common(facts);
    json["capabilities"] = {{"streaming", true}, {"pushNotifications", true}, {"extendedAgentCard", true}};
    json["securitySchemes"] = {{"bearer", {{"httpAuthSecurityScheme", {{"scheme", "Bearer"}}}}},
                               {"key", {{"apiKeySecurityScheme", {{"location", "header"}, {"name", "x-api-key"}}}}}};
    if (facts.needs_key) {
        const OrderedJson no_scopes{{"list", OrderedJson::array()}};
        json["securityRequirements"] =
            OrderedJson::array({{{"schemes", {{"bearer", no_scopes}}}}, {{"schemes", {{"key", no_scopes}}}}});
    }
    return json;
}

OrderedJson card_json_0_3(const CardFacts &facts) {
    OrderedJson json = common(facts);
    json["protocolVersion"] = "0.3.0";
    json["url"] = facts.url;
    json["preferredTransport"] = "JSONRPC";
    json["supportsAuthenticatedExtendedCard"] = true;
    json["capabilities"] = {{"streaming", true}, {"pushNotifications", true}, {"stateTransitionHistory", false}};
    json["securitySchemes"] = {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
                               {"key", {{"type", "apiKey"}, {"in", "header"}, {"name", "x-api-key"}}}};
    if (facts.needs_key) {
        json["security"] = OrderedJson::array({{{"bearer", OrderedJson::array()}}, {{"key", OrderedJson::array()}}});
    }
    return json;
}

}  // namespace engram::protocol::a2a
