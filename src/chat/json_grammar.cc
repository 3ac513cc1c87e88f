#include "chat/json_grammar.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "chat/gbnf_number.h"
#include "chat/json_grammar_builder.h"

namespace engram {
namespace {

constexpr std::size_t kMaxSchemaBytes = 1UZ << 20U;
constexpr std::size_t kMaxNodes = 4'000;
constexpr std::size_t kMaxDepth = 128;  // of rules within rules, also by references; each takes its share of the stack
constexpr std::size_t kMaxWays = 16;    // to read one text
constexpr std::size_t kNotRecursive = std::numeric_limits<std::size_t>::max();

bool allows_type(const OrderedJson &flat, std::string_view type) {
    const OrderedJson *types = schema_member(flat, "type");
    return types == nullptr || std::ranges::contains(*types, OrderedJson(type)) ||
           (type == "integer" && std::ranges::contains(*types, OrderedJson("number")));
}

std::string_view type_of(const OrderedJson &value) {
    if (value.is_null()) return "null";
    if (value.is_boolean()) return "boolean";
    if (value.is_string()) return "string";
    if (value.is_array()) return "array";
    if (value.is_object()) return "object";
    return value.is_number_integer() || value.get<double>() == std::floor(value.get<double>()) ? "integer" : "number";
}

NumberBounds bounds_of(const OrderedJson &flat) {
    NumberBounds bounds;
    const auto number = [&flat](const char *name) -> std::optional<double> {
        const OrderedJson *value = schema_member(flat, name);
        return value == nullptr ? std::nullopt : std::optional(value->get<double>());
    };
    bounds.least = number("minimum");
    bounds.most = number("maximum");
    if (const auto above = number("exclusiveMinimum"); above && (!bounds.least || *above >= *bounds.least)) {
        bounds.least = above;
        bounds.above_least = true;
    }
    if (const auto below = number("exclusiveMaximum"); below && (!bounds.most || *below <= *bounds.most)) {
        bounds.most = below;
        bounds.below_most = true;
    }
    return bounds;
}

bool within(const NumberBounds &bounds, double value) {
    return (!bounds.least || value > *bounds.least || (value == *bounds.least && !bounds.above_least)) &&
           (!bounds.most || value < *bounds.most || (value == *bounds.most && !bounds.below_most));
}

}  // namespace

std::string place_of(std::string_view place, std::string_view name) { return std::format("{}/{}", place, name); }

std::unexpected<Error> not_enforceable(std::string_view place, std::string_view what) {
    return fail(ErrorCode::unsupported, std::format("the schema at {} can't be enforced: {}", place, what));
}

std::vector<std::string> types_of(const OrderedJson &flat) {
    std::vector<std::string> types;
    if (const OrderedJson *given = schema_member(flat, "type")) {
        for (const OrderedJson &type : *given) types.push_back(type.get<std::string>());
        if (std::ranges::contains(types, "number")) std::erase(types, "integer");
        return types;
    }
    const auto has = [&flat](std::initializer_list<const char *> names) {
        return std::ranges::any_of(names, [&flat](const char *name) { return flat.contains(name); });
    };
    if (has({"properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"})) {
        types.emplace_back("object");
    }
    if (has({"items", "prefixItems", "minItems", "maxItems"})) types.emplace_back("array");
    if (has({"minLength", "maxLength", "pattern", "format"})) types.emplace_back("string");
    if (has({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})) types.emplace_back("number");
    return types;
}

bool allows_only_texts(const OrderedJson &flat) {
    if (!flat.is_object() || flat.contains("anyOf")) return false;
    if (const OrderedJson *values = schema_member(flat, "enum")) {
        return !values->empty() && std::ranges::all_of(*values, [](const OrderedJson &value) { return value.is_string(); });
    }
    const std::vector<std::string> types = types_of(flat);
    return types.size() == 1 && types.front() == "string";
}

Result<OrderedJson> SchemaRules::Builder::flat(const OrderedJson &schema, const std::string &place) const {
    auto result = document.flat(schema);
    if (!result) return std::unexpected(std::move(result.error()).within(std::format("the schema at {} can't be used", place)));
    return result;
}

Result<void> SchemaRules::Builder::cannot(const std::string &place, std::string_view what) const {
    return refuse ? Result<void>(not_enforceable(place, what)) : Result<void>();
}

Result<std::string> SchemaRules::Builder::top(const OrderedJson &schema, const std::string &place) {
    ENGRAM_ASSIGN(const Value result, value(schema, place));
    if (result.rule.empty()) return fail(ErrorCode::invalid_argument, std::format("the schema at {} allows no value", place));
    ENGRAM_TRY(check_ends(place));
    return result.rule;
}

Result<void> SchemaRules::Builder::check_ends(const std::string &place) const {
    std::set<std::string> ends;
    const auto has_end = [&ends, this](const std::string &rule) { return ends.contains(rule) || !needs.contains(rule); };
    for (bool grown = true; grown;) {
        grown = false;
        for (const auto &[rule, ways] : needs) {
            if (ends.contains(rule)) continue;
            const bool ended = std::ranges::any_of(ways, [&](const auto &way) { return std::ranges::all_of(way, has_end); });
            if (ended) ends.insert(rule);
            grown = grown || ended;
        }
    }
    if (ends.size() == needs.size()) return {};
    return fail(ErrorCode::invalid_argument, std::format("the schema at {} needs itself: no value of it ever ends", place));
}

Result<SchemaRules::Builder::Value> SchemaRules::Builder::value(const OrderedJson &schema, const std::string &place) {
    if (++nodes > kMaxNodes || grammar.too_large()) return not_enforceable(place, "it is too large");
    const std::string key = schema.dump();
    if (const auto found = known.find(key); found != known.end()) {
        const Known &before = found->second;
        if (!before.open) return before.value;
        if (before.level == level) {
            return fail(ErrorCode::invalid_argument, std::format("the schema at {} refers to itself", place));
        }
        Value inner = before.value;
        inner.low = before.depth;
        return inner;
    }
    if (depth > kMaxDepth) return not_enforceable(place, "it is nested too deeply");
    const std::size_t here = depth++;
    Known entry{.value = {.rule = grammar.reserve("v")}, .open = true, .depth = here, .level = level};
    known.emplace(key, entry);
    ENGRAM_ASSIGN(const OrderedJson plain, flat(schema, place));
    // For rules within this one that refer to it.
    Value &begun = known[key].value;
    ENGRAM_TRY(describe(plain, begun));
    if (!plain.contains("anyOf")) entry.value = begun;
    ENGRAM_ASSIGN(const std::vector<Way> ways, alternatives(plain, place, entry.value));
    --depth;
    if (entry.value.low >= here) entry.value.low = kNotRecursive;
    if (entry.value.ways > kMaxWays)
        return not_enforceable(place, "too many of its alternatives can't be told apart from their first member on");
    std::string body;
    for (const Way &way : ways) {
        body += std::format("{}{}", body.empty() ? "" : " | ", way.text);
        needs[entry.value.rule].push_back(way.needs);
    }
    if (ways.empty()) {
        // Nothing, for rules within it that refer to it. (An empty class would be an empty text.)
        grammar.define(entry.value.rule, R"([^\x00-\U0010FFFF])");
        entry.value.rule.clear();
    } else {
        grammar.define(entry.value.rule, std::move(body));
    }
    entry.open = false;
    known[key] = entry;
    return entry.value;
}

void SchemaRules::Builder::take(Value &whole, const Value &part) {
    whole.ways = std::max(whole.ways, part.ways);
    whole.low = std::min(whole.low, part.low);
}

Result<std::vector<SchemaRules::Builder::Way>> SchemaRules::Builder::alternatives(const OrderedJson &plain,
                                                                                  const std::string &place, Value &self) {
    std::vector<Way> ways;
    if (plain.is_boolean()) return ways;
    ENGRAM_TRY(check_enforceable(plain, place));
    if (plain.contains("anyOf")) return choices(plain, place, self);
    if (plain.contains("enum")) return values(plain, place);
    const std::vector<std::string> types = types_of(plain);
    if (types.empty() && !plain.contains("type")) return std::vector<Way>{{.text = grammar.json_value(), .needs = {}}};
    for (const std::string &type : types) {
        ENGRAM_ASSIGN(std::optional<Way> way, of_type(type, plain, place, self));
        if (way) ways.push_back(*std::move(way));
    }
    return ways;
}

Result<void> SchemaRules::Builder::check_enforceable(const OrderedJson &plain, const std::string &place) const {
    for (const char *name : {"not", "if", "contains", "propertyNames", "dependentRequired", "dependentSchemas", "dependencies",
                             "unevaluatedItems", "unevaluatedProperties"}) {
        if (plain.contains(name)) ENGRAM_TRY(cannot(place_of(place, name), "there is no grammar for it"));
    }
    if (plain.value("uniqueItems", false) && plain.value("maxItems", 2.0) > 1) {
        ENGRAM_TRY(cannot(place_of(place, "uniqueItems"), "there is no grammar for it"));
    }
    const OrderedJson *step = schema_member(plain, "multipleOf");
    if (step != nullptr && (*step != OrderedJson(1) || allows_type(plain, "number"))) {
        ENGRAM_TRY(cannot(place_of(place, "multipleOf"), "there is no grammar for it"));
    }
    return {};
}

Result<std::vector<SchemaRules::Builder::Way>> SchemaRules::Builder::choices(const OrderedJson &plain, const std::string &place,
                                                                             Value &self) {
    OrderedJson base = plain;
    base.erase("anyOf");
    std::vector<Way> ways;
    std::vector<Value> taken;
    for (std::size_t i = 0; i < plain["anyOf"].size(); ++i) {
        const OrderedJson &choice = plain["anyOf"][i];
        const OrderedJson whole = base.empty() ? choice : OrderedJson{{"allOf", OrderedJson::array({base, choice})}};
        ENGRAM_ASSIGN(Value part, value(whole, place_of(place_of(place, "anyOf"), std::to_string(i))));
        if (part.rule.empty() || std::ranges::contains(taken, part.rule, &Value::rule)) continue;
        ways.push_back({.text = part.rule, .needs = {part.rule}});
        self.object = self.object || part.object;
        self.list = self.list || part.list;
        self.first_keys.insert(part.first_keys.begin(), part.first_keys.end());
        take(self, part);
        taken.push_back(std::move(part));
    }
    std::size_t sum = 0;
    bool alike = false;
    for (std::size_t i = 0; i < taken.size(); ++i) {
        if (taken[i].object || taken[i].list) sum += taken[i].ways;
        for (std::size_t k = 0; k < i; ++k) alike = alike || look_alike(taken[i], taken[k]);
    }
    if (alike) self.ways = std::max(self.ways, sum);
    if (alike && self.low < depth) {
        return not_enforceable(place, "its alternatives contain one another and can't be told apart from their first member on");
    }
    return ways;
}

bool SchemaRules::Builder::look_alike(const Value &a, const Value &b) {
    if (a.list && b.list) return true;
    if (!a.object || !b.object) return false;
    const auto meets = [](const std::string &one, const std::string &other) {
        return one == "*" || other == "*" || one == other || one.starts_with(other + "\n") || other.starts_with(one + "\n");
    };
    return std::ranges::any_of(a.first_keys, [&](const std::string &one) {
        return std::ranges::any_of(b.first_keys, [&](const std::string &other) { return meets(one, other); });
    });
}

Result<std::vector<SchemaRules::Builder::Way>> SchemaRules::Builder::values(const OrderedJson &plain, const std::string &place) {
    std::vector<Way> ways;
    std::vector<std::string> words;
    std::optional<CharAutomaton> allowed;
    ENGRAM_TRY(text_automaton(plain, place, allowed));
    for (const OrderedJson &item : plain["enum"]) {
        if (!allows_type(plain, type_of(item))) continue;
        if (item.is_number() && !within(bounds_of(plain), item.get<double>())) continue;
        if (!item.is_string()) {
            ways.push_back({.text = gbnf_literal(item.dump()), .needs = {}});
        } else if (const auto &text = item.get_ref<const std::string &>(); fits(plain, text, allowed)) {
            words.push_back(text);
        }
    }
    if (!words.empty()) {
        const std::string texts = grammar.texts(CharAutomaton::words(words), Spelling::json, "word");
        ways.push_back({.text = std::format(R"("\"" {} "\"")", texts), .needs = {}});
    }
    return ways;
}

Result<std::optional<SchemaRules::Builder::Way>> SchemaRules::Builder::of_type(const std::string &type, const OrderedJson &plain,
                                                                               const std::string &place, Value &self) {
    const auto simple = [](std::string text) {
        return text.empty() ? std::nullopt : std::optional(Way{.text = std::move(text), .needs = {}});
    };
    if (type == "null") return simple("\"null\"");
    if (type == "boolean") return simple(R"("true" | "false")");
    if (type == "integer") return simple(gbnf_integer(bounds_of(plain)));
    if (type == "number") return simple(gbnf_number(bounds_of(plain)));
    if (type == "string") {
        ENGRAM_ASSIGN(std::string text, string_rule(plain, place));
        return simple(std::move(text));
    }
    if (type == "array" || type == "object") {
        ++level;
        auto way = type == "object" ? object_way(plain, place, self) : list_way(plain, place, self);
        --level;
        return way;
    }
    return fail(ErrorCode::invalid_argument, std::format("the schema at {} names a type \"{}\", which JSON hasn't", place, type));
}

Result<std::optional<SchemaRules::Builder::Way>> SchemaRules::Builder::list_way(const OrderedJson &plain,
                                                                                const std::string &place, Value &self) {
    const auto [least, limit] = lengths_of(plain, "minItems", "maxItems");
    if (least > kLongest) return not_enforceable(place_of(place, "minItems"), "no answer is that long");
    const OrderedJson first = plain.value("prefixItems", OrderedJson::array());
    std::optional<std::uint64_t> most = limit;
    std::vector<Value> items;
    for (std::size_t i = 0; i < first.size() && (!most || i < *most); ++i) {
        ENGRAM_ASSIGN(Value item, value(first[i], place_of(place_of(place, "prefixItems"), std::to_string(i))));
        if (item.rule.empty()) most = i;
        if (!item.rule.empty()) items.push_back(std::move(item));
    }
    const bool closed = !items.empty() && !plain.contains("items") && least <= items.size();
    Value rest;
    if ((!most || *most > items.size()) && !closed) {
        ENGRAM_ASSIGN(rest, value(plain.value("items", OrderedJson(true)), place_of(place, "items")));
    }
    if (rest.rule.empty()) most = std::min<std::uint64_t>(most.value_or(items.size()), items.size());
    if (most && *most < least) return std::nullopt;
    const std::string ws = grammar.white_space();
    Way way;
    const auto need = [&](const Value &item, std::uint64_t index) {
        take(self, item);
        if (index < least) way.needs.push_back(item.rule);
    };
    // From the end: what may stand after `i` items.
    const std::size_t fixed = items.size();
    std::string after = std::format("{} \"]\"", ws);
    if (!rest.rule.empty()) {
        need(rest, fixed);
        const std::string more = grammar.rule("more", std::format(R"("," {} {})", ws, rest.rule));
        const std::uint64_t needed = least > fixed ? least - fixed : 0;
        const auto left = most ? std::optional(*most - fixed) : std::nullopt;
        if (fixed > 0) {
            after = std::format("{} {}", grammar.repeated(more, needed, left), after);
        } else {
            const std::uint64_t further = needed > 0 ? needed - 1 : 0;
            const std::string some = std::format("{} {} {} {}", ws, rest.rule,
                                                 grammar.repeated(more, further, left ? std::optional(*left - 1) : left), after);
            after = needed > 0 ? some : std::format("{} \"]\" | {}", ws, some);
            way.text = std::format("\"[\" ({})", after);
            return way;
        }
    }
    for (std::size_t i = fixed; i-- > 0;) {
        need(items[i], i);
        const std::string next = grammar.rule("items", std::move(after));
        const std::string item = std::format("{}{} {} {}", i > 0 ? "\",\" " : "", ws, items[i].rule, next);
        after = i < least ? item : std::format("{} | {} \"]\"", item, ws);
    }
    way.text = std::format("\"[\" ({})", after);
    return way;
}

SchemaRules::SchemaRules(Grammar &grammar, const OrderedJson &root, Unenforceable unenforceable)
    : builder_(std::make_unique<Builder>(grammar, root, unenforceable)) {}
SchemaRules::~SchemaRules() = default;
SchemaRules::SchemaRules(SchemaRules &&) noexcept = default;

Result<std::string> SchemaRules::value() { return builder_->top(builder_->root, "#"); }
Result<std::string> SchemaRules::value(const OrderedJson &schema, std::string_view place) {
    return builder_->top(schema, std::string(place));
}

Result<std::vector<SchemaRules::Member>> SchemaRules::members() {
    ENGRAM_ASSIGN(const OrderedJson plain, builder_->flat(builder_->root, "#"));
    std::vector<Member> members;
    if (!plain.is_object() || !allows_type(plain, "object")) {
        return fail(ErrorCode::invalid_argument, "the schema at # allows no object");
    }
    const OrderedJson required = plain.value("required", OrderedJson::array());
    const OrderedJson listed = plain.value("properties", OrderedJson::object());
    for (const auto &[name, schema] : listed.items()) {
        members.push_back({.name = name, .schema = schema, .required = std::ranges::contains(required, OrderedJson(name))});
    }
    return members;
}

Result<std::optional<std::string>> SchemaRules::raw_text(const OrderedJson &schema, std::string_view mark,
                                                         std::string_view place) {
    const std::string where(place);
    ENGRAM_ASSIGN(const OrderedJson plain, builder_->flat(schema, where));
    if (!allows_only_texts(plain)) return std::nullopt;
    std::optional<CharAutomaton> allowed;
    ENGRAM_TRY(builder_->text_automaton(plain, where, allowed));
    ENGRAM_TRY(builder_->add_lengths(plain, where, allowed));
    if (const OrderedJson *values = schema_member(plain, "enum")) {
        std::vector<std::string> words;
        for (const OrderedJson &item : *values) {
            if (!allowed || allowed->accepts(item.get<std::string>())) words.push_back(item.get<std::string>());
        }
        allowed = CharAutomaton::words(words);
    }
    CharAutomaton texts = CharAutomaton::without(mark);
    if (allowed) {
        ENGRAM_ASSIGN(texts, CharAutomaton::both(*allowed, texts));
    }
    if (texts.empty()) return fail(ErrorCode::invalid_argument, std::format("the schema at {} allows no value", place));
    return builder_->grammar.texts(texts, Spelling::raw, "raw");
}

Result<std::string> json_object_grammar() {
    Grammar grammar;
    const std::string object = grammar.json_object();
    return grammar.text(object);
}

Result<std::string> json_schema_grammar(std::string_view schema) {
    auto parsed = parse_bounded_json(schema, kMaxSchemaBytes);
    if (!parsed) return std::unexpected(std::move(parsed.error()).within("the schema can't be read"));
    Grammar grammar;
    SchemaRules rules(grammar, *parsed, Unenforceable::refuse);
    ENGRAM_ASSIGN(const std::string root, rules.value());
    return grammar.text(root);
}

}  // namespace engram
