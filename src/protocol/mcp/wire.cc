#include "protocol/mcp/wire.h"

#include <algorithm>
#include <format>

#include "core/base64.h"
#include "protocol/field.h"

namespace engram::protocol::mcp {
namespace {

constexpr std::array<std::string_view, 8> kLogLevels{"debug", "info",     "notice", "warning",
                                                     "error", "critical", "alert",  "emergency"};
constexpr std::string_view kEncodedBegin = "=?base64?";
constexpr std::string_view kEncodedEnd = "?=";
constexpr std::string_view kCursor = "after:";

const OrderedJson *member(const OrderedJson &object, std::string_view name) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(name);
    return found == object.end() ? nullptr : &*found;
}

const OrderedJson *params_of(const RpcMessage &message) {
    if (const auto *request = std::get_if<RpcRequest>(&message)) return &request->params;
    if (const auto *notification = std::get_if<RpcNotification>(&message)) return &notification->params;
    return nullptr;
}

std::string shown(std::string_view text) { return std::string(text.substr(0, 128)); }  // of a client's, in a message

RpcResult<void> read_progress_token(const OrderedJson &meta, CallMeta &call) {
    const OrderedJson *token = member(meta, "progressToken");
    if (token == nullptr) return {};
    if (token->is_string()) {
        call.progress_token = token->get<std::string>();
    } else if (token->is_number_integer()) {
        call.progress_token = token->get<std::int64_t>();
    } else {
        return rpc_fail(kRpcInvalidParams, "_meta.progressToken must be a string or a whole number");
    }
    return {};
}

RpcResult<std::string> required_text(const OrderedJson &meta, std::string_view name) {
    const OrderedJson *value = member(meta, name);
    if (value == nullptr || !value->is_string()) {
        return rpc_fail(kRpcInvalidParams, std::format("params._meta must have \"{}\", a string", name));
    }
    return value->get<std::string>();
}

// Which member of the parameters the header Mcp-Name repeats.
const char *named_by(std::string_view method) {
    if (method == "tools/call" || method == "prompts/get") return "name";
    return method == "resources/read" ? "uri" : nullptr;
}

RpcResult<void> mismatch(std::string_view header, std::string_view said, std::string_view body) {
    return rpc_fail(kHeaderMismatch, said.empty() ? std::format("the header {} is missing", header)
                                                  : std::format("the header {} says \"{}\", and the body \"{}\"", header,
                                                                shown(said), shown(body)));
}

}  // namespace

OrderedJson supported_versions() {
    OrderedJson list = OrderedJson::array({kStatelessVersion});
    for (const std::string_view version : kSessionVersions) list.push_back(version);
    return list;
}

bool is_session_version(std::string_view version) { return std::ranges::contains(kSessionVersions, version); }

std::string_view log_level_name(LogLevel level) { return kLogLevels[static_cast<std::size_t>(level)]; }

std::optional<LogLevel> log_level_from_name(std::string_view name) {
    const auto found = std::ranges::find(kLogLevels, name);
    if (found == kLogLevels.end()) return std::nullopt;
    return static_cast<LogLevel>(found - kLogLevels.begin());
}

Era era_of(const RpcMessage &message, std::string_view version_header) {
    const OrderedJson *params = params_of(message);
    const OrderedJson *meta = params == nullptr ? nullptr : member(*params, "_meta");
    if (meta != nullptr && member(*meta, kMetaVersion) != nullptr) return Era::stateless;
    return version_header.empty() || is_session_version(version_header) ? Era::session : Era::stateless;
}

RpcResult<CallMeta> read_stateless_meta(const OrderedJson &params) {
    CallMeta call{.era = Era::stateless};
    const OrderedJson *meta = member(params, "_meta");
    if (meta == nullptr || !meta->is_object()) return rpc_fail(kRpcInvalidParams, "params must have _meta, an object");
    ENGRAM_ASSIGN(call.version, required_text(*meta, kMetaVersion));
    const OrderedJson *capabilities = member(*meta, kMetaCapabilities);
    if (capabilities == nullptr || !capabilities->is_object()) {
        return rpc_fail(kRpcInvalidParams, std::format("params._meta must have \"{}\", an object", kMetaCapabilities));
    }
    call.client_capabilities = *capabilities;
    if (call.version != kStatelessVersion) {
        return rpc_fail(kUnsupportedVersion, std::format("protocol version {} isn't spoken here", shown(call.version)),
                        {{"supported", supported_versions()}, {"requested", call.version}});
    }
    if (const OrderedJson *level = member(*meta, kMetaLogLevel)) {
        call.log_level = level->is_string() ? log_level_from_name(level->get_ref<const std::string &>()) : std::nullopt;
        if (!call.log_level) return rpc_fail(kRpcInvalidParams, std::format("{} isn't a level of logging", kMetaLogLevel));
    }
    ENGRAM_TRY(read_progress_token(*meta, call));
    return call;
}

