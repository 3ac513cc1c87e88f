// What is wrong with an A2A request, and its shapes in the two bindings. Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "chat/bounded_json.h"
#include "protocol/a2a/values.h"
#include "protocol/api_error.h"

namespace engram::protocol::a2a {

enum class A2aErrorKind : std::uint8_t {
    // The protocol's own: codes -32001 to -32009.
    task_not_found,
    task_not_cancelable,
    push_not_supported,
    unsupported_operation,
    content_type_not_supported,
    extended_card_not_configured,
    extension_support_required,
    version_not_supported,
    // JSON-RPC's.
    parse,            // no JSON
    invalid_request,  // no JSON-RPC request
    method_not_found,
    invalid_params,
    internal,
    // The server's.
    unauthenticated,
    permission_denied,
    agent_not_found,
    too_many,  // requests; retry_after_s says when to come again
    unavailable,
};

struct [[nodiscard]] A2aError {
    A2aErrorKind kind = A2aErrorKind::internal;
    std::string message;  // a sentence
    std::string field;    // of invalid_params: "message.parts[0]"; empty: none in particular
    std::string task_id;  // of the task's errors
    std::uint32_t retry_after_s = 0;

    A2aError(A2aErrorKind which, std::string words, std::string task = {})
        : kind(which), message(std::move(words)), task_id(std::move(task)) {}
    A2aError(const ApiError &error);  // NOLINT(google-explicit-constructor): so that fields' errors pass through
};

template <typename T>
using A2aResult = std::expected<T, A2aError>;

std::unexpected<A2aError> no_such_task(std::string_view id);

int rpc_code(A2aErrorKind kind);     // -32001
int http_status(A2aErrorKind kind);  // of the HTTP+JSON binding
// Of JSON-RPC answers, whose errors are answers like any other, but for those of keys and load.
int rpc_http_status(A2aErrorKind kind);

// {"code":…,"message":…,"data":[…]} of a JSON-RPC answer.
OrderedJson rpc_error(const A2aError &error, WireVersion dialect);
// {"error":{"code":404,"status":"NOT_FOUND","message":…,"details":[…]}}.
OrderedJson http_error(const A2aError &error);

}  // namespace engram::protocol::a2a
