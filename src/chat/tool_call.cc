#include "chat/tool_call.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>

#include "chat/bounded_json.h"

namespace engram {
namespace {

constexpr std::size_t kMaxToolBytes = 4UZ << 20U;
constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";
constexpr std::string_view kPythonTag = "<|python_tag|>";
constexpr std::string_view kMistral = "[TOOL_CALLS]";
constexpr std::array<std::string_view, 4> kMarks{kOpen, kClose, kPythonTag, kMistral};

constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(kSpace);
    return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

void append_line(std::string &text, std::string_view more) {
    more = trimmed(more);
    if (!text.empty() && !more.empty()) text += '\n';
    text += more;
}

std::unexpected<Error> no_call(std::string_view why) {
    return fail(ErrorCode::invalid_argument, std::format("the answer's tool call is malformed: {}", why));
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

Result<ToolCall> call_in(std::string_view json) {
    auto parsed = parse_bounded_json(json, kMaxToolBytes);
    if (!parsed) return no_call(parsed.error().message);
    auto call = call_of(*parsed);
    if (!call) return no_call(call.error().message);
    return call;
}

Result<ParsedAnswer> hermes(std::string_view answer) {
    ParsedAnswer parsed;
    for (std::size_t at = answer.find(kOpen); at != std::string_view::npos; at = answer.find(kOpen)) {
        append_line(parsed.text, answer.substr(0, at));
        answer.remove_prefix(at + kOpen.size());
        const std::size_t end = answer.find(kClose);  // missing where it is an end-of-turn token, or was cut off
        ENGRAM_ASSIGN(ToolCall call, call_in(answer.substr(0, end)));
        parsed.calls.push_back(std::move(call));
        answer.remove_prefix(end == std::string_view::npos ? answer.size() : end + kClose.size());
    }
    append_line(parsed.text, answer);
    return parsed;
}

Result<ParsedAnswer> mistral(std::string_view answer, std::size_t mark) {
    ParsedAnswer parsed;
    append_line(parsed.text, answer.substr(0, mark));
    const auto list = parse_bounded_json(answer.substr(mark + kMistral.size()), kMaxToolBytes);
    if (!list) return no_call(list.error().message);
    if (!list->is_array() || list->empty()) return no_call("after [TOOL_CALLS] there is no list of calls");
    for (const OrderedJson &item : *list) {
        auto call = call_of(item);
        if (!call) return no_call(call.error().message);
        parsed.calls.push_back(*std::move(call));
    }
    return parsed;
}

// An object whose first member is "name" can only be meant as a call.
bool begins_bare_call(std::string_view text) {
    if (!text.starts_with('{')) return false;
    text = text.substr(std::min(text.size(), text.find_first_not_of(kSpace, 1)));
    if (!text.starts_with("\"name\"")) return false;
    text.remove_prefix(6);
    return text.substr(std::min(text.size(), text.find_first_not_of(kSpace))).starts_with(':');
}

}  // namespace

std::span<const std::string_view> tool_call_marks() { return kMarks; }

Result<ParsedAnswer> parse_answer(std::string_view answer) {
    if (answer.contains(kOpen)) return hermes(answer);
    if (const std::size_t mark = answer.find(kMistral); mark != std::string_view::npos) return mistral(answer, mark);
    std::string_view bare = trimmed(answer);
    const bool tagged = bare.starts_with(kPythonTag);
    if (tagged) bare.remove_prefix(kPythonTag.size());
    if (!tagged && !begins_bare_call(bare)) return ParsedAnswer{.text = std::string(answer), .calls = {}};
    const auto parsed = parse_bounded_json(bare, kMaxToolBytes);
    if (!parsed) return no_call(parsed.error().message);
    const bool has_arguments = member(*parsed, "parameters") != nullptr || member(*parsed, "arguments") != nullptr;
    if (!tagged && !has_arguments) return ParsedAnswer{.text = std::string(answer), .calls = {}};  // JSON that was asked for
    auto call = call_of(*parsed);
    if (!call) return no_call(call.error().message);
    return ParsedAnswer{.text = {}, .calls = {*std::move(call)}};
}

std::string tool_calls_json(std::span<const ToolCall> calls) {
    std::string json;
    for (const ToolCall &call : calls) {
        json += json.empty() ? "[" : ",";
        json += std::format(R"({{"type":"function","function":{{"name":{},"arguments":{}}}}})", OrderedJson(call.name).dump(),
                            call.arguments);
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

}  // namespace engram
