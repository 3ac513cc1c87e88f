#include "chat/repairs.h"

#include <algorithm>
#include <cctype>
#include <format>
#include <string_view>

#include "chat/message_identity.h"

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
    return prompt;
}

}  // namespace engram
