// Errors in the shape of Anthropic's API. Pure.
#pragma once

#include <string>
#include <string_view>

#include "protocol/api_error.h"

namespace engram::protocol::anthropic {

// The vendor's word for it ("invalid_request_error", …), by which its clients decide whether to try again.
std::string_view error_type(ApiErrorKind kind);

// As http_status says, but overloaded is 529, the vendor's own.
int error_status(ApiErrorKind kind);

// {"type":"error","error":{"type","message"},"request_id"}. A prompt that is too long has exactly the vendor's sentence: clients
// shorten their conversation when they read it.
std::string error_body(const ApiError &error, std::string_view request_id);

// Fields as the vendor writes them, "messages.2.content" for "messages[2].content", and "Field required" for what is missing.
ApiError in_vendors_words(ApiError error);

}  // namespace engram::protocol::anthropic
