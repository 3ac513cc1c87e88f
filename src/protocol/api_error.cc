#include "protocol/api_error.h"

#include <utility>

namespace engram::protocol {
namespace {

ApiErrorKind kind_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid_argument: return ApiErrorKind::invalid_request;
        case ErrorCode::not_found: return ApiErrorKind::not_found;
        case ErrorCode::already_exists:
        case ErrorCode::incompatible: return ApiErrorKind::conflict;
        case ErrorCode::over_budget: return ApiErrorKind::no_space;
        case ErrorCode::too_long: return ApiErrorKind::prompt_too_long;
        case ErrorCode::locked:
        case ErrorCode::cancelled: return ApiErrorKind::overloaded;
        case ErrorCode::unsupported: return ApiErrorKind::unsupported;
        case ErrorCode::corrupt:
        case ErrorCode::io:
        case ErrorCode::engine:
        case ErrorCode::internal: return ApiErrorKind::internal;
    }
    return ApiErrorKind::internal;
}

}  // namespace

int http_status(ApiErrorKind kind) {
    switch (kind) {
        case ApiErrorKind::invalid_request:
        case ApiErrorKind::prompt_too_long: return 400;
        case ApiErrorKind::authentication: return 401;
        case ApiErrorKind::permission: return 403;
        case ApiErrorKind::not_found:
        case ApiErrorKind::model_not_found: return 404;
        case ApiErrorKind::method_not_allowed: return 405;
        case ApiErrorKind::timeout: return 408;
        case ApiErrorKind::conflict: return 409;
        case ApiErrorKind::too_large: return 413;
        case ApiErrorKind::rate_limited: return 429;
        case ApiErrorKind::internal: return 500;
        case ApiErrorKind::unsupported: return 501;
        case ApiErrorKind::overloaded: return 503;
        case ApiErrorKind::no_space: return 507;
    }
    return 500;
}

ApiError api_error(const Error &error) {
    return {.kind = kind_of(error.code), .message = error.message, .tokens = error.asked, .max_tokens = error.limit};
}

std::unexpected<ApiError> wrong_field(std::string param, std::string message) {
    return std::unexpected(
        ApiError{.kind = ApiErrorKind::invalid_request, .message = std::move(message), .param = std::move(param)});
}

}  // namespace engram::protocol
