#include "server/a2a_work.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <format>

#include "chat/bounded_json.h"
#include "core/base64.h"
#include "core/field_hasher.h"
#include "core/random_name.h"

namespace engram::server {

using namespace protocol::a2a;
using protocol::a2a::Message;  // not the transcript's

namespace {

constexpr std::size_t kMaxJsonBytes = 16UZ << 20U;
constexpr std::size_t kMemoryDigits = 32;

std::unexpected<A2aError> unsupported(std::string message) {
    return std::unexpected(A2aError(A2aErrorKind::content_type_not_supported, std::move(message)));
}

// "text/plain" of "Text/Plain; charset=utf-8".
std::string essence(std::string_view media_type) {
    std::string name(media_type.substr(0, media_type.find(';')));
    while (name.ends_with(' ')) name.pop_back();
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return name;
}

bool is_text(const std::string &type) {
    return type.starts_with("text/") || type == "application/json" || type == "application/xml" || type == "application/yaml" ||
           type.ends_with("+json") || type.ends_with("+xml");
}

A2aResult<std::string> text_of(const Part &part) {
    switch (part.kind) {
        case Part::Kind::text: return part.content;
        case Part::Kind::data: return std::format("```json\n{}\n```", part.content);
        case Part::Kind::url:
            return unsupported("a part has a url: nobody fetches it here; send the text itself, as \"text\" or \"raw\"");
        case Part::Kind::raw: break;
    }
    if (!is_text(essence(part.media_type))) {
        return unsupported(std::format("a part's media type is \"{}\": this agent reads text and JSON", part.media_type));
    }
    const auto bytes = from_base64(part.content);
    if (!bytes) {
        return std::unexpected(A2aError(A2aErrorKind::invalid_params, "a part's \"raw\" must be base64"));
    }
    return std::format("File {}:\n```\n{}\n```", part.filename.empty() ? "without a name" : part.filename, *bytes);
}

std::optional<bool> yes_or_no(std::string_view text) {
    std::string word;
    for (const char c : text) {
        if (std::isalpha(static_cast<unsigned char>(c)) != 0)
            word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    constexpr auto kYes = std::to_array<std::string_view>({"yes", "y", "ok", "approve", "approved", "allow", "allowed"});
    constexpr auto kNo = std::to_array<std::string_view>({"no", "n", "deny", "denied", "reject", "rejected"});
    if (std::ranges::contains(kYes, word)) return true;
    if (std::ranges::contains(kNo, word)) return false;
    return std::nullopt;
}

// {"approvals":{…}} of a data part.
std::optional<std::map<std::string, bool>> approvals_of(const std::string &data) {
    const auto json = parse_bounded_json(data, kMaxJsonBytes);
    if (!json || !json->is_object() || !json->contains("approvals") || !(*json)["approvals"].is_object()) return std::nullopt;
    std::map<std::string, bool> approvals;
    for (const auto &[call, allowed] : (*json)["approvals"].items()) {
        if (!allowed.is_boolean()) return std::nullopt;
        approvals[call] = allowed.get<bool>();
    }
    return approvals;
}

// Of the calls in the store.
std::vector<std::string> ids_in(std::string_view pending) {
    std::vector<std::string> ids;
    const auto calls = parse_bounded_json(pending, kMaxJsonBytes);
    if (!calls || !calls->is_array()) return ids;
    for (const OrderedJson &call : *calls) {
        if (call.is_object() && call.contains("id") && call["id"].is_string()) ids.push_back(call["id"].get<std::string>());
    }
    return ids;
}

OrderedJson calls_json(const std::vector<ChatToolCall> &calls) {
    OrderedJson list = OrderedJson::array();
    for (const ChatToolCall &call : calls) {
        OrderedJson one{{"id", call.id}};
        if (const std::string_view whose = pending_agent(call.id); !whose.empty()) one["agent"] = whose;
        one["name"] = call.name;
        one["arguments"] = OrderedJson::parse(call.arguments, nullptr, false);
        list.push_back(std::move(one));
    }
    return list;
}

std::string dump(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

}  // namespace

bool is_context(const AgentInfo &agent) { return std::ranges::contains(agent.card.labels, kContextLabel); }

A2aResult<std::string> text_of(const Message &message) {
    std::string whole;
    for (const Part &part : message.parts) {
        ENGRAM_ASSIGN(const std::string text, text_of(part));
        if (!whole.empty()) whole += "\n\n";
        whole += text;
    }
    return whole;
}

A2aResult<AnswerFormat> format_of(const std::vector<std::string> &accepted) {
    const auto takes = [&](std::string_view type) {
        return std::ranges::any_of(accepted, [&](const std::string &mode) {
            const std::string name = essence(mode);
            return name == type || name == "*/*" || name == "text" || (name == "text/*" && type.starts_with("text/"));
        });
    };
    if (accepted.empty() || takes("text/plain") || takes("text/markdown")) return AnswerFormat::text;
    if (takes("application/json")) return AnswerFormat::json_object;
    return unsupported("acceptedOutputModes: this agent answers in text/plain or application/json, and neither is among them");
}

std::string memory_of(const AgentManager &agents, const std::string &agent, const std::string &context) {
    FieldHasher hasher("engram a2a context");
    hasher.add(std::string_view(agent));
    hasher.add(std::string_view(context));
    std::string own = "a2a-" + hasher.finish().hex().substr(0, kMemoryDigits);
    if (!agent.empty() || agents.get(own)) return own;
    const auto named = agents.get(context);
    return named && !named->conversation ? context : own;
}

Result<void> ensure_memory(AgentManager &agents, const std::string &agent, const std::string &memory) {
    if (agents.get(memory)) return {};
    AgentChange change{.card = AgentCard{}};
    if (agent.empty()) {
        ENGRAM_TRY(agents.create({.id = memory}));
    } else {
        ENGRAM_ASSIGN(const AgentInfo forked, agents.fork(agent, memory));
        change.card = forked.card;
    }
    change.card->labels.emplace_back(kContextLabel);
    ENGRAM_TRY(agents.change(memory, change));
    return {};
}

std::string pending_text(const std::vector<ChatToolCall> &calls) {
    return calls.empty() ? std::string() : dump(calls_json(calls));
}

Message question(const std::vector<ChatToolCall> &calls) {
    Message message = agent_says(std::format(
        "{} for approval: answer \"yes\" or \"no\", or with a data part {{\"approvals\": {{\"<id of the call>\": true}}}}.",
        calls.size() == 1 ? "A call of a tool waits" : "Calls of tools wait"));
    message.parts.push_back({.kind = Part::Kind::data, .content = dump({{"calls", calls_json(calls)}})});
    return message;
}

std::optional<std::map<std::string, bool>> approvals_in(const Message &message, std::string_view pending) {
    const std::vector<std::string> waiting = ids_in(pending);
    for (const Part &part : message.parts) {
        if (part.kind != Part::Kind::data) continue;
        auto approvals = approvals_of(part.content);
        if (!approvals) continue;
        const bool all_wait =
            std::ranges::all_of(*approvals, [&](const auto &one) { return std::ranges::contains(waiting, one.first); });
        return all_wait ? std::move(approvals) : std::nullopt;
    }
    if (message.parts.size() != 1 || message.parts.front().kind != Part::Kind::text) return std::nullopt;
    const auto all = yes_or_no(message.parts.front().content);
    if (!all || waiting.empty()) return std::nullopt;
    std::map<std::string, bool> approvals;
    for (const std::string &id : waiting) approvals.emplace(id, *all);
    return approvals;
}

Message agent_says(std::string text) {
    return {.id = random_name("msg-"), .role = Role::agent, .parts = {{.kind = Part::Kind::text, .content = std::move(text)}}};
}

Artifact answer_artifact(std::string text, AnswerFormat format) {
    Part part{.kind = Part::Kind::text, .content = std::move(text)};
    if (format != AnswerFormat::text && parse_bounded_json(part.content, kMaxJsonBytes)) {
        part.kind = Part::Kind::data;
        part.media_type = "application/json";
    }
    Artifact artifact{.id = "answer", .name = "answer"};
    artifact.parts.push_back(std::move(part));
    return artifact;
}

}  // namespace engram::server
