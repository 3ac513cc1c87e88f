#include "protocol/openai/responses_request.h"

#include <gtest/gtest.h>

#include <format>

#include "protocol/openai/testing/wire_samples.h"
#include "protocol/openai/wire.h"

namespace engram::protocol::openai {
namespace {

ResponsesRequest parsed(std::string_view body) {
    auto request = parse_responses_request(json_of(body), OneStoredResponse(), "2");
    if (!request) ADD_FAILURE() << request.error().message;
    return std::move(request).value_or(ResponsesRequest{});
}

TEST(ResponsesRequestTest, ATextAndItsEcho) {
    const ResponsesRequest request = parsed(R"({"model":"engram-nano","input":"hi"})");
    EXPECT_EQ(request.chat.model, "engram-nano");
    EXPECT_EQ(request.chat.messages, (std::vector<ChatMessage>{{.role = "user", .content = "hi"}}));
    EXPECT_TRUE(request.store);
    EXPECT_FALSE(request.stream);
    EXPECT_EQ(request.instruction_messages, 0U);
    EXPECT_EQ(
        dump(request.input_items),
        R"([{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}],"id":"msg_2_in0","status":"completed"}])");
    EXPECT_EQ(dump(request.echo),
              dump(json_of(R"({"background":false,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,
        "metadata":{},"parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"prompt_cache_retention":null,
        "reasoning":{"effort":null,"summary":null},"safety_identifier":null,"service_tier":"default","store":true,"temperature":1.0,
        "text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,
        "truncation":"disabled","user":null})")));
}

TEST(ResponsesRequestTest, FieldsAreRepeatedAsTheyCame) {
    const ResponsesRequest request =
        parsed(R"({"input":"hi","instructions":"Be brief.","max_output_tokens":100,"max_tool_calls":3,
        "metadata":{"a":"b"},"parallel_tool_calls":false,"prompt_cache_key":"k","prompt_cache_retention":"24h",
        "reasoning":{"effort":"high","summary":"auto"},"store":false,"stream":true,"temperature":0.7,"top_p":0.95,"top_logprobs":2,
        "text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true},"verbosity":"low"},
        "tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"tool_choice":{"type":"function","name":"f"},
        "truncation":"auto","user":"u","safety_identifier":"s","include":["reasoning.encrypted_content"]})");
    EXPECT_EQ(dump(request.echo), dump(json_of(R"({"background":false,"instructions":"Be brief.","max_output_tokens":100,
        "max_tool_calls":3,"metadata":{"a":"b"},"parallel_tool_calls":false,"previous_response_id":null,"prompt_cache_key":"k",
        "prompt_cache_retention":"24h","reasoning":{"effort":"high","summary":"auto"},"safety_identifier":"s","service_tier":"default",
        "store":false,"temperature":0.7,"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true},
        "verbosity":"low"},"tool_choice":{"type":"function","name":"f"},"tools":[{"type":"function","name":"f",
        "parameters":{"type":"object"},"description":null,"strict":true}],"top_logprobs":2,"top_p":0.95,"truncation":"auto","user":"u"})")));
    const ChatRequest &chat = request.chat;
    EXPECT_EQ(chat.messages.at(0), (ChatMessage{.role = "system", .content = "Be brief."}));
    EXPECT_EQ(request.instruction_messages, 1U);
    EXPECT_EQ(chat.max_tokens, 100U);
    EXPECT_EQ(chat.top_logprobs, 2U);
    EXPECT_EQ(chat.conversation, "k");
    EXPECT_EQ(chat.retention, Retention::one_day);
    EXPECT_EQ(chat.format, AnswerFormat::json_schema);
    EXPECT_EQ(chat.tool_choice.use, ToolUse::named);
    EXPECT_TRUE(chat.thinks && chat.tools.at(0).strict && chat.may_truncate && request.encrypted_thinking && request.stream);
    EXPECT_FALSE(request.store);
}

TEST(ResponsesRequestTest, ItemsOfOneTurnBecomeOneMessage) {
    const ResponsesRequest request = parsed(R"({"input":[
        {"role":"developer","content":"Rules."},
        {"role":"user","content":[{"type":"input_text","text":"weather?"}]},
        {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"the tool"}]},
        {"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"I look.","annotations":[]}]},
        {"type":"function_call","call_id":"a","name":"weather","arguments":"{\"x\":1}"},
        {"type":"function_call","call_id":"b","name":"time","arguments":""},
        {"type":"function_call_output","call_id":"b","output":"noon"},
        {"type":"function_call_output","call_id":"a","output":"sun"},
        {"type":"reasoning","id":"rs_2","summary":[{"type":"summary_text","text":"once more"}]},
        {"type":"function_call","call_id":"c","name":"time","arguments":"{}"},
        {"role":"user","content":"hurry"},
        {"type":"function_call_output","call_id":"c","output":"one"}]})");
    const std::vector<ChatMessage> expected = {
        {.role = "system", .content = "Rules."},
        {.role = "user", .content = "weather?"},
        {.role = "assistant",
         .content = "I look.",
         .thinking = "the tool",
         .tool_calls = {{"a", "weather", R"({"x":1})"}, {"b", "time", "{}"}}},
        {.role = "tool", .content = "noon", .tool_call_id = "b"},
        {.role = "tool", .content = "sun", .tool_call_id = "a"},
        {.role = "assistant", .content = "", .thinking = "once more", .tool_calls = {{"c", "time", "{}"}}},
        {.role = "tool", .content = "one", .tool_call_id = "c"},
        {.role = "user", .content = "hurry"}};
    EXPECT_EQ(request.chat.messages, expected);
    ASSERT_EQ(request.input_items.size(), 12U);
    EXPECT_EQ(request.input_items[3]["id"], "msg_1");
    EXPECT_EQ(request.input_items[4]["id"], "fc_2_in4");
    EXPECT_EQ(request.input_items[6]["id"], "fco_2_in6");
}

