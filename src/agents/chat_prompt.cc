#include "agents/chat_prompt.h"

#include <algorithm>
#include <array>

#include "agents/transcript.h"
#include "chat/message_identity.h"
#include "chat/tool_call.h"

namespace engram {
namespace {

TemplateMessage template_message(const ChatMessage &message) {
    std::vector<ToolCall> calls;
    for (const ChatToolCall &call : message.tool_calls) {
        calls.push_back({.name = call.name, .arguments = call.arguments, .id = call.id});
    }
    return {.role = message.role,
            .content = message.content,
            .tool_calls = tool_calls_json(calls),
            .tool_call_id = message.tool_call_id,
            .thinking = message.thinking};
}

bool same_text(std::string_view a, std::string_view b) {
    const TemplateMessage first{.role = "system", .content = std::string(a)};
    const TemplateMessage second{.role = "system", .content = std::string(b)};
    return common_messages(std::array{first}, std::array{second}) == 1;
}

// In whatever order, of the tools and of their members.
bool same_tools(const std::string &a, const std::string &b) {
    return a == b || canonical_json(ordered_tools(a)) == canonical_json(ordered_tools(b));
}

}  // namespace

std::size_t first_said(const ChatRequest &request) {
    const auto first =
        std::ranges::find_if(request.messages, [](const ChatMessage &message) { return message.role != "system"; });
    return static_cast<std::size_t>(first - request.messages.begin());
}

ChatRequest without_first_messages(const ChatRequest &request, std::size_t count) {
    ChatRequest shorter = request;
    const auto first = shorter.messages.begin() + static_cast<std::ptrdiff_t>(first_said(request));
    shorter.messages.erase(first, first + static_cast<std::ptrdiff_t>(count));
    return shorter;
}

RepairedPrompt repaired_prompt(const ChatRequest &request) {
    std::vector<TemplateMessage> messages;
    for (const ChatMessage &message : request.messages) messages.push_back(template_message(message));
    if (request.continues_last_message && !messages.empty()) messages.pop_back();  // it is begun, not said
    return repair_prompt(std::move(messages), tools_json(request.tools));
}

std::vector<MessageRow> rows_of(std::span<const TemplateMessage> messages, std::int64_t now_ms) {
    std::vector<MessageRow> rows;
    for (const TemplateMessage &message : messages) {
        rows.push_back({.role = message.role,
                        .content = message.content,
                        .created_ms = now_ms,
                        .tool_calls = message.tool_calls,
                        .tool_call_id = message.tool_call_id,
                        .thinking = message.thinking});
    }
    return rows;
}

Result<void> check_chat(const ChatRequest &request) {
    if (!request.agent.empty()) {
        ENGRAM_TRY(validate_agent_id(request.agent));
        if (request.choices > 1) {
            return fail(ErrorCode::invalid_argument, "an agent gives one answer: ask without its name for several choices");
        }
        if (!request.raw_prompt.empty()) {
            return fail(ErrorCode::invalid_argument, "an agent is talked to in messages: ask without its name for plain text");
        }
    }
    if (request.choices == 0) return fail(ErrorCode::invalid_argument, "at least one choice must be asked for");
    if (!request.raw_prompt.empty()) return {};
    const std::size_t answered = request.continues_last_message ? 1 : 0;
    if (request.messages.size() <= answered) return fail(ErrorCode::invalid_argument, "there are no messages to answer");
    if (request.continues_last_message && request.messages.back().role != "assistant") {
        return fail(ErrorCode::invalid_argument, "only an assistant's message can be gone on with");
    }
    return {};
}

std::string_view system_text(std::span<const TemplateMessage> messages) {
    return !messages.empty() && messages.front().role == "system" ? std::string_view(messages.front().content)
                                                                  : std::string_view();
}

ForAgent for_agent(const AgentRow &row, std::span<const MessageRow> rows, const RepairedPrompt &prompt) {
    std::vector<TemplateMessage> said = prompt.messages;
    const std::string system(system_text(said));
    AgentFront front{.system_prompt = row.system_prompt, .tools = prompt.tools.empty() ? row.tools : prompt.tools};
    bool other_front = !same_tools(front.tools, row.tools);
    std::size_t keep = rows.size();
    if (std::ranges::contains(said, "assistant", &TemplateMessage::role)) {  // it says all
        if (system.empty() && !row.system_prompt.empty()) said.insert(said.begin(), {"system", row.system_prompt});
        const std::size_t first = system_text(said).empty() ? 0 : 1;
        keep = 0;
        std::size_t common = 0;
        if (!same_text(system_text(said), row.system_prompt)) {
            front.system_prompt = system;
            other_front = true;
        } else {
            const Spoken known = spoken(rows);
            common = common_messages(known.messages, std::span(said).subspan(first));
            const auto ended_before = [&] { return rows[known.places[common - 1]].n_tokens > 0; };
            while (common > 0 && common < known.places.size() && !ended_before()) --common;
            keep = common == known.places.size() ? rows.size() : known.places[common];
        }
        said.erase(said.begin(), said.begin() + static_cast<std::ptrdiff_t>(first + common));
    } else if (!system.empty()) {
        const auto last = std::ranges::find_last(rows, "system", &MessageRow::role);
        if (same_text(system, last.empty() ? row.system_prompt : last.front().content)) said.erase(said.begin());
    }
    return {.messages = std::move(said), .keep = keep, .front = other_front ? std::optional(std::move(front)) : std::nullopt};
}

}  // namespace engram
