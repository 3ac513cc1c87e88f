#include "protocol/openai/chat_request.h"

#include <gtest/gtest.h>

#include <format>

#include "protocol/openai/testing/wire_samples.h"

namespace engram::protocol::openai {
namespace {

ChatCompletionRequest parsed(std::string_view body) {
    auto request = parse_chat_request(json_of(body));
    if (!request) ADD_FAILURE() << request.error().message;
    return request.value_or(ChatCompletionRequest{});
}

// With one user message, and more fields.
ChatCompletionRequest asked(std::string_view fields) {
    return parsed(std::format(R"({{"messages":[{{"role":"user","content":"hi"}}],{}}})", fields));
}

TEST(ChatRequestTest, AFirstRequest) {
    const ChatCompletionRequest request = parsed(R"({"model":"engram-nano","messages":[{"role":"user","content":"hi"}]})");
    EXPECT_EQ(request.chat.model, "engram-nano");
    EXPECT_EQ(request.chat.messages, (std::vector<ChatMessage>{{.role = "user", .content = "hi"}}));
    EXPECT_FLOAT_EQ(request.chat.sampling.temperature, 1.0F);
    EXPECT_EQ(request.chat.sampling.seed, 0xFFFFFFFFU);
    EXPECT_EQ(request.chat.max_tokens, std::nullopt);
    EXPECT_EQ(request.chat.choices, 1U);
    EXPECT_EQ(request.chat.top_logprobs, std::nullopt);
    EXPECT_EQ(request.chat.retention, Retention::standard);
    EXPECT_FALSE(request.stream || request.include_usage || request.legacy_functions || request.chat.thinks);
}

TEST(ChatRequestTest, MessagesKeepTheirPlaceAndTheirCalls) {
    const ChatCompletionRequest request = parsed(R"({"messages":[
        {"role":"developer","content":[{"type":"text","text":"Be brief."},{"type":"text","text":"Be kind."}]},
        {"role":"user","content":"weather?","name":"ann"},
        {"role":"assistant","content":null,"reasoning_content":"I need the tool.","tool_calls":[
            {"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"b\": 1,\"a\":2}"}},
            {"id":"c2","type":"function","function":{"name":"time","arguments":""}},
            {"id":"c3","type":"function","function":{"name":"time","arguments":"{\"cut"}}]},
        {"role":"tool","tool_call_id":"c2","content":"noon"},
        {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"sun"}]},
        {"role":"tool","tool_call_id":"c3","content":"malformed"},
        {"role":"system","content":"The date changed."},
        {"role":"assistant","content":"Sun.","refusal":null}]})");
    const std::vector<ChatMessage> expected = {{.role = "system", .content = "Be brief.\nBe kind."},
                                               {.role = "user", .content = "weather?"},
                                               {.role = "assistant",
                                                .content = "",
                                                .thinking = "I need the tool.",
                                                .tool_calls = {{"c1", "weather", R"({"b": 1,"a":2})"},
                                                               {"c2", "time", "{}"},
                                                               {"c3", "time", R"({"unparsed":"{\"cut"})"}}},
                                               {.role = "tool", .content = "noon", .tool_call_id = "c2"},
                                               {.role = "tool", .content = "sun", .tool_call_id = "c1"},
                                               {.role = "tool", .content = "malformed", .tool_call_id = "c3"},
                                               {.role = "system", .content = "The date changed."},
                                               {.role = "assistant", .content = "Sun."}};
    EXPECT_EQ(request.chat.messages, expected);
    EXPECT_FALSE(request.chat.continues_last_message);
}

TEST(ChatRequestTest, TheLastMessageIsContinuedOnlyWhenAsked) {
    const ChatCompletionRequest request = parsed(
        R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"continue_final_message":true})");
    EXPECT_TRUE(request.chat.continues_last_message);
    EXPECT_FALSE(asked(R"("continue_final_message":true)").chat.continues_last_message);
}

