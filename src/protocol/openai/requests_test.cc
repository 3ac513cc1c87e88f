// All requests of the table, as they are and after damage.
#include <gtest/gtest.h>

#include <format>
#include <iterator>
#include <random>

#include "core/testing/test_seed.h"
#include "protocol/openai/chat_request.h"
#include "protocol/openai/completions.h"
#include "protocol/openai/embeddings.h"
#include "protocol/openai/testing/wire_samples.h"
#include "protocol/openai/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

namespace engram::protocol::openai {
namespace {

template <typename T>
std::optional<ApiError> refusal_of(const ApiResult<T> &result) {
    return result ? std::nullopt : std::optional(result.error());
}

std::optional<ApiError> refusal(const RequestSample &sample) {
    const OrderedJson body = json_of(sample.body);
    switch (sample.endpoint) {
        case Endpoint::chat: return refusal_of(parse_chat_request(body));
        case Endpoint::completions: return refusal_of(parse_completion_request(body));
        case Endpoint::responses: return refusal_of(parse_responses_request(body, OneStoredResponse(), "1"));
        case Endpoint::embeddings: return refusal_of(parse_embedding_request(body));
    }
    return std::nullopt;
}

TEST(OpenAiRequests, AreAcceptedOrRefusedByName) {
    EXPECT_GE(request_samples().size(), 80U);
    for (const RequestSample &sample : request_samples()) {
        SCOPED_TRACE(sample.body);
        const std::optional<ApiError> error = refusal(sample);
        ASSERT_EQ(error.has_value(), sample.param != nullptr) << (error ? error->message : "accepted");
        if (!error) continue;
        EXPECT_EQ(error->kind, ApiErrorKind::invalid_request);
        EXPECT_EQ(error->param, sample.param);
        EXPECT_NE(error->message.find(sample.message), std::string::npos) << error->message;
    }
}

// What is looked up one by one has a limit: reading it would cost far more than sending it.
TEST(OpenAiRequests, HaveSoManyToolsAndCalls) {
    OrderedJson body =
        json_of(R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"x","tool_calls":[]}],"tools":[]})");
    const auto param = [&] {
        const auto request = parse_chat_request(body);
        return request ? std::string() : request.error().param;
    };
    for (int i = 0; i <= 4096; ++i) {
        body["tools"].push_back({{"type", "function"}, {"function", {{"name", std::format("f{}", i)}}}});
    }
    EXPECT_EQ(param(), "tools[4096].function.name");
    body["tools"].clear();
    for (int i = 0; i <= 1024; ++i) {
        body["messages"][1]["tool_calls"].push_back({{"id", std::to_string(i)}, {"function", {{"name", "f"}}}});
    }
    EXPECT_EQ(param(), "messages[1].tool_calls");
}

// Lists that are read whole: the last size that is taken, and the first that isn't.
TEST(OpenAiRequests, HaveSoManyMessagesPartsAndItems) {
    constexpr std::size_t kMost = 100'000;
    const OrderedJson user = {{"role", "user"}, {"content", "x"}}, part = {{"type", "text"}, {"text", "x"}};
    const auto list = [](const OrderedJson &element, std::size_t count) {
        return OrderedJson(std::vector<OrderedJson>(count, element));
    };
    for (const std::size_t count : {kMost, kMost + 1}) {
        const std::string message = count == kMost ? "" : ": must have at most 100000 elements";
        const auto expect = [&](const std::optional<ApiError> &error, const std::string &field) {
            EXPECT_EQ(error ? error->message : "", message.empty() ? "" : field + message);
        };
        expect(refusal_of(parse_chat_request({{"messages", list(user, count)}})), "messages");
        const OrderedJson parts = {{"role", "user"}, {"content", list(part, count)}};
        expect(refusal_of(parse_chat_request({{"messages", list(parts, 1)}})), "messages[0].content");
        expect(refusal_of(parse_responses_request({{"input", list(user, count)}}, OneStoredResponse(), "1")), "input");
    }
}

TEST(OpenAiRequests, HaveSoManyPromptsInputsAnswersAndStops) {
    const auto texts = [](std::size_t count, std::size_t bytes) {
        return OrderedJson(std::vector<std::string>(count, std::string(bytes, 'x')));
    };
    const auto completion = [](const OrderedJson &prompt, int n) {
        const auto error = refusal_of(parse_completion_request({{"prompt", prompt}, {"n", n}}));
        return error ? error->message : "";
    };
    EXPECT_EQ(completion(texts(2048, 1), 1), "");
    EXPECT_EQ(completion(texts(2049, 1), 1), "prompt: must have at most 2048 elements");
    EXPECT_EQ(completion(texts(16, 1), 128), "");
    EXPECT_EQ(completion(texts(17, 1), 128), "n: is 128 for each of 17 prompts: at most 2048 answers are given to one request");
    EXPECT_EQ(completion("x", 129), "n: must be a whole number from 1 to 128");
    EXPECT_TRUE(parse_embedding_request({{"input", texts(2048, 1)}}).has_value());
    EXPECT_EQ(parse_embedding_request({{"input", texts(2049, 1)}}).error().message, "input: must have at most 2048 elements");
    const auto stopping = [](const OrderedJson &stop) {
        const auto error = refusal_of(parse_completion_request({{"prompt", "x"}, {"stop", stop}}));
        return error ? error->message : "";
    };
    EXPECT_EQ(stopping(texts(4, 4096)), "");
    EXPECT_EQ(stopping(texts(5, 1)), "stop: must have at most 4 elements");
    EXPECT_EQ(stopping(texts(1, 4097)), "stop[0]: must have at most 4096 bytes");
}

// Somewhere in the body a value becomes another one, goes, or comes twice.
void damage(OrderedJson &json, std::mt19937_64 &random) {
    static const std::vector<OrderedJson> kForeign = {nullptr,
                                                      true,
                                                      -1,
                                                      5,
                                                      1e300,
                                                      "",
                                                      "function",
                                                      "x\xC3\xBC",
                                                      OrderedJson::array(),
                                                      OrderedJson::object(),
                                                      OrderedJson::array({1}),
                                                      json_of(R"([{"type":"text"}])")};
    if (json.is_structured() && !json.empty() && random() % 8 != 0) {
        const auto place = std::next(json.begin(), static_cast<std::ptrdiff_t>(random() % json.size()));
        if (random() % 12 == 0) {
            json.erase(place);
        } else if (json.is_array() && random() % 8 == 0) {
            json.push_back(OrderedJson(*place));
        } else {
            damage(*place, random);
        }
        return;
    }
    json = kForeign[random() % kForeign.size()];
}

TEST(OpenAiRequests, AreNeverTrustedWhenTheyAreDamaged) {
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 40; ++round) {
        for (const RequestSample &sample : request_samples()) {
            OrderedJson body = json_of(sample.body);
            for (std::uint64_t i = random() % 4; i > 0; --i) damage(body, random);
            if (!body.is_object()) continue;
            const std::string text = dump(body);
            EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t *>(text.data()), text.size()), 0);
        }
    }
}

}  // namespace
}  // namespace engram::protocol::openai
