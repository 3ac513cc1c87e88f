#include "server/agent_client.h"

#include <algorithm>
#include <format>

#include "chat/agent_card.h"
#include "chat/bounded_json.h"
#include "chat/tool_call.h"

namespace engram {
namespace {

constexpr std::size_t kMaxListBytes = 256UZ << 20U;
constexpr std::size_t kMostShown = 200;  // bytes of an answer that isn't a server's of ours

ErrorCode code_of(long status) {
    switch (status) {
        case 400:
        case 401:
        case 403:
        case 413: return ErrorCode::invalid_argument;
        case 404: return ErrorCode::not_found;
        case 409: return ErrorCode::already_exists;
        case 429:
        case 507: return ErrorCode::over_budget;
        default: return ErrorCode::io;
    }
}

// What the server says of its refusal; otherwise how its answer begins.
std::string sentence_of(const std::string &body) {
    const auto json = parse_bounded_json(body, http::kMaxReplyBytes);
    if (json && json->is_object() && json->contains("error") && (*json)["error"].is_object()) {
        const OrderedJson &error = (*json)["error"];
        if (error.contains("message") && error["message"].is_string()) return error["message"].get<std::string>();
    }
    const std::string line = body.substr(0, std::min(body.find_first_of("\r\n"), kMostShown));
    return line.empty() ? "(nothing)" : line;
}

std::string text_of(const OrderedJson &json, const char *name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<AgentInfo> info_of(const OrderedJson &json) {
    AgentInfo info;
    info.id = text_of(json, "id");
    info.tenant = text_of(json, "tenant");
    info.system_prompt = text_of(json, "system_prompt");
    info.description = text_of(json, "description");
    info.retention = retention_from_name(text_of(json, "retention")).value_or(Retention::standard);
    if (const auto tools = json.find("tools"); tools != json.end()) {
        ENGRAM_ASSIGN(info.tools, checked_tools(tools->dump()));
    }
    if (const auto card = json.find("card"); card != json.end()) {
        ENGRAM_ASSIGN(info.card, card_of(*card));
    }
    return info;
}

OrderedJson tools_json(const std::string &tools) {
    return tools.empty() ? OrderedJson::array() : OrderedJson::parse(tools, nullptr, false);
}

std::string dump(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

}  // namespace

Result<AgentClient> AgentClient::open(Options options) {
    while (options.url.ends_with('/')) options.url.pop_back();
    ENGRAM_TRY(http::check_url(options.url));
    ENGRAM_ASSIGN(http::Fetcher fetcher, http::Fetcher::create());
    return AgentClient(std::move(options), std::move(fetcher));
}

Result<std::string> AgentClient::ask(const char *method, std::string_view target, std::string body) {
    http::FetchRequest request{.method = method, .url = std::format("{}/v1/agents{}", options_.url, target)};
    if (!body.empty()) request.headers.emplace_back("Content-Type", "application/json");
    if (!options_.key.empty()) request.headers.emplace_back("Authorization", "Bearer " + options_.key);
    request.body = std::move(body);
    request.max_reply_bytes = kMaxListBytes;
    ENGRAM_ASSIGN(http::FetchReply reply, fetcher_.send(request, {}));
    if (reply.status >= 200 && reply.status <= 299) return std::move(reply.body);
    return fail(code_of(reply.status), std::format("{}: {}", options_.url, sentence_of(reply.body)));
}

Result<std::vector<AgentInfo>> AgentClient::list() {
    ENGRAM_ASSIGN(const std::string body, ask("GET", ""));
    const auto json = parse_bounded_json(body, kMaxListBytes);
    if (!json || !json->is_object() || !json->contains("agents") || !(*json)["agents"].is_array()) {
        return fail(ErrorCode::io, std::format("{} answers with no list of agents: is it an Engram server?", options_.url));
    }
    std::vector<AgentInfo> agents;
    for (const OrderedJson &one : (*json)["agents"]) {
        auto info = info_of(one);
        if (!info) {
            return std::unexpected(std::move(info.error()).within(std::format("{}, agent {}", options_.url, text_of(one, "id"))));
        }
        agents.push_back(std::move(*info));
    }
    return agents;
}

Result<void> AgentClient::create(const AgentSpec &spec) {
    const OrderedJson json{{"id", spec.id},
                           {"system_prompt", spec.system_prompt},
                           {"description", spec.description},
                           {"tools", tools_json(spec.tools)},
                           {"retention", retention_name(spec.retention)},
                           {"card", card_json(spec.card)}};
    ENGRAM_TRY(ask("POST", "", dump(json)));
    return {};
}

Result<void> AgentClient::change(std::string_view id, const AgentChange &change) {
    OrderedJson json = OrderedJson::object();
    if (change.system_prompt) json["system_prompt"] = *change.system_prompt;
    if (change.description) json["description"] = *change.description;
    if (change.tools) json["tools"] = tools_json(*change.tools);
    if (change.card) json["card"] = card_json(*change.card);
    if (json.empty()) return {};
    ENGRAM_TRY(ask("PATCH", std::format("/{}", id), dump(json)));
    return {};
}

Result<void> AgentClient::retain(std::string_view id, Retention retention) {
    ENGRAM_TRY(ask("PATCH", std::format("/{}", id), dump({{"retention", retention_name(retention)}})));
    return {};
}

Result<void> AgentClient::remove(std::string_view id) {
    ENGRAM_TRY(ask("DELETE", std::format("/{}", id)));
    return {};
}

}  // namespace engram
