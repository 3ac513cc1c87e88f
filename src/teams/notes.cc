#include "teams/notes.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <format>

#include "chat/bounded_json.h"
#include "chat/tool_pattern.h"
#include "core/beginning.h"
#include "teams/tool_name.h"

namespace engram {
namespace {

constexpr std::size_t kMaxArgumentBytes = 256UZ << 10U;
constexpr std::size_t kFound = 8;
constexpr std::size_t kShownOfText = 600;  // in a list of what was found

struct Described {
    std::string_view name, description, parameters;
};
constexpr auto kTools = std::to_array<Described>({
    {"write", "Writes a note that all of your team can read. A note of the same title is replaced.",
     R"({"type":"object","properties":{"title":{"type":"string"},"text":{"type":"string"}},"required":["title","text"]})"},
    {"read", "Reads a note of your team.", R"({"type":"object","properties":{"title":{"type":"string"}},"required":["title"]})"},
    {"search", "Finds notes of your team by words in them; without words, the newest ones.",
     R"({"type":"object","properties":{"words":{"type":"string"}}})"},
    {"remove", "Removes a note of your team.",
     R"({"type":"object","properties":{"title":{"type":"string"}},"required":["title"]})"},
});
constexpr std::string_view kServer = "notes";

std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

ToolOutcome failed(std::string text) { return {.text = std::move(text), .failed = true}; }

std::string list_of(const std::vector<Note> &notes) {
    std::string text;
    for (const Note &note : notes) {
        const std::string_view shown = beginning_of(note.text, kShownOfText);
        text += std::format("{}{} (by {}):\n{}{}", text.empty() ? "" : "\n\n", note.title, note.agent, shown,
                            shown.size() < note.text.size() ? " …" : "");
    }
    return text.empty() ? "There are no such notes." : text;
}

ToolOutcome write(TeamStore &store, const Team &team, Note note) {
    note.updated_ms = now_ms();
    const auto written = store.write(team, note);
    return written ? ToolOutcome{.text = std::format("The note \"{}\" is written.", note.title)}
                   : failed(written.error().message);
}

ToolOutcome read(TeamStore &store, const Team &team, const std::string &title) {
    const auto note = store.read(team, title);
    if (!note) return failed(note.error().message);
    return *note ? ToolOutcome{.text = (*note)->text} : failed(std::format("There is no note \"{}\".", title));
}

ToolOutcome search(TeamStore &store, const Team &team, const std::string &words) {
    const auto notes = store.search(team, words, kFound);
    return notes ? ToolOutcome{.text = list_of(*notes)} : failed(notes.error().message);
}

ToolOutcome remove(TeamStore &store, const Team &team, const std::string &title) {
    const auto removed = store.remove(team, title);
    if (!removed) return failed(removed.error().message);
    return *removed ? ToolOutcome{.text = std::format("The note \"{}\" is removed.", title)}
                    : failed(std::format("There is no note \"{}\".", title));
}

}  // namespace

std::vector<ChatTool> Notes::tools(const AgentManager & /*agents*/, const AgentInfo &agent) {
    std::vector<ChatTool> tools;
    if (agent.card.team.empty()) return tools;
    for (const Described &tool : kTools) {
        tools.push_back({.name = model_tool_name(kServer, tool.name),
                         .description = std::string(tool.description),
                         .parameters = std::string(tool.parameters)});
    }
    return tools;
}

bool Notes::needs_approval(const AgentInfo &agent, std::string_view tool) const {
    return std::ranges::any_of(kTools, [&](const Described &one) {
        return model_tool_name(kServer, one.name) == tool && tool_matches(agent.card.approvals, kServer, one.name);
    });
}

ToolOutcome Notes::call(const ToolContext &context, const ChatToolCall &call) {
    const auto arguments = parse_bounded_json(call.arguments, kMaxArgumentBytes);
    if (!arguments || !arguments->is_object()) return failed("The arguments must be a JSON object.");
    const auto text_of = [&](const char *name) {
        const auto found = arguments->find(name);
        return found != arguments->end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const Team team{.tenant = context.agent.tenant, .name = context.agent.card.team};
    if (call.name == model_tool_name(kServer, "write")) {
        return write(store_, team, {.title = text_of("title"), .text = text_of("text"), .agent = context.agent.id});
    }
    if (call.name == model_tool_name(kServer, "read")) return read(store_, team, text_of("title"));
    if (call.name == model_tool_name(kServer, "search")) return search(store_, team, text_of("words"));
    return remove(store_, team, text_of("title"));
}

}  // namespace engram
