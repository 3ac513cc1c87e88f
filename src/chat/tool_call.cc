#include "chat/tool_call.h"

#include <format>
#include <utility>

#include "chat/bounded_json.h"

namespace engram {
namespace {

constexpr std::size_t kMaxToolBytes = 4UZ << 20U;
constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(kSpace);
    return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

const OrderedJson *member(const OrderedJson &object, const char *name) {
    const auto found = object.find(name);  // the end when it is no object
    return found == object.end() ? nullptr : &*found;
}

// A name, and arguments under one of two names: an object, a text that holds one, or nothing at all.
Result<ToolCall> call_of(const OrderedJson &object) {
    const OrderedJson *name = member(object, "name");
    if (name == nullptr || !name->is_string() || name->get_ref<const std::string &>().empty()) {
        return fail(ErrorCode::invalid_argument, "it is not an object with a \"name\"");
    }
    const OrderedJson *arguments = member(object, "arguments");
    if (arguments == nullptr) arguments = member(object, "parameters");
    ToolCall call{.name = name->get<std::string>(), .arguments = "{}"};
    if (arguments == nullptr || arguments->is_null()) return call;
    if (arguments->is_object()) {
        call.arguments = arguments->dump();
        return call;
    }
    if (!arguments->is_string()) return fail(ErrorCode::invalid_argument, "its \"arguments\" are not an object");
    auto inside = parse_bounded_json(arguments->get_ref<const std::string &>(), kMaxToolBytes);
    if (!inside || !inside->is_object())
        return fail(ErrorCode::invalid_argument, "its \"arguments\" are a text that holds no object");
    call.arguments = inside->dump();
    return call;
}

}  // namespace

Result<ToolCall> parse_call(std::string_view json) {
    ENGRAM_ASSIGN(const OrderedJson parsed, parse_bounded_json(json, kMaxToolBytes));
    const OrderedJson *function = member(parsed, "function");
    return call_of(function != nullptr && function->is_object() ? *function : parsed);
}

std::string tool_calls_json(std::span<const ToolCall> calls) {
    std::string json;
    for (const ToolCall &call : calls) {
        json += json.empty() ? "[" : ",";
        const std::string id = call.id.empty() ? "" : std::format(R"("id":{},)", OrderedJson(call.id).dump());
        json += std::format(R"({{{}"type":"function","function":{{"name":{},"arguments":{}}}}})", id,
                            OrderedJson(call.name).dump(), call.arguments);
    }
    return json.empty() ? json : json + "]";
}

std::string tool_json(const ChatTool &tool) {
    const auto quoted = [](const std::string &text) {
        return OrderedJson(text).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    };
    return std::format(R"({{"type":"function","function":{{"name":{},"description":{},"parameters":{}}}}})", quoted(tool.name),
                       quoted(tool.description), tool.parameters);
}

std::string tools_json(std::span<const ChatTool> tools) {
    std::string json;
    for (const ChatTool &tool : tools) {
        json += json.empty() ? "[" : ",";
        json += tool_json(tool);
    }
    return json.empty() ? json : json + "]";
}

Result<std::vector<ToolCall>> parse_tool_calls(std::string_view json) {
    std::vector<ToolCall> calls;
    if (json.empty()) return calls;
    auto list = parse_bounded_json(json, kMaxToolBytes);
    if (!list) return std::unexpected(std::move(list.error()).within("a message's tool calls can't be read"));
    if (!list->is_array()) return fail(ErrorCode::invalid_argument, "a message's tool calls are not a JSON list");
    for (const OrderedJson &item : *list) {
        const OrderedJson *function = member(item, "function");
        auto call = function == nullptr ? Result<ToolCall>(fail(ErrorCode::invalid_argument, "it has no \"function\""))
                                        : call_of(*function);
        if (!call) {
            return std::unexpected(
                std::move(call.error()).within(std::format("tool call {} of a message is wrong", calls.size())));
        }
        if (const OrderedJson *id = member(item, "id"); id != nullptr && id->is_string()) call->id = id->get<std::string>();
        calls.push_back(*std::move(call));
    }
    return calls;
}

Result<std::string> checked_tools(std::string_view json) {
    if (trimmed(json).empty()) return std::string();
    auto list = parse_bounded_json(json, kMaxToolBytes);
    if (!list) return std::unexpected(std::move(list.error()).within("the tools can't be read"));
    if (!list->is_array()) return fail(ErrorCode::invalid_argument, "the tools are not a JSON list");
    for (std::size_t i = 0; i < list->size(); ++i) {
        const OrderedJson *type = member((*list)[i], "type");
        const OrderedJson *function = member((*list)[i], "function");
        const OrderedJson *name = function == nullptr ? nullptr : member(*function, "name");
        const OrderedJson *parameters = function == nullptr ? nullptr : member(*function, "parameters");
        const bool named = name != nullptr && name->is_string() && !name->get_ref<const std::string &>().empty();
        if (type == nullptr || *type != "function" || !named || (parameters != nullptr && !parameters->is_object())) {
            return fail(ErrorCode::invalid_argument,
                        std::format("tool {} is not a function tool: {{\"type\": \"function\", \"function\": {{\"name\": …, "
                                    "\"parameters\": {{…}}}}}}",
                                    i));
        }
    }
    return list->empty() ? std::string() : list->dump();
}

Result<std::vector<ChatTool>> parse_tools(std::string_view json) {
    ENGRAM_ASSIGN(const std::string checked, checked_tools(json));
    std::vector<ChatTool> tools;
    if (checked.empty()) return tools;
    for (const OrderedJson &item : OrderedJson::parse(checked, nullptr, false)) {
        const OrderedJson &function = item["function"];
        ChatTool tool{.name = function["name"].get<std::string>(), .description = {}};
        const OrderedJson *description = member(function, "description");
        if (description != nullptr && description->is_string()) tool.description = description->get<std::string>();
        if (const OrderedJson *parameters = member(function, "parameters")) tool.parameters = parameters->dump();
        tools.push_back(std::move(tool));
    }
    return tools;
}

}  // namespace engram
