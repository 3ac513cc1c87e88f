#include "protocol/openai/errors.h"

#include <gtest/gtest.h>

#include "protocol/openai/models.h"
#include "protocol/openai/wire.h"

namespace engram::protocol::openai {
namespace {

TEST(ErrorsTest, Bodies) {
    EXPECT_EQ(error_body({.kind = ApiErrorKind::invalid_request, .message = "n: must be 1", .param = "n"}),
              R"({"error":{"message":"n: must be 1","type":"invalid_request_error","param":"n","code":"invalid_value"}})");
    EXPECT_EQ(error_body({.kind = ApiErrorKind::invalid_request, .message = "no JSON"}),
              R"({"error":{"message":"no JSON","type":"invalid_request_error","param":null,"code":null}})");
    EXPECT_EQ(
        error_body({.kind = ApiErrorKind::model_not_found, .message = "No model \"x\"."}),
        R"({"error":{"message":"No model \"x\".","type":"invalid_request_error","param":"model","code":"model_not_found"}})");
    EXPECT_EQ(
        error_body(
            {.kind = ApiErrorKind::prompt_too_long, .message = "", .param = "messages", .tokens = 9000, .max_tokens = 8192}),
        R"({"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. )"
        R"(Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}})");
}

TEST(ErrorsTest, CodesThatClientsDecideBy) {
    EXPECT_EQ(error_code({.kind = ApiErrorKind::authentication}), "invalid_api_key");
    EXPECT_EQ(error_code({.kind = ApiErrorKind::rate_limited}), "rate_limit_exceeded");
    EXPECT_EQ(error_code({.kind = ApiErrorKind::no_space}), "insufficient_quota");
    EXPECT_EQ(error_code({.kind = ApiErrorKind::internal}), "server_error");
    EXPECT_EQ(error_code({.kind = ApiErrorKind::overloaded}), "server_is_overloaded");
    EXPECT_EQ(error_code({.kind = ApiErrorKind::method_not_allowed}), "method_not_supported");
}

TEST(ModelsTest, Json) {
    const std::vector<ModelCard> models = {{.id = "engram-nano", .created_s = 1700000000, .context_tokens = 8192}, {.id = "b"}};
    EXPECT_EQ(
        dump(model_list_json(models)),
        R"({"object":"list","data":[{"id":"engram-nano","object":"model","created":1700000000,"owned_by":"engram","max_model_len":8192},)"
        R"({"id":"b","object":"model","created":0,"owned_by":"engram"}]})");
}

}  // namespace
}  // namespace engram::protocol::openai
