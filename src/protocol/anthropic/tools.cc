#include "protocol/anthropic/tools.h"

#include <algorithm>
#include <array>
#include <format>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "protocol/anthropic/cache_control.h"

namespace engram::protocol::anthropic {
namespace {

constexpr std::size_t kMaxTools = 4096;
constexpr std::size_t kMaxNameBytes = 128;

// What the vendor's documentation says of the tools that clients run without sending a schema. A type is the prefix and a date.
struct TypedTool {
    std::string_view type_prefix, description, parameters;
};

constexpr std::string_view kEditorCommands =
    R"("path":{"type":"string","description":"Absolute path of the file or directory."},)"
    R"("file_text":{"type":"string","description":"With create: the file's content."},)"
    R"("old_str":{"type":"string","description":"With str_replace: the text to replace, which must occur exactly once."},)"
    R"("new_str":{"type":"string","description":"With str_replace: the text to put in its place."},)"
    R"("insert_line":{"type":"integer","description":"With insert: the line after which to insert; 0 is the beginning."},)"
    R"("insert_text":{"type":"string","description":"With insert: the text to insert."},)"
    R"("view_range":{"type":"array","items":{"type":"integer"},"description":"With view: first and last line, from 1; -1 is the end."})";

constexpr std::array kTypedTools{
    TypedTool{"bash_", "Runs a command in a bash session that stays the same between calls, and gives back what it prints.",
              R"({"type":"object","properties":{"command":{"type":"string","description":"The command to run."},)"
              R"("restart":{"type":"boolean","description":"True: start the session anew instead of running a command."}}})"},
    TypedTool{"text_editor_", "Views, creates and changes text files.",
              R"({"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert"]},{}},)"
              R"("required":["command","path"]})"},
    TypedTool{"memory_", "Keeps files under /memories, which stay from one conversation to the next.",
              R"({"type":"object","properties":{"command":{"type":"string",)"
              R"("enum":["view","create","str_replace","insert","delete","rename"]},{},)"
              R"("old_path":{"type":"string","description":"With rename: the file's path."},)"
              R"("new_path":{"type":"string","description":"With rename: its new path."}},"required":["command"]})"}};

constexpr std::array<std::string_view, 6> kRunByVendor{"web_search_",       "web_fetch_", "code_execution_",
                                                       "tool_search_tool_", "advisor_",   "mcp_toolset"};

bool begins_with_one_of(std::string_view type, std::span<const std::string_view> prefixes) {
    return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return type.starts_with(prefix); });
}

bool is_name(std::string_view text) {
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    };
    return !text.empty() && text.size() <= kMaxNameBytes && std::ranges::all_of(text, fits);
}

ApiResult<void> check_schema(const Field &schema) {
    ENGRAM_TRY(schema.must_be_object());
    ENGRAM_ASSIGN(const std::string type, schema["type"].text());
    if (type != "object") return schema["type"].wrong("must be \"object\"");
    if (const Field properties = schema["properties"]; properties.present()) ENGRAM_TRY(properties.must_be_object());
    const Field required = schema["required"];
    if (!required.present()) return {};
    ENGRAM_TRY(required.must_be_array(0, kMaxTools));
    for (const Field &name : required.elements()) {
        if (auto text = name.text(); !text) return std::unexpected(std::move(text.error()));
    }
    return {};
}

ApiResult<ChatTool> read_custom(const Field &tool) {
    ChatTool result;
    ENGRAM_ASSIGN(result.name, tool["name"].text());
    if (!is_name(result.name)) {
        return tool["name"].wrong(std::format("must be 1 to {} letters, digits, \"_\" or \"-\"", kMaxNameBytes));
    }
    ENGRAM_ASSIGN(result.description, tool["description"].text_or(""));
    ENGRAM_TRY(check_schema(tool["input_schema"]));
    result.parameters = tool["input_schema"].compact();
    ENGRAM_ASSIGN(result.strict, tool["strict"].boolean_or(false));
    return result;
}

