#include "protocol/openai/chat_answer.h"

#include <gtest/gtest.h>

#include "core/testing/test_seed.h"
#include "protocol/openai/testing/wire_samples.h"

namespace engram::protocol::openai {
namespace {

const AnswerHead kHead{.id = "chatcmpl-1", .created_s = 1700000000, .model = "engram-nano", .system_fingerprint = "fp_1"};

const std::vector<ChatEvent> kEvents = {
    ChatStarted{
        .prompt_tokens = 20, .cached_tokens = 16, .tier = "disk", .restore_ms = 1.5, .miss = PrefixMiss{16, "diverged: a date"}},
    ChatProgress{.done = 4, .total = 4},
    ChatThinking{.text = "hm"},
    ChatText{.text = "Hi"},
    ChatCallBegin{.index = 0, .id = "call_1", .name = "f"},
    ChatCallArguments{.text = "{\"a\":"},
    ChatCallArguments{.text = "1}"},
    ChatCallEnd{},
    ChatFinished{.reason = FinishReason::tool_calls, .answer_tokens = 9, .thinking_tokens = 2, .ttft_ms = 3, .decode_ms = 40}};

std::string streamed(const std::vector<ChatEvent> &events, ChatAnswerOptions options) {
    ChatStream stream(kHead, options);
    std::string frames;
    for (const ChatEvent &event : events) frames += stream.frames(event);
    return frames + stream.end();
}

OrderedJson collected(const std::vector<ChatEvent> &events, ChatAnswerOptions options = {}) {
    ChatCollector answer(kHead, options);
    for (const ChatEvent &event : events) answer.add(event);
    return answer.json();
}

// A chunk's choices, finish and usage, without what every chunk says.
OrderedJson without_head(OrderedJson chunk) {
    for (const char *name : {"id", "object", "created", "model", "service_tier", "system_fingerprint", "engram"})
        chunk.erase(name);
    return chunk;
}

TEST(ChatAnswerTest, Whole) {
    EXPECT_EQ(dump(collected(kEvents)), dump(json_of(R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,
        "model":"engram-nano","service_tier":"default","system_fingerprint":"fp_1",
        "choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"reasoning_content":"hm",
            "tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
            "logprobs":null,"finish_reason":"tool_calls"}],
        "usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,
            "prompt_tokens_details":{"cached_tokens":16,"audio_tokens":0},
            "completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":0,"accepted_prediction_tokens":0,
                "rejected_prediction_tokens":0}},
        "engram":{"cached_tokens":16,"computed_tokens":4,"tier":"disk","restore_ms":1.5,"ttft_ms":3.0,"decode_ms":40.0,
            "miss":{"at_token":16,"reason":"diverged: a date"}}})")));
}

TEST(ChatAnswerTest, Chunks) {
    const std::vector<OrderedJson> chunks = sse_data(streamed(kEvents, {.include_usage = true}));
    const std::vector<const char *> expected = {
        R"({"choices":[{"index":0,"delta":{"role":"assistant","content":null,"refusal":null},"logprobs":null,"finish_reason":null}],"usage":null})",
        R"({"choices":[{"index":0,"delta":{"reasoning_content":"hm"},"logprobs":null,"finish_reason":null}],"usage":null})",
        R"({"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}],"usage":null})",
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]},"logprobs":null,"finish_reason":null}],"usage":null})",
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]},"logprobs":null,"finish_reason":null}],"usage":null})",
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"logprobs":null,"finish_reason":null}],"usage":null})",
        R"({"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}],"usage":null})",
        R"({"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":16,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}})"};
    ASSERT_EQ(chunks.size(), expected.size() + 1);
    for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(chunks[i]["object"], "chat.completion.chunk");
        EXPECT_EQ(dump(without_head(chunks[i])), expected[i]);
    }
    EXPECT_EQ(chunks.back(), "[DONE]");
    EXPECT_EQ(chunks[6]["engram"]["tier"], "disk");
}