RpcResult<CallMeta> read_session_meta(const OrderedJson &params) {
    CallMeta call;
    if (const OrderedJson *meta = member(params, "_meta")) ENGRAM_TRY(read_progress_token(*meta, call));
    return call;
}

RpcResult<void> check_headers(const RpcRequest &request, const MirroredHeaders &headers) {
    const OrderedJson *meta = member(request.params, "_meta");
    const OrderedJson *version = meta == nullptr ? nullptr : member(*meta, kMetaVersion);
    const auto said = version != nullptr && version->is_string() ? version->get<std::string>() : std::string();
    if (headers.version != said) return mismatch("MCP-Protocol-Version", headers.version, said);
    if (headers.method != request.method) return mismatch("Mcp-Method", headers.method, request.method);
    const char *name = named_by(request.method);
    if (name == nullptr) return {};
    const OrderedJson *value = member(request.params, name);
    if (value == nullptr || !value->is_string()) return {};  // the method itself says what it lacks
    const std::optional<std::string> given = header_value(headers.name);
    if (!given) return rpc_fail(kHeaderMismatch, "the header Mcp-Name isn't valid Base64 between =?base64? and ?=");
    if (headers.name.empty() || *given != value->get<std::string>())
        return mismatch("Mcp-Name", headers.name, value->get<std::string>());
    return {};
}

std::optional<std::string> header_value(std::string_view header) {
    const bool encoded = header.size() >= kEncodedBegin.size() + kEncodedEnd.size() && header.starts_with(kEncodedBegin) &&
                         header.ends_with(kEncodedEnd);
    if (!encoded) return std::string(header);
    header.remove_prefix(kEncodedBegin.size());
    header.remove_suffix(kEncodedEnd.size());
    return from_base64(header);
}

std::vector<std::pair<std::string, std::string>> mirrored_headers(const RpcRequest &request) {
    const Field body(request.params);
    std::vector<std::pair<std::string, std::string>> headers{
        {"mcp-protocol-version", body["_meta"][kMetaVersion].text_or("").value_or("")}, {"mcp-method", request.method}};
    const char *name = named_by(request.method);
    const std::string value = name == nullptr ? std::string() : body[name].text_or("").value_or("");
    if (value.empty()) return headers;
    const auto visible = [](char c) { return c > ' ' && c < '\x7F'; };
    const bool plain = std::ranges::all_of(value, [&](char c) { return visible(c) || c == ' '; }) && visible(value.front()) &&
                       visible(value.back()) && !value.starts_with(kEncodedBegin);
    headers.emplace_back("mcp-name", plain ? value : std::format("{}{}{}", kEncodedBegin, base64(value), kEncodedEnd));
    return headers;
}

std::string write_message(const RpcMessage &message) {
    OrderedJson json = rpc_json(message);
    if (json.contains("id") && json["id"].is_null()) json.erase("id");
    return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

RpcNotification progress_notification(const RpcId &token, const Progress &progress) {
    OrderedJson params{{"progressToken", rpc_json(token)}, {"progress", progress.done}};
    if (progress.total) params["total"] = *progress.total;
    if (!progress.message.empty()) params["message"] = progress.message;
    return {.method = "notifications/progress", .params = std::move(params)};
}

RpcNotification log_notification(LogLevel level, OrderedJson data) {
    return {.method = "notifications/message", .params = {{"level", log_level_name(level)}, {"data", std::move(data)}}};
}

OrderedJson text_content(std::string_view text) { return {{"type", "text"}, {"text", text}}; }

OrderedJson tool_result(std::string_view text, OrderedJson structured) {
    return {{"content", OrderedJson::array({text_content(text)})}, {"structuredContent", std::move(structured)}};
}

OrderedJson tool_failure(std::string_view why) {
    return {{"content", OrderedJson::array({text_content(why)})}, {"isError", true}};
}

OrderedJson text_resource(std::string_view uri, std::string_view media_type, std::string_view text) {
    return {{"uri", uri}, {"mimeType", media_type}, {"text", text}};
}

OrderedJson empty_result() { return OrderedJson::object(); }

void add_cache_hint(OrderedJson &result, const CacheHint &hint) {
    result["ttlMs"] = hint.ttl_ms;
    result["cacheScope"] = hint.for_everybody ? "public" : "private";
}

std::string cursor_after(std::string_view name) { return base64(std::string(kCursor) + std::string(name)); }

RpcResult<std::string> read_cursor(const OrderedJson &params) {
    const OrderedJson *cursor = member(params, "cursor");
    if (cursor == nullptr) return std::string();
    const auto text = cursor->is_string() ? from_base64(cursor->get_ref<const std::string &>()) : std::nullopt;
    if (!text || !text->starts_with(kCursor)) {
        return rpc_fail(kRpcInvalidParams, "cursor must be the nextCursor of the page before");
    }
    return text->substr(kCursor.size());
}

}  // namespace engram::protocol::mcp
