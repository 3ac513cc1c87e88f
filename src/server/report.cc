#include "server/report.h"

#include <algorithm>
#include <format>

#include "protocol/field.h"

namespace engram::server {
namespace {

// Names and reasons go into header lines: what isn't printable stays out.
std::string header_text(std::string_view text) {
    std::string safe(text.substr(0, 512));
    std::erase_if(safe, [](char c) { return c < 0x20 || c == 0x7F; });
    return safe;
}

OrderedJson miss_json(const std::optional<PrefixMiss> &miss) {
    if (!miss) return nullptr;
    return {{"at_token", miss->at_token}, {"reason", miss->reason}};
}

}  // namespace

protocol::ApiResult<bool> wants_report(const http::HttpRequest &request, const OrderedJson &body) {
    ENGRAM_ASSIGN(const bool asked, protocol::Field(body)["engram"].boolean_or(false));
    return asked || request.header("x-engram-report") == "true";
}

OrderedJson divergence_json(const AgentManager::Divergence &divergence) {
    OrderedJson json{{"agent", nullptr},
                     {"diverges", divergence.diverges},
                     {"prompt_tokens", divergence.prompt_tokens},
                     {"remembered_tokens", divergence.remembered_tokens},
                     {"common_tokens", divergence.common_tokens},
                     {"explanation", divergence.explanation}};
    if (!divergence.agent.empty()) json["agent"] = divergence.agent;
    if (divergence.diverges) {
        json["place"] = divergence.place.empty() ? OrderedJson() : OrderedJson(divergence.place);
        json["before"] = divergence.before;
        json["prompt"] = divergence.prompt_text;
        json["remembered"] = divergence.remembered_text;
    }
    json["repairs"] = divergence.repairs;
    return json;
}

OrderedJson report_json(const ChatStarted &started, const std::optional<AgentManager::Divergence> &divergence) {
    OrderedJson json{{"agent", started.agent},
                     {"prompt_tokens", started.prompt_tokens},
                     {"cached_tokens", started.cached_tokens},
                     {"tier", started.tier},
                     {"restore_ms", started.restore_ms},
                     {"repairs", started.repairs},
                     {"miss", miss_json(started.miss)},
                     {"divergence", nullptr}};
    if (divergence) json["divergence"] = divergence_json(*divergence);
    return json;
}

http::HttpFields report_headers(const ChatStarted &started) {
    http::HttpFields headers{{"x-engram-agent", header_text(started.agent)},
                             {"x-engram-prompt-tokens", std::to_string(started.prompt_tokens)},
                             {"x-engram-cached-tokens", std::to_string(started.cached_tokens)},
                             {"x-engram-tier", started.tier},
                             {"x-engram-restore-ms", std::format("{:.1f}", started.restore_ms)}};
    if (!started.repairs.empty()) headers.emplace_back("x-engram-repairs", std::to_string(started.repairs.size()));
    if (started.miss) {
        headers.emplace_back("x-engram-miss",
                             header_text(std::format("{} at token {}", started.miss->reason, started.miss->at_token)));
    }
    return headers;
}

}  // namespace engram::server