TEST(ResponsesRequestTest, AModelsTurnEndsWhereSomebodyElseSpeaks) {
    const ResponsesRequest request = parsed(R"({"input":[
        {"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"lost"}]},
        {"role":"user","content":"a"},
        {"type":"message","role":"assistant","content":"one"},
        {"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"aside"}]},
        {"type":"message","role":"assistant","content":"two"},
        {"type":"function_call","call_id":"a","name":"f","arguments":"{\"cut"},
        {"type":"function_call_output","call_id":"a","output":"?"},
        {"type":"message","role":"assistant","content":"three"}]})");
    const std::vector<ChatMessage> expected = {
        {.role = "user", .content = "a"},
        {.role = "assistant", .content = "one\ntwo", .thinking = "aside", .tool_calls = {{"a", "f", R"({"unparsed":"{\"cut"})"}}},
        {.role = "tool", .content = "?", .tool_call_id = "a"},
        {.role = "assistant", .content = "three"}};
    EXPECT_EQ(request.chat.messages, expected);
}

TEST(ResponsesRequestTest, ThePreviousResponseGoesBeforeTheInputAndItsInstructionsDont) {
    const ResponsesRequest request = parsed(R"({"previous_response_id":"resp_1","instructions":"New rules.",
        "input":[{"type":"function_call_output","call_id":"call_1","output":"5"},{"role":"user","content":"and?"}]})");
    const std::vector<ChatMessage> expected = {
        {.role = "system", .content = "New rules."},
        {.role = "user", .content = "hi"},
        {.role = "assistant", .content = "", .thinking = "let me see", .tool_calls = {{"call_1", "f", "{}"}}},
        {.role = "tool", .content = "5", .tool_call_id = "call_1"},
        {.role = "user", .content = "and?"}};
    EXPECT_EQ(request.chat.messages, expected);
    EXPECT_EQ(request.input_items.size(), 2U);
    EXPECT_EQ(request.echo["previous_response_id"], "resp_1");
}

TEST(ResponsesRequestTest, ReferencesAreLookedUp) {
    const ResponsesRequest request = parsed(R"({"input":[{"type":"item_reference","id":"msg_1"},{"id":"fc_1"},
        {"type":"function_call_output","call_id":"call_1","output":"5"}]})");
    ASSERT_EQ(request.chat.messages.size(), 3U);
    EXPECT_EQ(request.chat.messages[0].content, "hi");
    EXPECT_EQ(request.chat.messages[1].tool_calls.at(0).name, "f");
    EXPECT_EQ(request.input_items[1]["type"], "function_call");
}

