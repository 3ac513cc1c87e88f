#include "cli/agent_view.h"

#include <format>

#include "chat/tool_call.h"
#include "cli/humanise.h"

namespace engram::cli {
namespace {

std::string time_text(std::int64_t then_ms, std::int64_t now_ms) {
    return then_ms <= 0 ? "never" : std::format("{} ({})", iso_time(then_ms), human_age(then_ms, now_ms));
}

// "get_weather, get_time"
std::string tool_names(const std::string &tools) {
    std::string names;
    for (const Json &tool : Json::parse(tools, nullptr, false)) {
        names += (names.empty() ? "" : ", ") + tool["function"]["name"].get<std::string>();
    }
    return one_line(names, 100);
}

// "calls get_weather {"city":"Lisbon"}", one line for each call.
std::string calls_text(const Message &message) {
    std::string text;
    if (const auto calls = parse_tool_calls(message.tool_calls)) {
        for (const ToolCall &call : *calls) {
            text += std::format("calls {} {}\n", call.name, call.arguments);
        }
    }
    return text;
}

}  // namespace

std::string agent_text(const AgentInfo &info, std::int64_t now_ms) {
    Table table({"", ""});
    auto add = [&table](std::string name, std::string value) { table.add({std::move(name), std::move(value)}); };
    add("agent", info.id);
    add("tenant", info.tenant);
    if (!info.description.empty()) {
        add("description", one_line(info.description, 100));
    }
    add("system prompt", info.system_prompt.empty() ? "(none)" : one_line(info.system_prompt, 100));
    if (!info.tools.empty()) {
        add("tools", tool_names(info.tools));
    }
    add("model", info.model.empty() ? "(no turn yet)" : info.model);
    if (!info.forked_from.empty()) {
        add("forked from", info.forked_from);
    }
    add("turns", human_count(info.n_turns));
    add("messages", human_count(info.n_messages));
    add("tokens", human_count(info.n_tokens));
    add("memory", info.tier == "none" ? "none (the next turn reads everything again)" : info.tier);
    add("on disk", std::format("{}, {} of it shared", human_bytes(info.disk_bytes),
                               human_bytes(info.disk_bytes - info.disk_bytes_exclusive)));
    if (info.memory_bytes > 0) {
        add("in host memory", human_bytes(info.memory_bytes));
    }
    add("pinned", info.pinned ? "yes" : "no");
    add("retention", std::string(retention_name(info.retention)));
    add("created", time_text(info.created_ms, now_ms));
    add("last used", time_text(info.last_used_ms, now_ms));
    return table.text();
}

std::string agent_table(std::span<const AgentInfo> agents, std::int64_t now_ms) {
    Table table({"AGENT", ">TURNS", ">TOKENS", "MEMORY", ">DISK", "PINNED", "LAST USED", "DESCRIPTION"});
    for (const AgentInfo &info : agents) {
        table.add({info.id, human_count(info.n_turns), human_count(info.n_tokens), info.tier, human_bytes(info.disk_bytes),
                   info.pinned ? "yes" : "", human_age(info.last_used_ms, now_ms), one_line(info.description, 40)});
    }
    return table.text();
}

std::string transcript_text(std::span<const Message> messages, const Output &out) {
    std::string text;
    for (const Message &message : messages) {
        text += text.empty() ? "" : "\n";
        text += out.styled(message.role + ":", Style::bold) + "\n";
        const std::string said =
            message.content + (message.content.empty() || message.tool_calls.empty() ? "" : "\n") + calls_text(message);
        text += out.terminal_out() ? printable(said) : said;
        text += message.tool_calls.empty() ? "\n" : "";
    }
    return text;
}

}  // namespace engram::cli
