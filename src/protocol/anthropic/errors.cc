#include "protocol/anthropic/errors.h"

#include <format>
#include <utility>

#include "chat/bounded_json.h"

namespace engram::protocol::anthropic {
namespace {

std::string sentence(const ApiError &error) {
    if (error.kind != ApiErrorKind::prompt_too_long) return error.message;
    return std::format("prompt is too long: {} tokens > {} maximum", error.tokens, error.max_tokens);
}

std::string dotted(std::string_view place) {
    std::string text;
    for (const char c : place) {
        if (c == '[') {
            text += '.';
        } else if (c != ']') {
            text += c;
        }
    }
    return text;
}

}  // namespace

std::string_view error_type(ApiErrorKind kind) {
    switch (kind) {
        case ApiErrorKind::invalid_request:
        case ApiErrorKind::prompt_too_long:
        case ApiErrorKind::method_not_allowed:
        case ApiErrorKind::unsupported: return "invalid_request_error";
        case ApiErrorKind::authentication: return "authentication_error";
        case ApiErrorKind::permission: return "permission_error";
        case ApiErrorKind::not_found:
        case ApiErrorKind::model_not_found: return "not_found_error";
        case ApiErrorKind::timeout: return "timeout_error";
        case ApiErrorKind::conflict: return "conflict_error";
        case ApiErrorKind::too_large: return "request_too_large";
        case ApiErrorKind::rate_limited: return "rate_limit_error";
        case ApiErrorKind::overloaded: return "overloaded_error";
        case ApiErrorKind::internal:
        case ApiErrorKind::no_space: return "api_error";
    }
    return "api_error";
}

int error_status(ApiErrorKind kind) { return kind == ApiErrorKind::overloaded ? 529 : http_status(kind); }

std::string error_body(const ApiError &error, std::string_view request_id) {
    const OrderedJson body{{"type", "error"},
                           {"error", {{"type", error_type(error.kind)}, {"message", sentence(error)}}},
                           {"request_id", request_id}};
    return body.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

ApiError in_vendors_words(ApiError error) {
    const std::string place = dotted(error.param);
    constexpr std::string_view kMissing = ": is missing";
    if (!error.param.empty() && error.message.starts_with(error.param)) {
        error.message = place + error.message.substr(error.param.size());
        if (error.message.ends_with(kMissing)) {
            error.message.replace(error.message.size() - kMissing.size(), kMissing.size(), ": Field required");
        }
    }
    error.param = place;
    return error;
}

}  // namespace engram::protocol::anthropic
