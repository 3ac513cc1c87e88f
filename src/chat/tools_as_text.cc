#include "chat/tools_as_text.h"

#include <format>
#include <string>
#include <utility>

#include "chat/bounded_json.h"
#include "chat/tool_call.h"

namespace engram {
namespace {

void append_line(std::string &text, std::string_view line) {
    if (!text.empty()) text += '\n';
    text += line;
}

// A call as the style has it. Forms that aren't JSON belong to templates that know tools: for others the common one is taken.
std::string call_text(const AnswerStyle &style, const std::string &name, std::string_view arguments) {
    const std::string quoted = OrderedJson(name).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    const auto around = [](const AnswerStyle &form, std::string_view call) {
        return std::format("{}{}{}{}{}", form.calls_open, form.open, call, form.close, form.calls_close);
    };
    if (style.form == CallForm::named_json) return around(style, std::format("{}{}{}", name, style.separator, arguments));
    const AnswerStyle &form = style.form == CallForm::json ? style : AnswerStyle::common();
    return around(form, std::format("{{\"name\": {}, \"{}\": {}}}", quoted, form.arguments, arguments));
}

}  // namespace

Result<void> calls_as_text(std::vector<TemplateMessage> &messages, const AnswerStyle &style) {
    for (TemplateMessage &message : messages) {
        ENGRAM_ASSIGN(const std::vector<ToolCall> calls, parse_tool_calls(std::exchange(message.tool_calls, {})));
        for (const ToolCall &call : calls) {
            append_line(message.content, call_text(style, call.name, call.arguments));
        }
    }
    return {};
}

void results_as_text(std::vector<TemplateMessage> &messages) {
    std::vector<TemplateMessage> result;
    bool after_result = false;
    for (TemplateMessage &message : messages) {
        const bool is_result = message.role == "tool";
        if (is_result) {
            std::string text = std::format("<tool_response>\n{}\n</tool_response>", message.content);
            if (after_result) {
                append_line(result.back().content, text);
            } else {
                result.push_back({.role = "user", .content = std::move(text)});
            }
        } else {
            result.push_back(std::move(message));
        }
        after_result = is_result;
    }
    messages = std::move(result);
}

void tools_as_text(std::vector<TemplateMessage> &messages, std::string_view tools, const AnswerStyle &style) {
    std::string text = "# Tools\n\nYou may call tools. These are there, each with a JSON schema of its arguments:\n<tools>\n";
    const OrderedJson list = OrderedJson::parse(tools, nullptr, false);
    for (const OrderedJson &tool : list) text += tool.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
    text += "</tools>\n\nTo call one, write its name and its arguments like this:\n" + call_text(style, "...", "{...}");
    if (!messages.empty() && messages.front().role == "system") {
        messages.front().content = text + "\n\n" + messages.front().content;
    } else {
        messages.insert(messages.begin(), {.role = "system", .content = std::move(text)});
    }
}

}  // namespace engram