TEST(ChatRequestTest, Tools) {
    const ChatRequest chat = asked(R"("tools":[
        {"type":"function","function":{"name":"weather","description":"Says it.","strict":true,
            "parameters":{"type":"object","required":["b"],"properties":{"b":{"type":["string","null"]},"a":{}}}}},
        {"type":"function","function":{"name":"time"}}],
        "tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"time"}}]}},
        "parallel_tool_calls":false)")
                                 .chat;
    ASSERT_EQ(chat.tools.size(), 2U);
    EXPECT_EQ(chat.tools[0].description, "Says it.");
    EXPECT_EQ(chat.tools[0].parameters,
              R"({"type":"object","required":["b"],"properties":{"b":{"type":["string","null"]},"a":{}}})");
    EXPECT_TRUE(chat.tools[0].strict);
    EXPECT_EQ(chat.tools[1].parameters, R"({"type":"object","properties":{}})");
    EXPECT_FALSE(chat.tools[1].strict);
    EXPECT_EQ(chat.tool_choice.use, ToolUse::required);
    EXPECT_EQ(chat.tool_choice.allowed, std::vector<std::string>{"time"});
    EXPECT_FALSE(chat.tool_choice.parallel);
}

TEST(ChatRequestTest, DeprecatedFunctions) {
    const ChatCompletionRequest request = parsed(R"({"messages":[{"role":"user","content":"a"},
        {"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"x\":1}"}},
        {"role":"function","name":"f","content":"5"}],
        "functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"}})");
    EXPECT_TRUE(request.legacy_functions);
    EXPECT_EQ(request.chat.tool_choice.use, ToolUse::named);
    EXPECT_EQ(request.chat.tool_choice.name, "f");
    EXPECT_FALSE(request.chat.tool_choice.parallel);
    EXPECT_EQ(request.chat.messages[1].tool_calls, (std::vector<ChatToolCall>{{"function:f", "f", R"({"x":1})"}}));
    EXPECT_EQ(request.chat.messages[2], (ChatMessage{.role = "tool", .content = "5", .tool_call_id = "function:f"}));
}

