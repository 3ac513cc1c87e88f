#include "protocol/a2a/errors.h"

#include <algorithm>
#include <array>
#include <format>

namespace engram::protocol::a2a {
namespace {

struct Row {
    A2aErrorKind kind;
    int code;
    int http;
    std::string_view status;  // google.rpc.Code's name
    std::string_view reason;  // of the protocol's own errors
};
constexpr auto kTable = std::to_array<Row>({
    {A2aErrorKind::task_not_found, -32001, 404, "NOT_FOUND", "TASK_NOT_FOUND"},
    {A2aErrorKind::task_not_cancelable, -32002, 400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE"},
    {A2aErrorKind::push_not_supported, -32003, 400, "FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED"},
    {A2aErrorKind::unsupported_operation, -32004, 400, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION"},
    {A2aErrorKind::content_type_not_supported, -32005, 400, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED"},
    {A2aErrorKind::extended_card_not_configured, -32007, 400, "FAILED_PRECONDITION", "EXTENDED_AGENT_CARD_NOT_CONFIGURED"},
    {A2aErrorKind::extension_support_required, -32008, 400, "FAILED_PRECONDITION", "EXTENSION_SUPPORT_REQUIRED"},
    {A2aErrorKind::version_not_supported, -32009, 400, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED"},
    {A2aErrorKind::parse, -32700, 400, "INVALID_ARGUMENT", ""},
    {A2aErrorKind::invalid_request, -32600, 400, "INVALID_ARGUMENT", ""},
    {A2aErrorKind::method_not_found, -32601, 404, "UNIMPLEMENTED", ""},
    {A2aErrorKind::invalid_params, -32602, 400, "INVALID_ARGUMENT", ""},
    {A2aErrorKind::internal, -32603, 500, "INTERNAL", ""},
    {A2aErrorKind::unauthenticated, -32000, 401, "UNAUTHENTICATED", ""},
    {A2aErrorKind::permission_denied, -32000, 403, "PERMISSION_DENIED", ""},
    {A2aErrorKind::agent_not_found, -32602, 404, "NOT_FOUND", ""},
    {A2aErrorKind::too_many, -32000, 429, "RESOURCE_EXHAUSTED", ""},
    {A2aErrorKind::unavailable, -32000, 503, "UNAVAILABLE", ""},
});

const Row &row(A2aErrorKind kind) { return *std::ranges::find(kTable, kind, &Row::kind); }

A2aErrorKind kind_of(ApiErrorKind kind) {
    switch (kind) {
        case ApiErrorKind::invalid_request:
        case ApiErrorKind::prompt_too_long:
        case ApiErrorKind::model_not_found:
        case ApiErrorKind::conflict:
        case ApiErrorKind::timeout:
        case ApiErrorKind::method_not_allowed:
        case ApiErrorKind::too_large: return A2aErrorKind::invalid_params;
        case ApiErrorKind::not_found: return A2aErrorKind::agent_not_found;
        case ApiErrorKind::authentication: return A2aErrorKind::unauthenticated;
        case ApiErrorKind::permission: return A2aErrorKind::permission_denied;
        case ApiErrorKind::rate_limited:
        case ApiErrorKind::no_space: return A2aErrorKind::too_many;
        case ApiErrorKind::unsupported: return A2aErrorKind::unsupported_operation;
        case ApiErrorKind::overloaded: return A2aErrorKind::unavailable;
        case ApiErrorKind::internal: return A2aErrorKind::internal;
    }
    return A2aErrorKind::internal;
}

OrderedJson details(const A2aError &error) {
    OrderedJson list = OrderedJson::array();
    if (const std::string_view reason = row(error.kind).reason; !reason.empty()) {
        OrderedJson info{
            {"@type", "type.googleapis.com/google.rpc.ErrorInfo"}, {"reason", reason}, {"domain", "a2a-protocol.org"}};
        if (!error.task_id.empty()) info["metadata"] = {{"taskId", error.task_id}};
        list.push_back(std::move(info));
    }
    if (!error.field.empty()) {
        list.push_back({{"@type", "type.googleapis.com/google.rpc.BadRequest"},
                        {"fieldViolations", OrderedJson::array({{{"field", error.field}, {"description", error.message}}})}});
    }
    return list;
}

}  // namespace

A2aError::A2aError(const ApiError &error)
    : kind(kind_of(error.kind)), message(error.message), field(error.param), retry_after_s(error.retry_after_s) {}

std::unexpected<A2aError> no_such_task(std::string_view id) {
    return std::unexpected(
        A2aError(A2aErrorKind::task_not_found, std::format("there is no task \"{}\" here", id), std::string(id)));
}

int rpc_code(A2aErrorKind kind) { return row(kind).code; }

int http_status(A2aErrorKind kind) { return row(kind).http; }

int rpc_http_status(A2aErrorKind kind) {
    switch (kind) {
        case A2aErrorKind::unauthenticated:
        case A2aErrorKind::permission_denied:
        case A2aErrorKind::too_many:
        case A2aErrorKind::unavailable: return http_status(kind);
        default: return 200;
    }
}

OrderedJson rpc_error(const A2aError &error, WireVersion dialect) {
    OrderedJson json{{"code", rpc_code(error.kind)}, {"message", error.message}};
    if (OrderedJson data = details(error); dialect == WireVersion::v1_0 && !data.empty()) json["data"] = std::move(data);
    return json;
}

OrderedJson http_error(const A2aError &error) {
    const Row &facts = row(error.kind);
    return {{"error", {{"code", facts.http}, {"status", facts.status}, {"message", error.message}, {"details", details(error)}}}};
}

}  // namespace engram::protocol::a2a
