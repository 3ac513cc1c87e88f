#include "protocol/openai/errors.h"

#include <format>

#include "protocol/openai/wire.h"

namespace engram::protocol::openai {
namespace {

struct Kind {
    const char *type;
    const char *code;
};

Kind kind_of(ApiErrorKind kind) {
    switch (kind) {
        case ApiErrorKind::invalid_request: return {"invalid_request_error", "invalid_value"};
        case ApiErrorKind::prompt_too_long: return {"invalid_request_error", "context_length_exceeded"};
        case ApiErrorKind::authentication: return {"invalid_request_error", "invalid_api_key"};
        case ApiErrorKind::permission: return {"invalid_request_error", "permission_denied"};
        case ApiErrorKind::not_found: return {"invalid_request_error", "not_found"};
        case ApiErrorKind::model_not_found: return {"invalid_request_error", "model_not_found"};
        case ApiErrorKind::method_not_allowed: return {"invalid_request_error", "method_not_supported"};
        case ApiErrorKind::timeout: return {"invalid_request_error", "request_timeout"};
        case ApiErrorKind::conflict: return {"invalid_request_error", "conflict"};
        case ApiErrorKind::too_large: return {"invalid_request_error", "request_too_large"};
        case ApiErrorKind::rate_limited: return {"rate_limit_error", "rate_limit_exceeded"};
        case ApiErrorKind::internal: return {"server_error", "server_error"};
        case ApiErrorKind::unsupported: return {"server_error", "unsupported"};
        case ApiErrorKind::overloaded: return {"server_error", "server_is_overloaded"};
        case ApiErrorKind::no_space: return {"insufficient_quota", "insufficient_quota"};
    }
    return {"server_error", "server_error"};
}

}  // namespace

std::string error_code(const ApiError &error) {
    const bool unreadable = error.kind == ApiErrorKind::invalid_request && error.param.empty();
    return unreadable ? "" : kind_of(error.kind).code;
}

std::string error_message(const ApiError &error) {
    if (error.kind != ApiErrorKind::prompt_too_long || error.max_tokens == 0) return error.message;
    return std::format(
        "This model's maximum context length is {} tokens. However, your messages resulted in {} tokens. Please reduce the "
        "length "
        "of the messages.",
        error.max_tokens, error.tokens);
}

OrderedJson error_object(const ApiError &error) {
    std::string param = error.param;
    if (param.empty() && error.kind == ApiErrorKind::model_not_found) param = "model";
    return {{"message", error_message(error)},
            {"type", kind_of(error.kind).type},
            {"param", text_or_null(param)},
            {"code", text_or_null(error_code(error))}};
}

std::string error_body(const ApiError &error) { return dump({{"error", error_object(error)}}); }

}  // namespace engram::protocol::openai