TEST(ChatRequestTest, Sampling) {
    const Sampling sampling = asked(R"("temperature":0,"top_p":0.9,"presence_penalty":0.5,"frequency_penalty":-0.5,
        "logit_bias":{"7":-100,"12":3.5},"seed":42,"stop":["a","","b"],"top_k":40,"min_p":0.05,"repeat_penalty":1.1,"repeat_last_n":128)")
                                  .chat.sampling;
    EXPECT_FLOAT_EQ(sampling.temperature, 0.0F);
    EXPECT_FLOAT_EQ(sampling.top_p, 0.9F);
    EXPECT_FLOAT_EQ(sampling.presence_penalty, 0.5F);
    EXPECT_FLOAT_EQ(sampling.frequency_penalty, -0.5F);
    EXPECT_EQ(sampling.logit_bias, (std::vector<std::pair<std::int32_t, float>>{{7, -100.0F}, {12, 3.5F}}));
    EXPECT_EQ(sampling.seed, 42U);
    EXPECT_EQ(sampling.stop, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(sampling.top_k, 40);
    EXPECT_FLOAT_EQ(sampling.min_p, 0.05F);
    EXPECT_FLOAT_EQ(sampling.repeat_penalty, 1.1F);
    EXPECT_EQ(sampling.penalty_last_n, 128);
    EXPECT_EQ(asked(R"("top_k":-1,"stop":"x")").chat.sampling.top_k, 0);
    EXPECT_EQ(asked(R"("stop":"x")").chat.sampling.stop, std::vector<std::string>{"x"});
}

TEST(ChatRequestTest, SeedsOfSixtyFourBits) {
    EXPECT_EQ(asked(R"("seed":-1)").chat.sampling.seed, 0xFFFFFFFFU);
    EXPECT_NE(asked(R"("seed":4294967295)").chat.sampling.seed, 0xFFFFFFFFU);
    EXPECT_EQ(asked(R"("seed":9223372036854775807)").chat.sampling.seed,
              asked(R"("seed":9223372036854775807)").chat.sampling.seed);
    EXPECT_NE(asked(R"("seed":4294967296)").chat.sampling.seed, asked(R"("seed":8589934592)").chat.sampling.seed);
}

TEST(ChatRequestTest, DefaultsAreTheServers) {
    const OrderedJson body = json_of(R"({"messages":[{"role":"user","content":"hi"}],"top_k":5})");
    const auto request = parse_chat_request(body, {.temperature = 0.6F, .top_k = 20, .top_p = 0.95F});
    ASSERT_TRUE(request.has_value());
    EXPECT_FLOAT_EQ(request->chat.sampling.temperature, 0.6F);
    EXPECT_FLOAT_EQ(request->chat.sampling.top_p, 0.95F);
    EXPECT_EQ(request->chat.sampling.top_k, 5);
}

TEST(ChatRequestTest, Lengths) {
    EXPECT_EQ(asked(R"("max_tokens":7)").chat.max_tokens, 7U);
    EXPECT_EQ(asked(R"("max_tokens":7,"max_completion_tokens":9)").chat.max_tokens, 9U);
    EXPECT_EQ(asked(R"("max_tokens":0)").chat.max_tokens, 0U);
    EXPECT_EQ(asked(R"("max_tokens":-1)").chat.max_tokens, std::nullopt);
    EXPECT_EQ(asked(R"("n":3)").chat.choices, 3U);
}

TEST(ChatRequestTest, Formats) {
    EXPECT_EQ(asked(R"("response_format":{"type":"text"})").chat.format, AnswerFormat::text);
    EXPECT_EQ(asked(R"("response_format":{"type":"json_object"})").chat.format, AnswerFormat::json_object);
    const ChatRequest chat =
        asked(
            R"("response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"z":{},"a":{}}}}})")
            .chat;
    EXPECT_EQ(chat.format, AnswerFormat::json_schema);
    EXPECT_EQ(chat.schema, R"({"type":"object","properties":{"z":{},"a":{}}})");
}

TEST(ChatRequestTest, MemoryAndThinking) {
    const ChatRequest chat =
        asked(R"("prompt_cache_key":"session 1","prompt_cache_retention":"24h","reasoning_effort":"low")").chat;
    EXPECT_EQ(chat.conversation, "session 1");
    EXPECT_EQ(chat.retention, Retention::one_day);
    EXPECT_TRUE(chat.thinks);
    EXPECT_EQ(asked(R"("prompt_cache_retention":"in_memory")").chat.retention, Retention::standard);
    EXPECT_EQ(asked(R"("prompt_cache_options":{"mode":"implicit","ttl":"30m"})").chat.retention, Retention::one_hour);
    EXPECT_FALSE(asked(R"("reasoning_effort":"none")").chat.thinks);
    EXPECT_TRUE(asked(R"("chat_template_kwargs":{"enable_thinking":true})").chat.thinks);
    EXPECT_FALSE(asked(R"("reasoning_effort":"high","chat_template_kwargs":{"enable_thinking":false})").chat.thinks);
    EXPECT_EQ(asked(R"("reasoning_effort":"high","thinking_budget":300)").chat.thinking_tokens, 300U);
    EXPECT_EQ(chat.thinking_tokens, std::nullopt);
}

TEST(ChatRequestTest, Streams) {
    const ChatCompletionRequest request =
        asked(R"("stream":true,"stream_options":{"include_usage":true},"logprobs":true,"top_logprobs":2)");
    EXPECT_TRUE(request.stream);
    EXPECT_TRUE(request.include_usage);
    EXPECT_EQ(request.chat.top_logprobs, 2U);
    EXPECT_EQ(asked(R"("logprobs":true)").chat.top_logprobs, 0U);
}

}  // namespace
}  // namespace engram::protocol::openai
