#include "server/mcp_server.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>

namespace engram::server {

using namespace protocol;
namespace mcp = protocol::mcp;
using mcp::Era;

namespace {

constexpr std::int64_t kKeepMs = 300'000;

struct Method {
    std::string_view name;
    McpResult (McpOffer::*answer)(const McpCall &, const OrderedJson &);
    std::optional<mcp::CacheHint> hint;  // of results in the new era
};
constexpr auto kMethods = std::to_array<Method>({
    {"tools/list", &McpOffer::list_tools, mcp::CacheHint{.ttl_ms = kKeepMs, .for_everybody = true}},
    {"tools/call", &McpOffer::call_tool, {}},
    {"resources/list", &McpOffer::list_resources, mcp::CacheHint{}},
    {"resources/templates/list", &McpOffer::list_resource_templates, mcp::CacheHint{.ttl_ms = kKeepMs, .for_everybody = true}},
    {"resources/read", &McpOffer::read_resource, mcp::CacheHint{}},
    {"prompts/list", &McpOffer::list_prompts, mcp::CacheHint{}},
    {"prompts/get", &McpOffer::get_prompt, {}},
    {"completion/complete", &McpOffer::complete, {}},
});

OrderedJson server_info() { return {{"name", "engram"}, {"title", "Engram"}, {"version", std::string(version())}}; }

McpResult unknown_method(std::string_view method) {
    return rpc_fail(kRpcMethodNotFound, std::format("there is no method {}", method.substr(0, 128)));
}

McpResult set_log_level(const OrderedJson &params, const McpCall &call) {
    const auto name = Field(params)["level"].text();
    const auto level = name ? mcp::log_level_from_name(*name) : std::nullopt;
    if (!level) {
        return rpc_fail(kRpcInvalidParams, "level must be debug, info, notice, warning, error, critical, alert or emergency");
    }
    call.session->set_log_level(*level);
    return mcp::empty_result();
}

McpResult subscribe(const OrderedJson &params, const McpCall &call, bool on) {
    const auto uri = Field(params)["uri"].text_that_is_not_empty();
    if (!uri) return invalid_params(uri.error());
    if (!on) call.session->unsubscribe(*uri);
    if (on && !call.session->subscribe(*uri)) return rpc_fail(kRpcInvalidRequest, "this session has too many subscriptions");
    return mcp::empty_result();
}

// What the new era has in every result.
void complete_result(OrderedJson &result, const std::optional<mcp::CacheHint> &hint) {
    const bool whole = !result.contains("resultType");
    if (whole) result["resultType"] = "complete";
    if (whole && hint) mcp::add_cache_hint(result, *hint);
    result["_meta"][std::string(mcp::kMetaServer)] = server_info();
}

}  // namespace

std::unexpected<RpcError> invalid_params(const ApiError &error) {
    return std::unexpected(RpcError{.code = kRpcInvalidParams, .message = error.message});
}

void McpCall::progress(const mcp::Progress &progress) const {
    if (meta.progress_token && !stop.stop_requested()) send(mcp::progress_notification(*meta.progress_token, progress));
}

void McpCall::log(mcp::LogLevel level, const OrderedJson &data) const {
    const auto least = meta.era == Era::session && session != nullptr ? session->log_level() : meta.log_level;
    if (least && level >= *least && !stop.stop_requested()) send(mcp::log_notification(level, data));
}

bool McpCall::client_can(std::string_view capability) const {
    if (meta.era == Era::stateless) return meta.client_capabilities.contains(capability);
    return session != nullptr && session->agreed().client_capabilities.contains(capability);
}

McpResult McpCall::ask(std::string method, OrderedJson params) const {
    if (session == nullptr || meta.era == Era::stateless) {
        return rpc_fail(kRpcInvalidRequest, "the client can't be asked within a request of this version of the protocol");
    }
    return session->ask(std::move(method), std::move(params), send, stop);
}

McpResult McpServer::initialize(const OrderedJson &params, const McpCall &call) const {
    const Field body(params);
    const auto asked = body["protocolVersion"].text();
    if (!asked) return invalid_params(asked.error());
    const auto capabilities = body["capabilities"].must_be_object();
    if (!capabilities) return invalid_params(capabilities.error());
    // A version that isn't spoken here is answered with the newest one of this era; the client goes on with it, or leaves.
    const std::string version = mcp::is_session_version(*asked) ? *asked : std::string(mcp::kSessionVersions.front());
    call.session->agree({.version = version, .client_capabilities = body["capabilities"].json()});
    return OrderedJson{{"protocolVersion", version},
                       {"capabilities", offer_.capabilities()},
                       {"serverInfo", server_info()},
                       {"instructions", offer_.instructions()}};
}

McpResult McpServer::discover() const {
    OrderedJson capabilities = offer_.capabilities();
    capabilities["resources"].erase("subscribe");  // in this era by another method, which isn't there
    return OrderedJson{{"supportedVersions", mcp::supported_versions()},
                       {"capabilities", std::move(capabilities)},
                       {"instructions", offer_.instructions()}};
}

McpResult McpServer::dispatch(const RpcRequest &request, const McpCall &call) {
    const std::string_view method = request.method;
    const bool in_session = call.meta.era == Era::session;
    if (in_session) {
        if (method == "initialize") return initialize(request.params, call);
        if (method == "ping") return mcp::empty_result();
        if (call.session->agreed().version.empty()) {
            return rpc_fail(kRpcInvalidRequest,
                            "a session begins with initialize; a request of version 2026-07-28 says so in _meta");
        }
        if (method == "logging/setLevel") return set_log_level(request.params, call);
        const bool subscriptions = offer_.capabilities()["resources"].contains("subscribe");
        if (subscriptions && method == "resources/subscribe") return subscribe(request.params, call, true);
        if (subscriptions && method == "resources/unsubscribe") return subscribe(request.params, call, false);
    } else if (method == "server/discover") {
        McpResult result = discover();
        complete_result(*result, mcp::CacheHint{.ttl_ms = kKeepMs, .for_everybody = true});
        return result;
    }
    const auto known = std::ranges::find(kMethods, method, &Method::name);
    if (known == kMethods.end()) return unknown_method(method);
    McpResult result = (offer_.*known->answer)(call, request.params);
    if (result && !in_session) complete_result(*result, known->hint);
    return result;
}

std::optional<RpcResponse> McpServer::answer(const RpcRequest &request, const McpCall &call) {
    RpcResponse response{.id = request.id, .outcome = dispatch(request, call)};
    if (call.stop.stop_requested()) return std::nullopt;
    return response;
}

void McpServer::take(const RpcNotification &notification, McpSession &session) {
    if (notification.method != "notifications/cancelled") return;
    const auto id = notification.params.find("requestId");
    if (id == notification.params.end()) return;
    if (id->is_string()) session.cancel(id->get<std::string>());
    if (id->is_number_integer()) session.cancel(id->get<std::int64_t>());
}

}  // namespace engram::server