ApiResult<ChatTool> read_typed(const Field &tool, std::string_view type) {
    const auto found = std::ranges::find_if(kTypedTools, [&](const TypedTool &t) { return type.starts_with(t.type_prefix); });
    if (found == kTypedTools.end()) {
        if (type.starts_with("computer_") || type.starts_with("browser_")) {
            return tool["type"].wrong(std::format("\"{}\" answers with pictures, and this model reads text only", type));
        }
        return tool["type"].wrong(
            std::format("\"{}\" is no tool that is known here; use a custom tool with an input_schema", type));
    }
    ChatTool result;
    ENGRAM_ASSIGN(result.name, tool["name"].text());
    if (!is_name(result.name)) return tool["name"].wrong("must be the name that belongs to the tool's type");
    result.description = found->description;
    result.parameters = found->parameters;
    if (const auto gap = result.parameters.find("{}"); gap != std::string::npos) {
        result.parameters.replace(gap, 2, kEditorCommands);
    }
    ENGRAM_ASSIGN(result.strict, tool["strict"].boolean_or(false));
    return result;
}

ApiResult<std::string> type_of(const Field &tool) {
    ENGRAM_TRY(tool.must_be_object());
    return tool["type"].text_or("custom");
}

}  // namespace

ApiResult<ChatTool> read_tool(const Field &tool) {
    ENGRAM_ASSIGN(const std::string type, type_of(tool));
    return type == "custom" ? read_custom(tool) : read_typed(tool, type);
}

ApiResult<ToolSet> read_tools(const Field &list, Retention &longest) {
    ToolSet tools;
    if (!list.present()) return tools;
    ENGRAM_TRY(list.must_be_array(0, kMaxTools));
    std::vector<std::pair<ChatTool, bool>> known;  // and whether it is deferred
    std::set<std::string> names;
    bool searched_at_vendor = false, some_are_shown = false;
    for (const Field &tool : list.elements()) {
        ENGRAM_ASSIGN(const std::string type, type_of(tool));
        ENGRAM_TRY(note_cache_control(tool, longest));
        if (begins_with_one_of(type, kRunByVendor)) {
            ENGRAM_ASSIGN(std::string name, tool["name"].text_or(type));
            tools.left_out.push_back(std::move(name));
            searched_at_vendor = searched_at_vendor || type.starts_with("tool_search_tool_");
            continue;
        }
        ENGRAM_ASSIGN(ChatTool read, read_tool(tool));
        ENGRAM_ASSIGN(const bool deferred, tool["defer_loading"].boolean_or(false));
        if (!names.insert(read.name).second) return list.wrong("Tool names must be unique.");
        some_are_shown = some_are_shown || !deferred;
        known.emplace_back(std::move(read), deferred);
    }
    if (known.empty() && !tools.left_out.empty()) {
        return list.wrong(
            std::format("\"{}\" runs at the vendor and isn't available here; leave it out, or give tools of your own",
                        tools.left_out.front()));
    }
    const bool can_be_found = some_are_shown && !searched_at_vendor;
    for (auto &[tool, deferred] : known) (deferred && can_be_found ? tools.deferred : tools.shown).push_back(std::move(tool));
    return tools;
}

ApiResult<ToolChoice> read_tool_choice(const Field &choice, std::span<const ChatTool> told,
                                       std::span<const std::string> withdrawn, ToolSet &tools) {
    ToolChoice result;
    if (!choice.present()) return result;
    ENGRAM_TRY(choice.must_be_object());
    ENGRAM_ASSIGN(const std::string type, choice["type"].text());
    ENGRAM_ASSIGN(const bool single, choice["disable_parallel_tool_use"].boolean_or(false));
    result.parallel = !single;
    if (type == "auto") return result;
    if (type == "none") {
        result.use = ToolUse::none;
        return result;
    }
    if (type != "any" && type != "tool") return choice["type"].wrong(R"(must be "auto", "any", "tool" or "none")");
    if (tools.shown.empty() && told.empty()) return choice.wrong("tool_choice may only be specified while providing `tools`.");
    result.use = type == "any" ? ToolUse::required : ToolUse::named;
    if (type == "any") return result;
    ENGRAM_ASSIGN(result.name, choice["name"].text());
    const auto named = [&](const ChatTool &tool) { return tool.name == result.name; };
    if (std::ranges::contains(withdrawn, result.name)) {
        return choice.wrong(std::format("Tool '{}' was removed by the conversation", result.name));
    }
    if (std::ranges::any_of(tools.shown, named) || std::ranges::any_of(told, named)) return result;
    const auto found = std::ranges::find_if(tools.deferred, named);
    if (found == tools.deferred.end()) return choice.wrong(std::format("Tool '{}' not found in provided tools", result.name));
    tools.shown.push_back(*found);
    return result;
}

}  // namespace engram::protocol::anthropic
