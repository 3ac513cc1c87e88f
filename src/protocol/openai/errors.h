// Errors in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.
//
// The status is protocol::http_status's. `code` is what clients decide by: "context_length_exceeded", "model_not_found",
// "invalid_api_key", "rate_limit_exceeded", … It is null only where a request can't be read at all. Pure.
#pragma once

#include <string>

#include "chat/bounded_json.h"
#include "protocol/api_error.h"

namespace engram::protocol::openai {

// The object inside: message, type, param, code.
OrderedJson error_object(const ApiError &error);
// The body of an answer that failed.
std::string error_body(const ApiError &error);
// The `code` alone; empty: none.
std::string error_code(const ApiError &error);
// The message as it is told: for a prompt that is too long the sentence that clients recognise.
std::string error_message(const ApiError &error);

}  // namespace engram::protocol::openai
