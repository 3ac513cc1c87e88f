#include <algorithm>
#include <utility>

#include "chat/json_grammar_builder.h"

namespace engram {
namespace {

constexpr std::size_t kMaxOptional = 256;

// Members with names that neither the schema's properties nor its patterns speak of.
bool has_free_members(const OrderedJson &plain) {
    return plain.contains("additionalProperties") ||
           (!plain.contains("properties") && !plain.contains("patternProperties") && !plain.contains("required"));
}

}  // namespace

// A listed property's schema together with those of the patterns that its name fits.
Result<OrderedJson> SchemaRules::Builder::with_patterns(const OrderedJson &plain, const std::string &name, OrderedJson schema,
                                                        const std::string &place) const {
    const OrderedJson *patterns = schema_member(plain, "patternProperties");
    if (patterns == nullptr) return schema;
    for (const auto &[pattern, more] : patterns->items()) {
        const Result<CharAutomaton> &texts = grammar.pattern(pattern);
        if (!texts) return not_enforceable(place_of(place_of(place, "patternProperties"), pattern), texts.error().message);
        if (texts->accepts(name)) schema = OrderedJson{{"allOf", OrderedJson::array({schema, more})}};
    }
    return schema;
}

// Nothing: a required property can't be.
Result<std::optional<std::vector<SchemaRules::Builder::Property>>> SchemaRules::Builder::properties_of(const OrderedJson &plain,
                                                                                                       const std::string &place,
                                                                                                       Value &self) {
    const OrderedJson empty = OrderedJson::object();
    OrderedJson listed = plain.value("properties", empty);
    const OrderedJson required = plain.value("required", OrderedJson::array());
    const OrderedJson unlisted = plain.value("additionalProperties", OrderedJson(true));
    for (const OrderedJson &name : required) {
        if (!listed.contains(name.get<std::string>())) listed[name.get<std::string>()] = unlisted;
    }
    std::vector<Property> properties;
    std::size_t optional = 0;
    for (const auto &[name, schema] : listed.items()) {
        const bool needed = std::ranges::contains(required, OrderedJson(name));
        ENGRAM_ASSIGN(const OrderedJson whole, with_patterns(plain, name, schema, place));
        ENGRAM_ASSIGN(const Value value_rule, value(whole, place_of(place_of(place, "properties"), name)));
        if (value_rule.rule.empty()) {
            if (needed) return std::nullopt;
            continue;
        }
        take(self, value_rule);
        properties.push_back({.name = name, .rule = value_rule.rule, .required = needed});
        optional += needed ? 0 : 1;
    }
    if (optional > kMaxOptional)
        return not_enforceable(place, std::format("it has more than {} optional properties", kMaxOptional));
    return properties;
}

Result<std::vector<SchemaRules::Builder::Extra>> SchemaRules::Builder::extras_of(const OrderedJson &plain,
                                                                                 const std::string &place, Value &self) {
    std::vector<Extra> extras;
    std::vector<std::string> names;
    const OrderedJson empty = OrderedJson::object();
    const OrderedJson listed = plain.value("properties", empty);
    const OrderedJson patterns = plain.value("patternProperties", empty);
    for (const auto &[name, schema] : listed.items()) names.push_back(name);
    for (const OrderedJson &name : plain.value("required", OrderedJson::array())) names.push_back(name.get<std::string>());
    const bool free = has_free_members(plain);
    if (!free && patterns.empty()) return extras;
    const std::string ws = grammar.white_space();
    CharAutomaton left = CharAutomaton::words(names).complement();
    const auto add = [&](const CharAutomaton &keys, bool any, const OrderedJson &schema,
                         const std::string &where) -> Result<void> {
        ENGRAM_ASSIGN(const Value value_rule, value(schema, where));
        if (value_rule.rule.empty() || keys.empty()) return {};
        take(self, value_rule);
        const std::string key =
            any ? grammar.json_string() : std::format(R"("\"" {} "\"")", grammar.texts(keys, Spelling::json, "key"));
        extras.push_back(
            {.rule = grammar.rule("extra", std::format(R"({} ":" {} {})", key, ws, value_rule.rule)), .needs = value_rule.rule});
        return {};
    };
    for (const auto &[pattern, schema] : patterns.items()) {
        const std::string where = place_of(place_of(place, "patternProperties"), pattern);
        const Result<CharAutomaton> &fitting = grammar.pattern(pattern);
        auto keys = fitting ? CharAutomaton::both(left, *fitting) : fitting;
        auto others = fitting ? CharAutomaton::both(left, fitting->complement()) : fitting;
        if (!keys || !others) return not_enforceable(where, (keys ? others : keys).error().message);
        ENGRAM_TRY(add(*keys, false, schema, where));
        left = *std::move(others);
    }
    if (free) {
        ENGRAM_TRY(add(left, names.empty() && patterns.empty(), plain.value("additionalProperties", OrderedJson(true)),
                       place_of(place, "additionalProperties")));
    }
    return extras;
}

// What a value may begin with, before its rule is made: kinds, and what the first member of an object may be, as far as it tells
// the object from others (names, with their values where those are given).
Result<void> SchemaRules::Builder::describe(const OrderedJson &plain, Value &self) const {
    if (plain.is_boolean() || plain.contains("enum")) return {};
    const std::vector<std::string> types = types_of(plain);
    const bool anything = plain.contains("anyOf") || (types.empty() && !plain.contains("type"));
    self.list = anything || std::ranges::contains(types, "array");
    self.object = anything || std::ranges::contains(types, "object");
    if (anything) self.first_keys.insert("*");
    if (anything || !self.object) return {};
    const OrderedJson listed = plain.value("properties", OrderedJson::object());
    const OrderedJson required = plain.value("required", OrderedJson::array());
    for (const auto &[name, property] : listed.items()) {
        ENGRAM_ASSIGN(const OrderedJson schema, document.flat(property));
        const OrderedJson *values = schema.is_object() ? schema_member(schema, "enum") : nullptr;
        if (values == nullptr) self.first_keys.insert(name);
        for (std::size_t i = 0; values != nullptr && i < values->size(); ++i) {
            self.first_keys.insert(std::format("{}\n{}", name, (*values)[i].dump()));
        }
        if (std::ranges::contains(required, OrderedJson(name))) return {};
    }
    for (const OrderedJson &name : required) self.first_keys.insert(name.get<std::string>());
    if (required.empty() && (has_free_members(plain) || plain.contains("patternProperties"))) self.first_keys.insert("*");
    return {};
}

// What may stand between the braces; empty: nothing can, and something must. From the end: `next` is what a member and all after
// it may be, `after` what may follow the members so far.
std::string SchemaRules::Builder::members_text(const std::vector<Property> &properties, const std::string &extra,
                                               bool one_at_least) {
    const std::string ws = grammar.white_space();
    const std::string close = std::format("{} \"}}\"", ws);
    std::string next;
    std::string after = close;
    bool may_close = true;
    if (!extra.empty()) {
        const std::string more = grammar.rule("more", std::format(R"("," {} {})", ws, extra));
        after = std::format("{}* {}", more, close);
        next = std::format("{} {}", extra, after);
    }
    for (std::size_t i = properties.size(); i-- > 0;) {
        const Property &property = properties[i];
        const std::string key = gbnf_literal(OrderedJson(property.name).dump());
        const std::string rest = grammar.rule("rest", std::move(after));
        const std::string here = grammar.rule("member", std::format(R"({} ":" {} {} {})", key, ws, property.rule, rest));
        const bool other = !property.required && !next.empty();
        next = grammar.rule("next", other ? std::format("{} | {}", here, next) : here);
        may_close = may_close && !property.required;
        after = std::format("\",\" {} {}{}{}", ws, next, may_close ? " | " : "", may_close ? close : "");
    }
    if (next.empty()) return one_at_least ? "" : close;
    return std::format("{} ({}{})", ws, next, may_close && !one_at_least ? " | \"}\"" : "");
}

Result<std::optional<SchemaRules::Builder::Way>> SchemaRules::Builder::object_way(const OrderedJson &plain,
                                                                                  const std::string &place, Value &self) {
    ENGRAM_ASSIGN(const auto properties, properties_of(plain, place, self));
    if (!properties) return std::nullopt;
    ENGRAM_ASSIGN(const std::vector<Extra> extras, extras_of(plain, place, self));
    Way way;
    for (const Property &property : *properties) {
        if (property.required) way.needs.push_back(property.rule);
    }
    std::string extra;
    for (const Extra &one : extras) extra += std::format("{}{}", extra.empty() ? "" : " | ", one.rule);
    if (extras.size() > 1) extra = grammar.rule("extra", extra);

    const auto [least, most] = lengths_of(plain, "minProperties", "maxProperties");
    const std::size_t needed = way.needs.size();
    const bool enough = least <= needed || (least == 1 && (!properties->empty() || !extras.empty()));
    const bool few = !most || (extras.empty() && properties->size() <= *most);
    if (enough && few) {
        const std::string begin = members_text(*properties, extra, least > needed);
        if (begin.empty()) return std::nullopt;
        if (least > needed && properties->empty()) way.needs.push_back(extras.front().needs);
        way.text = std::format("\"{{\" ({})", begin);
        return way;
    }
    if (most && *most < needed) return std::nullopt;
    if (!properties->empty() || extras.empty() || least > kLongest) {
        ENGRAM_TRY(cannot(place_of(place, enough ? "maxProperties" : "minProperties"), "there is no grammar for it"));
        way.text = std::format("\"{{\" ({})", members_text(*properties, extra, false));
        return way;
    }
    // A map: so many members of one kind.
    const std::string ws = grammar.white_space();
    const std::string more = grammar.rule("more", std::format(R"("," {} {})", ws, extra));
    const bool none = most && *most == 0;
    const std::string some =
        none ? ""
             : std::format("{} {} {} {} \"}}\"", ws, extra,
                           grammar.repeated(more, least > 0 ? least - 1 : 0, most ? std::optional(*most - 1) : most), ws);
    if (least > 0) way.needs.push_back(extras.front().needs);
    if (none) way.text = std::format("\"{{\" {} \"}}\"", ws);
    if (!none) way.text = least > 0 ? "\"{\" " + some : std::format("\"{{\" ({} \"}}\" | {})", ws, some);
    return way;
}

}  // namespace engram
