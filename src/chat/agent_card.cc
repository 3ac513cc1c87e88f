#include "chat/agent_card.h"

#include <algorithm>
#include <format>
#include <set>

#include "core/ids.h"

namespace engram {
namespace {

constexpr std::size_t kMaxSkillId = 128;

std::unexpected<Error> wrong(std::string_view where, std::string_view what) {
    return fail(ErrorCode::invalid_argument, std::format("{} {}", where, what));
}

Result<std::string> text_member(const OrderedJson &object, const char *name, std::string_view within) {
    const auto found = object.find(name);
    if (found == object.end() || found->is_null()) return std::string();
    if (!found->is_string()) return wrong(std::format("{}{}", within, name), "must be a text");
    return found->get<std::string>();
}

Result<std::vector<std::string>> texts_member(const OrderedJson &object, const char *name, std::string_view within) {
    std::vector<std::string> texts;
    const auto found = object.find(name);
    if (found == object.end() || found->is_null()) return texts;
    if (!found->is_array()) return wrong(std::format("{}{}", within, name), "must be a list of texts");
    for (const OrderedJson &item : *found) {
        if (!item.is_string()) return wrong(std::format("{}{}[{}]", within, name, texts.size()), "must be a text");
        texts.push_back(item.get<std::string>());
    }
    return texts;
}

Result<AgentSkill> skill_of(const OrderedJson &json, std::string_view where) {
    if (!json.is_object()) return wrong(where, "must be an object with an id, a name and a description");
    const std::string within = std::format("{}.", where);
    AgentSkill skill;
    ENGRAM_ASSIGN(skill.id, text_member(json, "id", within));
    ENGRAM_ASSIGN(skill.name, text_member(json, "name", within));
    ENGRAM_ASSIGN(skill.description, text_member(json, "description", within));
    ENGRAM_ASSIGN(skill.tags, texts_member(json, "tags", within));
    ENGRAM_ASSIGN(skill.examples, texts_member(json, "examples", within));
    if (skill.id.empty() || skill.id.size() > kMaxSkillId) {
        return wrong(within + "id", std::format("must have from 1 to {} bytes", kMaxSkillId));
    }
    if (skill.name.empty()) skill.name = skill.id;
    return skill;
}

void put(OrderedJson &json, const char *name, const std::string &text) {
    if (!text.empty()) json[name] = text;
}

void put(OrderedJson &json, const char *name, const std::vector<std::string> &texts) {
    if (!texts.empty()) json[name] = texts;
}

}  // namespace

OrderedJson card_json(const AgentCard &card) {
    OrderedJson json = OrderedJson::object();
    put(json, "owner", card.owner);
    put(json, "labels", card.labels);
    for (const AgentSkill &skill : card.skills) {
        OrderedJson one{{"id", skill.id}, {"name", skill.name}, {"description", skill.description}};
        put(one, "tags", skill.tags);
        put(one, "examples", skill.examples);
        json["skills"].push_back(std::move(one));
    }
    put(json, "colleagues", card.colleagues);
    put(json, "managed_by", card.managed_by);
    put(json, "team", card.team);
    put(json, "tools", card.tools);
    put(json, "approvals", card.approvals);
    if (card.compaction != Compaction::stop) json["compaction"] = compaction_name(card.compaction);
    return json;
}

std::string card_text(const AgentCard &card) {
    const OrderedJson json = card_json(card);
    return json.empty() ? std::string() : json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

Result<AgentCard> card_of(const OrderedJson &json) {
    if (!json.is_object()) return fail(ErrorCode::invalid_argument, "the card must be a JSON object");
    AgentCard card;
    ENGRAM_ASSIGN(card.owner, text_member(json, "owner", ""));
    ENGRAM_ASSIGN(card.labels, texts_member(json, "labels", ""));
    ENGRAM_ASSIGN(card.colleagues, texts_member(json, "colleagues", ""));
    ENGRAM_ASSIGN(card.managed_by, text_member(json, "managed_by", ""));
    ENGRAM_ASSIGN(card.team, text_member(json, "team", ""));
    ENGRAM_ASSIGN(card.tools, texts_member(json, "tools", ""));
    ENGRAM_ASSIGN(card.approvals, texts_member(json, "approvals", ""));
    ENGRAM_ASSIGN(const std::string compaction, text_member(json, "compaction", ""));
    if (!compaction.empty()) {
        const auto known = compaction_from_name(compaction);
        if (!known) return wrong("compaction", "must be stop, keep_last or summarise");
        card.compaction = *known;
    }
    for (std::size_t i = 0; i < card.colleagues.size(); ++i) {
        if (auto valid = validate_agent_id(card.colleagues[i]); !valid) {
            return std::unexpected(std::move(valid.error()).within(std::format("colleagues[{}]", i)));
        }
    }
    const auto skills = json.find("skills");
    if (skills != json.end() && !skills->is_null()) {
        if (!skills->is_array()) return wrong("skills", "must be a list of skills");
        std::set<std::string, std::less<>> ids;
        for (const OrderedJson &item : *skills) {
            const std::string where = std::format("skills[{}]", card.skills.size());
            ENGRAM_ASSIGN(AgentSkill skill, skill_of(item, where));
            if (!ids.insert(skill.id).second) {
                return wrong(where, std::format("has the id of another skill, \"{}\"", skill.id));
            }
            card.skills.push_back(std::move(skill));
        }
    }
    if (card_text(card).size() > kMaxCardBytes) {
        return fail(ErrorCode::invalid_argument, std::format("the card has more than {} bytes", kMaxCardBytes));
    }
    return card;
}

Result<AgentCard> parse_card(std::string_view text) {
    if (text.empty()) return AgentCard{};
    auto json = parse_bounded_json(text, kMaxCardBytes);
    if (!json) return std::unexpected(std::move(json.error()).within("the card can't be read"));
    return card_of(*json);
}

std::string card_of_fork(std::string_view text) {
    auto card = parse_card(text);
    if (text.empty() || !card) return std::string(text);
    card->managed_by.clear();
    return card_text(*card);
}

}  // namespace engram