// One stored item of the size that a test asks for.
class OneLargeItem : public StoredResponses {
  public:
    explicit OneLargeItem(std::size_t bytes)
        : item_({{"type", "message"}, {"id", "msg_1"}, {"role", "user"}, {"content", std::string()}}) {
        item_["content"] = std::string(bytes - item_.dump().size(), 'x');
    }
    std::optional<std::vector<ChatMessage>> conversation(std::string_view) const override { return std::nullopt; }
    std::optional<OrderedJson> item(std::string_view) const override { return std::optional<OrderedJson>(std::in_place, item_); }

  private:
    OrderedJson item_;
};

// Fifty bytes stand for a whole stored item: as often as one likes that would be any number of them.
TEST(ResponsesRequestTest, ReferencesDoNotMultiply) {
    const auto error_of = [](std::size_t references, std::size_t bytes) {
        OrderedJson body = {{"input", OrderedJson::array()}};
        for (std::size_t i = 0; i < references; ++i) body["input"].push_back({{"type", "item_reference"}, {"id", "msg_1"}});
        const auto request = parse_responses_request(body, OneLargeItem(bytes), "2");
        return request ? std::string() : request.error().message;
    };
    EXPECT_EQ(error_of(1024, 100), "");
    EXPECT_EQ(error_of(1025, 100), "input[1024]: is one reference too many: at most 1024 stored items are read for one request");
    EXPECT_EQ(error_of(2, 16UZ << 20U), "");
    EXPECT_EQ(error_of(2, (16UZ << 20U) + 1),
              "input[1]: refers to more than is read: the stored items of one request have at most 33554432 bytes");
}

TEST(ResponsesRequestTest, ThinkingComesBackInTheOpaqueText) {
    const std::string sealed = sealed_thinking("what ü said");
    EXPECT_EQ(unsealed_thinking(sealed), "what ü said");
    EXPECT_EQ(unsealed_thinking("gAAAAABo"), std::nullopt);
    EXPECT_EQ(unsealed_thinking("not base64!"), std::nullopt);
    const ResponsesRequest request = parsed(std::format(R"({{"input":[{{"role":"user","content":"a"}},
        {{"type":"reasoning","summary":[{{"type":"summary_text","text":"short"}}],"content":null,"encrypted_content":"{}"}},
        {{"type":"message","role":"assistant","content":"b"}},{{"role":"user","content":"c"}}]}})",
                                                        sealed));
    EXPECT_EQ(request.chat.messages.at(1).thinking, "what ü said");
}

// As Codex 0.169 sends it.
TEST(ResponsesRequestTest, NamespacesAndToolsThatNobodyAskedFor) {
    const ResponsesRequest request =
        parsed(R"({"model":"m","stream":true,"store":false,"tool_choice":"auto","parallel_tool_calls":true,
        "reasoning":{"summary":"auto"},"include":["reasoning.encrypted_content"],"prompt_cache_key":"01a1","client_metadata":{"x":"y"},
        "tools":[{"type":"function","name":"exec","strict":false,"parameters":{"type":"object","properties":{}}},
            {"type":"namespace","name":"mcp__files","description":"Files.","tools":[
                {"type":"function","name":"read","strict":false,"parameters":{"type":"object","properties":{}}}]},
            {"type":"web_search","external_web_access":false}],
        "input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]},
            {"type":"function_call","call_id":"c","namespace":"mcp__files","name":"read","arguments":"{}"},
            {"type":"function_call_output","call_id":"c","output":"text"}]})");
    ASSERT_EQ(request.chat.tools.size(), 2U);
    EXPECT_EQ(request.chat.tools[1].name, "mcp__files__read");
    EXPECT_FALSE(request.chat.tools[1].strict);
    EXPECT_EQ(request.chat.messages.at(1).tool_calls.at(0).name, "mcp__files__read");
    ASSERT_TRUE(request.namespaces.contains("mcp__files__read"));
    EXPECT_EQ(request.namespaces.at("mcp__files__read").space, "mcp__files");
    EXPECT_EQ(request.namespaces.at("mcp__files__read").name, "read");
    EXPECT_EQ(request.echo["tools"].size(), 2U);
    EXPECT_EQ(request.chat.conversation, "01a1");
}

}  // namespace
}  // namespace engram::protocol::openai
