#include "agents/agent_query.h"

#include <algorithm>
#include <cctype>
#include <ranges>

#include "chat/agent_card.h"
#include "chat/tool_call.h"
#include "chat/tool_pattern.h"

namespace engram {
namespace {

std::string small_letters(std::string_view text) {
    std::string small(text);
    std::ranges::transform(small, small.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return small;
}

bool has_skill(const AgentCard &card, std::string_view wanted) {
    return std::ranges::any_of(card.skills, [&](const AgentSkill &skill) {
        return skill.id == wanted || skill.name == wanted || std::ranges::contains(skill.tags, wanted);
    });
}

// A function of its own, or a tool server's tool ("files/read_file") that its card allows.
bool has_tool(const AgentInfo &info, std::string_view name) {
    const auto list = parse_tools(info.tools);
    if (list && std::ranges::contains(*list, name, &ChatTool::name)) return true;
    const std::size_t slash = name.find('/');
    return slash != std::string_view::npos && tool_matches(info.card.tools, name.substr(0, slash), name.substr(slash + 1));
}

// All that is said of the agent, in small letters.
std::string said_of(const AgentInfo &info) {
    std::string text = info.id + "\n" + info.description;
    for (const std::string &label : info.card.labels) text += "\n" + label;
    for (const AgentSkill &skill : info.card.skills) {
        text += "\n" + skill.id + "\n" + skill.name + "\n" + skill.description;
        for (const std::string &tag : skill.tags) text += "\n" + tag;
    }
    return small_letters(text);
}

bool has_words(const AgentInfo &info, std::string_view text) {
    const std::string said = said_of(info);
    for (const auto word : std::views::split(small_letters(text), ' ')) {
        if (!said.contains(std::string_view(word))) return false;
    }
    return true;
}

}  // namespace

bool matches(const AgentInfo &info, const AgentQuery &query) {
    return (query.skill.empty() || has_skill(info.card, query.skill)) &&
           (query.label.empty() || std::ranges::contains(info.card.labels, query.label)) &&
           (query.owner.empty() || info.card.owner == query.owner) && (query.model.empty() || info.model == query.model) &&
           (query.tool.empty() || has_tool(info, query.tool)) && (query.text.empty() || has_words(info, query.text));
}

Result<Registry::Description> description_of(const AgentRow &row, const AgentChange &change) {
    Registry::Description description{.description = change.description, .card = {}, .front = {}};
    if (change.card) description.card = card_text(*change.card);
    if (change.system_prompt || change.tools) {
        AgentFront front{.system_prompt = change.system_prompt.value_or(row.system_prompt), .tools = row.tools};
        if (change.tools) {
            ENGRAM_ASSIGN(front.tools, checked_tools(*change.tools));
        }
        description.front = std::move(front);
    }
    return description;
}

}  // namespace engram
