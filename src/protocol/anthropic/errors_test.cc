#include "protocol/anthropic/errors.h"

#include <gtest/gtest.h>

namespace engram::protocol::anthropic {
namespace {

TEST(AnthropicErrors, Body) {
    EXPECT_EQ(
        error_body({.kind = ApiErrorKind::invalid_request, .message = "max_tokens: Field required"}, "req_1"),
        R"({"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: Field required"},"request_id":"req_1"})");
    EXPECT_EQ(
        error_body({.kind = ApiErrorKind::internal, .message = "bad \xFF byte"}, "req_2"),
        "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"bad \xEF\xBF\xBD byte\"},\"request_id\":\"req_2\"}");
}

TEST(AnthropicErrors, AnOverlongPromptHasTheSentenceThatClientsLookFor) {
    EXPECT_EQ(error_body({.kind = ApiErrorKind::prompt_too_long, .message = "any", .tokens = 9001, .max_tokens = 8192}, "req_1"),
              R"({"type":"error","error":{"type":"invalid_request_error","message":)"
              R"("prompt is too long: 9001 tokens > 8192 maximum"},"request_id":"req_1"})");
    EXPECT_EQ(error_status(ApiErrorKind::prompt_too_long), 400);
}

TEST(AnthropicErrors, TypesAndStatuses) {
    const auto pair = [](ApiErrorKind kind) { return std::to_string(error_status(kind)) + " " + std::string(error_type(kind)); };
    EXPECT_EQ(pair(ApiErrorKind::invalid_request), "400 invalid_request_error");
    EXPECT_EQ(pair(ApiErrorKind::authentication), "401 authentication_error");
    EXPECT_EQ(pair(ApiErrorKind::permission), "403 permission_error");
    EXPECT_EQ(pair(ApiErrorKind::not_found), "404 not_found_error");
    EXPECT_EQ(pair(ApiErrorKind::model_not_found), "404 not_found_error");
    EXPECT_EQ(pair(ApiErrorKind::method_not_allowed), "405 invalid_request_error");
    EXPECT_EQ(pair(ApiErrorKind::timeout), "408 timeout_error");
    EXPECT_EQ(pair(ApiErrorKind::conflict), "409 conflict_error");
    EXPECT_EQ(pair(ApiErrorKind::too_large), "413 request_too_large");
    EXPECT_EQ(pair(ApiErrorKind::rate_limited), "429 rate_limit_error");
    EXPECT_EQ(pair(ApiErrorKind::internal), "500 api_error");
    EXPECT_EQ(pair(ApiErrorKind::unsupported), "501 invalid_request_error");
    EXPECT_EQ(pair(ApiErrorKind::overloaded), "529 overloaded_error");
    EXPECT_EQ(pair(ApiErrorKind::no_space), "507 api_error");
}

TEST(AnthropicErrors, FieldsAreWrittenAsTheVendorWritesThem) {
    const auto words = [](std::string param, std::string message) {
        return in_vendors_words(
            {.kind = ApiErrorKind::invalid_request, .message = std::move(message), .param = std::move(param)});
    };
    EXPECT_EQ(words("messages[2].content[10].text", "messages[2].content[10].text: must be a string").message,
              "messages.2.content.10.text: must be a string");
    EXPECT_EQ(words("messages[2].role", "messages[2].role: is missing").message, "messages.2.role: Field required");
    EXPECT_EQ(words("messages[2].role", "messages[2].role: is missing").param, "messages.2.role");
    EXPECT_EQ(words("", "the body can't be read[0]").message, "the body can't be read[0]");
    EXPECT_EQ(words("max_tokens", "`max_tokens` must be greater").message, "`max_tokens` must be greater");
}

}  // namespace
}  // namespace engram::protocol::anthropic
