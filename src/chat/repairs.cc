#include "chat/repairs.h"

#include <algorithm>
#include <cctype>
#include <format>
#include <map>
#include <string_view>

#include "chat/message_identity.h"
#include "chat/tool_call.h"

namespace engram {
namespace {

constexpr std::string_view kPseudoHeader = "x-anthropic-";

// The header's name, when the line is one: `x-anthropic-` and letters, digits or hyphens, then a colon.
std::string_view pseudo_header(std::string_view line) {
    if (!line.starts_with(kPseudoHeader)) return {};
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return {};
    const std::string_view name = line.substr(0, colon);
    const auto belongs = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'; };
    return std::ranges::all_of(name, belongs) ? name : std::string_view();
}

// Only at the front, with the empty lines after them: further down such a line is what somebody wrote.
void leave_out_pseudo_headers(std::string &text, std::vector<std::string> &repairs) {
    std::size_t at = 0;
    bool any = false;
    for (;;) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = std::string_view(text).substr(at, end - at);
        const std::string_view name = pseudo_header(line);
        const bool empty = line.find_first_not_of(" \t\r") == std::string_view::npos;
        if (name.empty() && !(any && empty)) break;
        if (!name.empty()) {
            repairs.push_back(
                std::format("the line {} at the front of a system text was left out: it changes with every request", name));
            any = true;
        }
        if (end == text.size()) {
            at = end;
            break;
        }
        at = end + 1;
    }
    if (any) text.erase(0, at);
}

// The results that follow the answer at `answer`, in the order of its calls; those of no call of it come last.
bool order_results(std::vector<TemplateMessage> &messages, std::size_t answer) {
    const auto first = messages.begin() + static_cast<std::ptrdiff_t>(answer) + 1;
    const auto last = std::find_if(first, messages.end(), [](const TemplateMessage &message) { return message.role != "tool"; });
    if (last - first < 2) return false;
    const auto calls = parse_tool_calls(messages[answer].tool_calls);
    if (!calls) return false;
    std::map<std::string_view, std::size_t> places;
    for (const ToolCall &call : *calls) places.try_emplace(call.id, places.size());
    const auto place = [&](const TemplateMessage &result) {
        const auto found = places.find(result.tool_call_id);
        return found == places.end() ? places.size() : found->second;
    };
    if (std::ranges::is_sorted(first, last, {}, place)) return false;
    std::ranges::stable_sort(first, last, {}, place);
    return true;
}

}  // namespace

RepairedPrompt repair_prompt(std::vector<TemplateMessage> messages, std::string tools) {
    RepairedPrompt prompt{.messages = std::move(messages), .tools = std::move(tools), .repairs = {}};
    for (TemplateMessage &message : prompt.messages) {
        if (message.role == "system") leave_out_pseudo_headers(message.content, prompt.repairs);
    }
    // A system text of nothing but such lines is none.
    std::erase_if(prompt.messages,
                  [](const TemplateMessage &message) { return message.role == "system" && message.content.empty(); });
    if (std::string ordered = ordered_tools(prompt.tools); ordered != prompt.tools) {
        prompt.repairs.emplace_back("the tools were put in the order of their names, which is the same in every request");
        prompt.tools = std::move(ordered);
    }
    bool ordered_results = false;
    for (std::size_t i = 0; i < prompt.messages.size(); ++i) {
        if (!prompt.messages[i].tool_calls.empty()) ordered_results |= order_results(prompt.messages, i);
    }
    if (ordered_results) prompt.repairs.emplace_back("the results of tools were put in the order of their calls");
    return prompt;
}

}  // namespace engram
