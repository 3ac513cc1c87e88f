#include "chat/json_schema.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>

namespace engram {
namespace {

constexpr std::size_t kMaxReferences = 64;
constexpr std::size_t kMaxCombinations = 256;
constexpr std::size_t kMaxMergedBytes = 256UZ << 10U;
constexpr std::size_t kMaxListed = 4096;                           // elements of one list: they are looked up one by one
constexpr std::size_t kMaxSpent = 2'000'000;                       // some tenths of a second
constexpr std::size_t kLeastSpent = 200'000, kSpentForEach = 128;  // value of the document
constexpr std::size_t kSpentOnLook = 16;                           // values, that looking at a schema costs at least

std::unexpected<Error> wrong(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

enum class Kind : std::uint8_t { number, count, object, list, texts, schema, schemas, flag, any };

struct Keyword {
    const char *name;
    Kind kind;
};

// What is kept as it is.
constexpr std::array<Keyword, 29> kKeywords{{{"enum", Kind::list},
                                             {"properties", Kind::object},
                                             {"patternProperties", Kind::object},
                                             {"additionalProperties", Kind::schema},
                                             {"required", Kind::texts},
                                             {"minProperties", Kind::count},
                                             {"maxProperties", Kind::count},
                                             {"propertyNames", Kind::schema},
                                             {"prefixItems", Kind::schemas},
                                             {"items", Kind::schema},
                                             {"minItems", Kind::count},
                                             {"maxItems", Kind::count},
                                             {"uniqueItems", Kind::flag},
                                             {"contains", Kind::schema},
                                             {"minimum", Kind::number},
                                             {"maximum", Kind::number},
                                             {"exclusiveMinimum", Kind::number},
                                             {"exclusiveMaximum", Kind::number},
                                             {"multipleOf", Kind::number},
                                             {"minLength", Kind::count},
                                             {"maxLength", Kind::count},
                                             {"anyOf", Kind::schemas},
                                             {"not", Kind::schema},
                                             {"if", Kind::schema},
                                             {"dependentRequired", Kind::object},
                                             {"dependentSchemas", Kind::object},
                                             {"dependencies", Kind::object},
                                             {"unevaluatedItems", Kind::schema},
                                             {"unevaluatedProperties", Kind::schema}}};

bool is_text(const OrderedJson &value) { return value.is_string(); }
bool is_schema(const OrderedJson &value) { return value.is_object() || value.is_boolean(); }

bool is_of(const OrderedJson &value, Kind kind) {
    switch (kind) {
        case Kind::number: return value.is_number();
        case Kind::count: return value.is_number() && value.get<double>() >= 0;
        case Kind::object: return value.is_object();
        case Kind::list: return value.is_array();
        case Kind::texts: return value.is_array() && std::ranges::all_of(value, is_text);
        case Kind::schema: return is_schema(value);
        case Kind::schemas: return value.is_array() && std::ranges::all_of(value, is_schema);
        case Kind::flag: return value.is_boolean();
        case Kind::any: break;
    }
    return true;
}

OrderedJson all_of(const OrderedJson &a, const OrderedJson &b) {
    if (a == b || b == OrderedJson(true)) return a;
    if (a == OrderedJson(true)) return b;
    return {{"allOf", OrderedJson::array({a, b})}};
}

OrderedJson list_of(const OrderedJson &value) { return value.is_array() ? value : OrderedJson::array({value}); }

bool contains(const OrderedJson &list, const OrderedJson &value) { return std::ranges::find(list, value) != list.end(); }

// NOLINTNEXTLINE(misc-no-recursion): as deep as a text that is bounded, and what is put together of it
std::size_t values_in(const OrderedJson &json) {
    std::size_t count = 1;
    if (json.is_structured()) {
        for (const OrderedJson &inner : json) count += values_in(inner);
    }
    return count;
}

// Older spellings: draft 4's exclusive bounds, tuples as lists of items, OpenAPI's nullable.
void modernize(OrderedJson &schema) {
    constexpr std::array<std::pair<const char *, const char *>, 2> kBounds{
        {{"exclusiveMinimum", "minimum"}, {"exclusiveMaximum", "maximum"}}};
    for (const auto &[exclusive, bound] : kBounds) {
        if (!schema.contains(exclusive) || !schema[exclusive].is_boolean()) continue;
        const bool excluded = schema[exclusive] == true && schema.contains(bound);
        const OrderedJson value = excluded ? schema[bound] : OrderedJson();
        schema.erase(exclusive);
        if (excluded) schema[exclusive] = value;
    }
    if (schema.contains("items") && schema["items"].is_array()) {
        schema["prefixItems"] = OrderedJson(schema["items"]);
        schema.erase("items");
        if (schema.contains("additionalItems")) schema["items"] = OrderedJson(schema["additionalItems"]);
    }
    if (schema.contains("nullable") && schema["nullable"] == true) {
        if (schema.contains("type")) {
            schema["type"] = list_of(schema["type"]);
            if (!contains(schema["type"], "null")) schema["type"].push_back("null");
        }
        if (schema.contains("enum") && schema["enum"].is_array() && !contains(schema["enum"], nullptr)) {
            schema["enum"].push_back(nullptr);
        }
    }
}

// The schema's own members, without what it refers to.
Result<OrderedJson> own(OrderedJson schema) {
    modernize(schema);
    OrderedJson result = OrderedJson::object();
    for (const auto &[name, kind] : kKeywords) {
        if (!schema.contains(name)) continue;
        if (!is_of(schema[name], kind)) return wrong(std::format("\"{}\" is not what it must be", name));
        if (schema[name].is_array() && schema[name].size() > kMaxListed) {
            return fail(ErrorCode::unsupported, std::format("\"{}\" has more than {} elements", name, kMaxListed));
        }
        result[name] = schema[name];
    }
    for (const char *name : {"type", "pattern", "format"}) {
        if (!schema.contains(name)) continue;
        result[name] = list_of(schema[name]);
        if (!is_of(result[name], Kind::texts)) return wrong(std::format("\"{}\" is not a text", name));
        if (result[name].size() > kMaxCombinations) {
            return fail(ErrorCode::unsupported, std::format("\"{}\" has more than {} elements", name, kMaxCombinations));
        }
    }
    if (schema.contains("const")) {
        const bool among = !result.contains("enum") || contains(result["enum"], schema["const"]);
        result["enum"] = among ? OrderedJson::array({schema["const"]}) : OrderedJson::array();
    }
    return result;
}

OrderedJson common(const OrderedJson &a, const OrderedJson &b) {
    OrderedJson result = OrderedJson::array();
    for (const OrderedJson &value : a) {
        if (contains(b, value)) result.push_back(value);
    }
    return result;
}

OrderedJson common_types(const OrderedJson &a, const OrderedJson &b) {
    OrderedJson result = common(a, b);
    const auto integers = [](const OrderedJson &one, const OrderedJson &other) {
        return contains(one, "integer") && contains(other, "number") && !contains(other, "integer");
    };
    if (!contains(result, "integer") && (integers(a, b) || integers(b, a))) result.push_back("integer");
    return result;
}

// What a schema says of the property `name` that it doesn't list.
OrderedJson unlisted(const OrderedJson &schema) { return schema.value("additionalProperties", OrderedJson(true)); }

void merge_properties(OrderedJson &a, const OrderedJson &b) {
    const OrderedJson empty = OrderedJson::object();
    const OrderedJson mine = a.value("properties", empty);
    const OrderedJson theirs = b.value("properties", empty);
    // A pattern may speak of names that the other schema lists; both hold then, which is found out where rules are made.
    OrderedJson result = OrderedJson::object();
    for (const auto &[name, schema] : mine.items()) {
        result[name] = all_of(schema, theirs.contains(name) ? theirs[name] : unlisted(b));
    }
    for (const auto &[name, schema] : theirs.items()) {
        if (!mine.contains(name)) result[name] = all_of(unlisted(a), schema);
    }
    if (!result.empty()) a["properties"] = std::move(result);
    if (a.contains("additionalProperties") || b.contains("additionalProperties")) {
        a["additionalProperties"] = all_of(unlisted(a), unlisted(b));
    }
}

void merge_items(OrderedJson &a, const OrderedJson &b) {
    const OrderedJson none = OrderedJson::array();
    const OrderedJson mine = a.value("prefixItems", none);
    const OrderedJson theirs = b.value("prefixItems", none);
    const OrderedJson my_rest = a.value("items", OrderedJson(true));
    const OrderedJson their_rest = b.value("items", OrderedJson(true));
    OrderedJson result = none;
    for (std::size_t i = 0; i < std::max(mine.size(), theirs.size()); ++i) {
        result.push_back(all_of(i < mine.size() ? mine[i] : my_rest, i < theirs.size() ? theirs[i] : their_rest));
    }
    if (!result.empty()) a["prefixItems"] = std::move(result);
    if (a.contains("items") || b.contains("items")) a["items"] = all_of(my_rest, their_rest);
}

Result<void> merge_choices(OrderedJson &a, const OrderedJson &b) {
    if (!a.contains("anyOf")) {
        a["anyOf"] = b["anyOf"];
        return {};
    }
    OrderedJson result = OrderedJson::array();
    if (a["anyOf"].size() * b["anyOf"].size() > kMaxCombinations) {
        return fail(ErrorCode::unsupported, std::format("its alternatives have more than {} combinations", kMaxCombinations));
    }
    for (const OrderedJson &mine : a["anyOf"]) {
        for (const OrderedJson &theirs : b["anyOf"]) result.push_back(all_of(mine, theirs));
    }
    a["anyOf"] = std::move(result);
    return {};
}

// Makes `a` say what `b` says too. Both are flat.
Result<void> merge(OrderedJson &a, const OrderedJson &b) {
    if (a.is_boolean() || b.is_boolean()) {
        a = false;
        return {};
    }
    if (a.contains("properties") || b.contains("properties") || b.contains("additionalProperties")) merge_properties(a, b);
    if (b.contains("prefixItems") || b.contains("items")) merge_items(a, b);
    if (b.contains("anyOf")) ENGRAM_TRY(merge_choices(a, b));
    for (const auto &[name, value] : b.items()) {
        const bool both = a.contains(name);
        if (name == "properties" || name == "additionalProperties" || name == "prefixItems" || name == "items" ||
            name == "anyOf") {
            continue;
        }
        if (!both) {
            a[name] = value;
        } else if (name == "type") {
            a[name] = common_types(a[name], value);
        } else if (name == "enum") {
            a[name] = common(a[name], value);
        } else if (name.starts_with("min") || name == "exclusiveMinimum") {
            a[name] = std::max(a[name], value);
        } else if (name.starts_with("max") || name == "exclusiveMaximum") {
            a[name] = std::min(a[name], value);
        } else if (name == "required" || name == "pattern" || name == "format") {
            for (const OrderedJson &item : value) {
                if (!contains(a[name], item)) a[name].push_back(item);
            }
        } else if (name == "patternProperties") {
            for (const auto &[pattern, schema] : value.items()) {
                a[name][pattern] = a[name].contains(pattern) ? all_of(a[name][pattern], schema) : schema;
            }
        } else if (value != a[name]) {
            // Keywords that aren't enforced anyway: that they are there is what counts.
            a[name] = all_of(a[name], value);
        }
    }
    if (a.dump().size() > kMaxMergedBytes) return fail(ErrorCode::unsupported, "its parts are too large when put together");
    return {};
}

}  // namespace

const OrderedJson *schema_member(const OrderedJson &schema, const char *name) {
    const auto found = schema.find(name);
    return found == schema.end() ? nullptr : &*found;
}

Result<OrderedJson> SchemaDocument::referred(const std::string &reference) const {
    if (!reference.starts_with('#')) {
        return fail(ErrorCode::unsupported, std::format("it refers to \"{}\", which is another document", reference));
    }
    try {
        std::string pointer = reference.substr(1);
        for (std::size_t at = pointer.find('%'); at != std::string::npos && at + 2 < pointer.size();
             at = pointer.find('%', at + 1)) {
            pointer.replace(at, 3, 1, static_cast<char>(std::stoi(pointer.substr(at + 1, 2), nullptr, 16)));
        }
        return root_.at(OrderedJson::json_pointer(pointer));
    } catch (const std::exception &) {
        return wrong(std::format("it refers to \"{}\", which is not there", reference));
    }
}

Result<void> SchemaDocument::spend(const OrderedJson &looked_at) const {
    if (most_ == 0) most_ = std::clamp(kSpentForEach * values_in(root_), kLeastSpent, kMaxSpent);
    spent_ += kSpentOnLook + values_in(looked_at);
    if (spent_ <= most_) return {};
    return fail(ErrorCode::unsupported, "it is too large, or its references multiply");
}

Result<OrderedJson> SchemaDocument::flat(const OrderedJson &schema) const { return flat(schema, 0); }

Result<OrderedJson> SchemaDocument::flat(const OrderedJson &schema, std::size_t depth) const {
    if (depth > kMaxReferences) return wrong("it refers to itself");
    if (schema.is_boolean()) return schema.get<bool>() ? OrderedJson::object() : OrderedJson(false);
    if (!schema.is_object()) return wrong("it is no schema");
    ENGRAM_TRY(spend(schema));
    ENGRAM_ASSIGN(OrderedJson result, own(schema));
    const auto add = [&](const OrderedJson &more) -> Result<void> {
        ENGRAM_ASSIGN(const OrderedJson part, flat(more, depth + 1));
        ENGRAM_TRY(spend(result));
        return merge(result, part);
    };
    if (const OrderedJson *reference = schema_member(schema, "$ref")) {
        if (!reference->is_string()) return wrong("\"$ref\" is not a text");
        ENGRAM_ASSIGN(const OrderedJson target, referred(reference->get<std::string>()));
        ENGRAM_TRY(add(target));
    }
    if (const OrderedJson *parts = schema_member(schema, "allOf")) {
        if (!is_of(*parts, Kind::schemas)) return wrong("\"allOf\" is not a list of schemas");
        for (const OrderedJson &part : *parts) ENGRAM_TRY(add(part));
    }
    if (const OrderedJson *choices = schema_member(schema, "oneOf")) {
        if (!is_of(*choices, Kind::schemas)) return wrong("\"oneOf\" is not a list of schemas");
        ENGRAM_TRY(merge(result, OrderedJson{{"anyOf", *choices}}));
    }
    return result;
}

}  // namespace engram
