#include "protocol/openai/embeddings.h"

#include <gtest/gtest.h>

#include "core/base64.h"
#include "protocol/openai/testing/wire_samples.h"
#include "protocol/openai/wire.h"

namespace engram::protocol::openai {
namespace {

EmbeddingRequest parsed(std::string_view body) {
    auto request = parse_embedding_request(json_of(body));
    if (!request) ADD_FAILURE() << request.error().message;
    return request.value_or(EmbeddingRequest{});
}

TEST(EmbeddingsTest, Inputs) {
    const EmbeddingRequest one = parsed(R"({"model":"m","input":"text","encoding_format":"base64","dimensions":2})");
    EXPECT_EQ(one.model, "m");
    EXPECT_EQ(one.inputs.at(0).text, "text");
    EXPECT_TRUE(one.base64);
    EXPECT_EQ(one.dimensions, 2U);
    EXPECT_EQ(parsed(R"({"input":["a","b"]})").inputs.at(1).text, "b");
    EXPECT_EQ(parsed(R"({"input":[5,6]})").inputs.at(0).tokens, (std::vector<std::int32_t>{5, 6}));
    EXPECT_EQ(parsed(R"({"input":[[5],[6]]})").inputs.at(1).tokens, std::vector<std::int32_t>{6});
}

TEST(EmbeddingsTest, Answer) {
    const std::vector<std::vector<float>> vectors = {{0.5F, -1.0F}, {0.0F, 2.0F}};
    EXPECT_EQ(
        dump(*embedding_answer(parsed(R"({"input":["a","b"]})"), "m", vectors, 4)),
        R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1.0]},)"
        R"({"object":"embedding","index":1,"embedding":[0.0,2.0]}],"model":"m","usage":{"prompt_tokens":4,"total_tokens":4}})");
    const auto coded = embedding_answer(parsed(R"({"input":["a","b"],"encoding_format":"base64"})"), "m", vectors, 4);
    EXPECT_EQ((*coded)["data"][0]["embedding"], "AAAAPwAAgL8=");
}

TEST(EmbeddingsTest, FewerDimensionsHaveLengthOne) {
    const std::vector<std::vector<float>> vectors = {{3.0F, 4.0F, 12.0F}};
    const auto answer = embedding_answer(parsed(R"({"input":"a","dimensions":2})"), "m", vectors, 1);
    ASSERT_TRUE(answer.has_value());
    EXPECT_FLOAT_EQ((*answer)["data"][0]["embedding"][0].get<float>(), 0.6F);
    EXPECT_FLOAT_EQ((*answer)["data"][0]["embedding"][1].get<float>(), 0.8F);
    EXPECT_EQ(embedding_answer(parsed(R"({"input":"a","dimensions":4})"), "m", vectors, 1).error().param, "dimensions");
}

TEST(Base64Test, ThereAndBack) {
    EXPECT_EQ(base64(""), "");
    EXPECT_EQ(base64("f"), "Zg==");
    EXPECT_EQ(base64("fo"), "Zm8=");
    EXPECT_EQ(base64("foo"), "Zm9v");
    EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
    std::string bytes;
    for (int i = 0; i < 300; ++i) {
        EXPECT_EQ(from_base64(base64(bytes)), bytes);
        bytes += static_cast<char>(i * 7);
    }
    for (const char *text : {"Zg=", "Z", "Zg=a", "Z===", "Zm9v====", "Zm 9v"}) EXPECT_EQ(from_base64(text), std::nullopt) << text;
}

}  // namespace
}  // namespace engram::protocol::openai
