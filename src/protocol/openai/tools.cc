#include "protocol/openai/tools.h"

#include <algorithm>
#include <array>
#include <format>

#include "protocol/openai/request_fields.h"

namespace engram::protocol::openai {
namespace {

constexpr std::size_t kMaxNameBytes = 128;
constexpr std::size_t kMaxTools = 4096;

ApiResult<void> check_type_name(const Field &type) {
    return must_be_one_of(type, {"object", "array", "string", "number", "integer", "boolean", "null"});
}

ApiResult<void> check_each(const std::vector<Field> &schemas) {
    for (const Field &schema : schemas) ENGRAM_TRY(check_schema(schema));
    return {};
}

// Keywords whose value is an object of schemas.
ApiResult<void> check_members(const Field &members) {
    if (!members.present()) return {};
    ENGRAM_TRY(members.must_be_object());
    for (const auto &[name, schema] : members.json().items()) ENGRAM_TRY(check_schema(members[name]));
    return {};
}

bool has_tool(std::span<const ChatTool> tools, std::string_view name) {
    return std::ranges::any_of(tools, [&](const ChatTool &tool) { return tool.name == name; });
}

// The name in a choice of a function, checked to be one of the tools.
ApiResult<std::string> chosen_name(const Field &choice, std::span<const ChatTool> tools, ToolShape shape) {
    ENGRAM_TRY(choice["type"].text());
    if (choice["type"].json() != "function") return choice["type"].wrong("must be \"function\": there are no other tools here");
    const Field definition = shape == ToolShape::nested ? choice["function"] : choice;
    ENGRAM_TRY(definition.must_be_object());
    ENGRAM_ASSIGN(const std::string plain, definition["name"].text_that_is_not_empty());
    ENGRAM_ASSIGN(const std::string space, definition["namespace"].text_or(""));
    std::string name = qualified_name(space, plain);
    if (!has_tool(tools, name)) return definition["name"].wrong(std::format("there is no tool \"{}\" in this request", name));
    return name;
}

}  // namespace

std::string qualified_name(std::string_view space, std::string_view name) {
    return space.empty() ? std::string(name) : std::format("{}__{}", space, name);
}

ApiResult<std::string> check_name(const Field &name) {
    ENGRAM_ASSIGN(std::string text, name.text_that_is_not_empty());
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    };
    if (text.size() > kMaxNameBytes || !std::ranges::all_of(text, allowed)) {
        return name.wrong(std::format("must be at most {} letters, digits, '_', '-' and '.'", kMaxNameBytes));
    }
    return text;
}

ApiResult<void> check_schema(const Field &schema) {
    if (schema.is_boolean()) return {};
    ENGRAM_TRY(schema.must_be_object());
    if (const Field type = schema["type"]; type.is_array()) {
        for (const Field &name : type.elements()) ENGRAM_TRY(check_type_name(name));
    } else {
        ENGRAM_TRY(check_type_name(type));
    }
    for (const char *keyword : {"properties", "$defs", "definitions", "patternProperties"}) {
        ENGRAM_TRY(check_members(schema[keyword]));
    }
    for (const char *keyword : {"anyOf", "oneOf", "allOf", "prefixItems"}) {
        if (!schema[keyword].present()) continue;
        ENGRAM_TRY(schema[keyword].must_be_array(1, SIZE_MAX));
        ENGRAM_TRY(check_each(schema[keyword].elements()));
    }
    for (const char *keyword : {"items", "additionalProperties", "not"}) {
        if (schema[keyword].is_array()) {
            ENGRAM_TRY(check_each(schema[keyword].elements()));  // `items` as a list: older drafts
        } else if (schema[keyword].present()) {
            ENGRAM_TRY(check_schema(schema[keyword]));
        }
    }
    if (const Field required = schema["required"]; required.present()) {
        ENGRAM_TRY(required.must_be_array(0, SIZE_MAX));
        for (const Field &name : required.elements()) ENGRAM_TRY(name.text());
    }
    if (schema["enum"].present()) ENGRAM_TRY(schema["enum"].must_be_array(1, SIZE_MAX));
    return {};
}

ApiResult<ChatTool> function_tool(const Field &definition, bool strict_when_absent) {
    ENGRAM_TRY(definition.must_be_object());
    ChatTool tool;
    ENGRAM_ASSIGN(tool.name, check_name(definition["name"]));
    ENGRAM_ASSIGN(tool.description, definition["description"].text_or(""));
    ENGRAM_ASSIGN(tool.strict, definition["strict"].boolean_or(strict_when_absent));
    const Field parameters = definition["parameters"];
    if (!parameters.present()) return tool;
    ENGRAM_TRY(parameters.must_be_object());
    if (const Field type = parameters["type"]; type.present() && type.json() != "object") {
        return type.wrong("must be \"object\": a function's parameters are the members of one");
    }
    ENGRAM_TRY(check_schema(parameters));
    tool.parameters = parameters.compact();
    return tool;
}

ApiResult<void> add_tool(ChatTool tool, const Field &name, std::vector<ChatTool> &tools) {
    if (tools.size() == kMaxTools) return name.wrong(std::format("is that of one tool more than {}", kMaxTools));
    if (has_tool(tools, tool.name)) return name.wrong(std::format("there are two tools with the name \"{}\"", tool.name));
    tools.push_back(std::move(tool));
    return {};
}

ApiResult<ToolChoice> tool_choice_of(const Field &choice, std::span<const ChatTool> tools, ToolShape shape) {
    ToolChoice result;
    if (!choice.present()) return result;
    const auto use_by_word = [&](const Field &word, std::initializer_list<std::string_view> words) -> ApiResult<ToolUse> {
        ENGRAM_TRY(must_be_one_of(word, words));
        if (word.json() == "none") return ToolUse::none;
        if (word.json() != "required") return ToolUse::automatic;
        if (tools.empty()) return word.wrong("is only possible together with tools");
        return ToolUse::required;
    };
    if (choice.is_text()) {
        ENGRAM_ASSIGN(result.use, use_by_word(choice, {"none", "auto", "required"}));
        return result;
    }
    if (!choice.is_object()) return choice.wrong("must be a string or an object");
    ENGRAM_TRY(choice["type"].text());
    if (choice["type"].json() != "allowed_tools") {
        ENGRAM_ASSIGN(result.name, chosen_name(choice, tools, shape));
        result.use = ToolUse::named;
        return result;
    }
    const Field allowed = shape == ToolShape::nested ? choice["allowed_tools"] : choice;
    ENGRAM_TRY(allowed["mode"].text());
    ENGRAM_ASSIGN(result.use, use_by_word(allowed["mode"], {"auto", "required"}));
    ENGRAM_TRY(allowed["tools"].must_be_array(1, SIZE_MAX));
    for (const Field &tool : allowed["tools"].elements()) {
        ENGRAM_ASSIGN(std::string name, chosen_name(tool, tools, shape));
        result.allowed.push_back(std::move(name));
    }
    return result;
}

}  // namespace engram::protocol::openai