TEST(ChatAnswerTest, AnEmptyAnswerStillHasARole) {
    const std::vector<ChatEvent> events = {ChatStarted{.prompt_tokens = 2}, ChatFinished{.reason = FinishReason::length}};
    const std::vector<OrderedJson> chunks = sse_data(streamed(events, {}));
    ASSERT_EQ(chunks.size(), 4U);
    EXPECT_EQ(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    EXPECT_EQ(chunks[0]["choices"][0]["delta"]["content"], "");
    EXPECT_EQ(chunks[2]["choices"][0]["finish_reason"], "length");
    EXPECT_FALSE(chunks[2].contains("usage"));
    EXPECT_EQ(collected(events)["choices"][0]["message"]["content"], "");
}

TEST(ChatAnswerTest, ThatItWasNotCommittedIsTold) {
    const std::vector<ChatEvent> events = {ChatStarted{}, ChatFinished{.committed = false, .warning = "the disk is full"}};
    EXPECT_EQ(collected(events)["engram"]["committed"], false);
    EXPECT_EQ(collected(events)["engram"]["warning"], "the disk is full");
    EXPECT_FALSE(collected(kEvents)["engram"].contains("committed"));
}

TEST(ChatAnswerTest, DeprecatedFunctions) {
    const ChatAnswerOptions options{.legacy_functions = true};
    const OrderedJson answer = collected(kEvents, options);
    EXPECT_EQ(answer["choices"][0]["message"]["function_call"], json_of(R"({"name":"f","arguments":"{\"a\":1}"})"));
    EXPECT_FALSE(answer["choices"][0]["message"].contains("tool_calls"));
    EXPECT_EQ(answer["choices"][0]["finish_reason"], "function_call");
    const OrderedJson assembled = assembled_chat(sse_data(streamed(kEvents, options)));
    EXPECT_EQ(assembled["choices"], answer["choices"]);
}

TEST(ChatAnswerTest, LogProbabilitiesOfTokensThatAreNoCharacters) {
    TokenLogprob token{.token = 5, .bytes = "\xE2\x80", .logprob = -0.5F};
    token.alternatives = {{.token = 6, .bytes = "a", .logprob = -std::numeric_limits<float>::infinity()}};
    const OrderedJson answer = collected({ChatStarted{}, ChatText{.text = "…", .logprobs = {token}}, ChatFinished{}});
    EXPECT_EQ(dump(answer["choices"][0]["logprobs"]),
              "{\"content\":[{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-0.5,\"bytes\":[226,128],\"top_logprobs\":[{\"token\":\"a\","
              "\"logprob\":-9999.0,\"bytes\":[97]}]}],\"refusal\":null}");
}

TEST(ChatAnswerTest, AnErrorEndsTheStream) {
    ChatStream stream(kHead, {});
    EXPECT_EQ(stream.fail({.kind = ApiErrorKind::overloaded, .message = "The server is stopping."}),
              "data: {\"error\":{\"message\":\"The server is stopping.\",\"type\":\"server_error\",\"param\":null,"
              "\"code\":\"server_is_overloaded\"}}\n\ndata: [DONE]\n\n");
}

TEST(ChatAnswerTest, ChunksPutTogetherAreTheWholeAnswer) {
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 300; ++round) {
        const std::vector<ChatEvent> events = random_events(random, 1 + static_cast<std::uint32_t>(random() % 3), true);
        OrderedJson whole = collected(events);
        for (OrderedJson &choice : whole["choices"]) {
            // What the package makes of an answer without text.
            OrderedJson &content = choice["message"]["content"];
            if (content.is_string() && content.get_ref<const std::string &>().empty()) content = nullptr;
        }
        const OrderedJson assembled = assembled_chat(sse_data(streamed(events, {.include_usage = true})));
        // nlohmann compares members in their order here: that order is no part of what is promised.
        EXPECT_EQ(nlohmann::json::parse(dump(assembled)), nlohmann::json::parse(dump(whole)));
    }
}

}  // namespace
}  // namespace engram::protocol::openai
