// What went wrong with a request, before a protocol puts its own shape around it (anthropic/errors.h, openai/errors.h).
//
// Pure. One table maps a kind to its HTTP status, so that all protocols agree.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "engram/error.h"

namespace engram::protocol {

enum class ApiErrorKind : std::uint8_t {
    invalid_request,     // 400: malformed JSON, a missing or wrong field
    prompt_too_long,     // 400: more tokens than the context has
    authentication,      // 401: no key, or one that isn't known
    permission,          // 403: the key may not do this
    not_found,           // 404: no such path, agent, response, …
    model_not_found,     // 404
    method_not_allowed,  // 405
    timeout,             // 408: the client sent its request too slowly
    conflict,            // 409: the name is taken, or the agent is busy in a way that can't wait
    too_large,           // 413: the body
    rate_limited,        // 429: queue or quota; retry_after_s says when
    internal,            // 500: a bug of ours
    unsupported,         // 501: this model or build can't do it
    overloaded,          // 503: shutting down, loading a model; retry_after_s says when
    no_space,            // 507: the tenant's or the disk's budget
};

struct [[nodiscard]] ApiError {
    ApiErrorKind kind = ApiErrorKind::internal;
    std::string message;       // a sentence that a user can act on
    std::string param;         // the request's field, "messages[2].role"; empty: none in particular
    std::uint64_t tokens = 0;  // of prompt_too_long: the prompt's, and the most that fit
    std::uint64_t max_tokens = 0;
    std::uint32_t retry_after_s = 0;  // 0: no such header
};

template <typename T>
using ApiResult = std::expected<T, ApiError>;

int http_status(ApiErrorKind kind);

// The library's error as the server's. internal and engine keep their message: it holds no prompt text.
ApiError api_error(const Error &error);

std::unexpected<ApiError> wrong_field(std::string param, std::string message);

}  // namespace engram::protocol
