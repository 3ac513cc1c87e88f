#include "protocol/anthropic/request.h"

#include <gtest/gtest.h>

#include <format>

#include "protocol/anthropic/testing/requests.h"

namespace engram::protocol::anthropic {
namespace {

// The shape of Claude Code's first request, with less text in it.
constexpr std::string_view kClaudeCode = R"({
    "model": "qwen3-8b", "max_tokens": 32000, "stream": true,
    "system": [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.329.4f2; cc_entrypoint=cli;"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "# Rules", "cache_control": {"type": "ephemeral", "scope": "global"}}],
    "tools": [{"name": "Bash", "description": "Runs.", "input_schema": {"$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"], "additionalProperties": false}},
        {"name": "DeferredToolPlaceholder", "description": "", "input_schema": {"type": "object"}, "defer_loading": true}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "<system-reminder>\nDate.\n</system-reminder>\n"},
            {"type": "text", "text": "Fix the bug", "cache_control": {"type": "ephemeral"}}]},
        {"role": "system", "content": "Skills: none"}],
    "metadata": {"user_id": "{\"device_id\":\"d\",\"account_uuid\":\"\",\"session_id\":\"5f0e-11\"}"},
    "thinking": {"type": "adaptive", "display": "omitted"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"}, "diagnostics": {"previous_message_id": null}, "betas_of_tomorrow": {"x": [1]}})";

TEST(AnthropicRequest, ClaudeCode) {
    const MessagesRequest request = parsed(json_of(kClaudeCode));
    const ChatRequest &chat = request.chat;
    EXPECT_EQ(chat.model, "qwen3-8b");
    EXPECT_EQ(chat.max_tokens, 32000U);
    EXPECT_EQ(chat.conversation, "5f0e-11");
    EXPECT_EQ(chat.agent, "");
    EXPECT_TRUE(chat.thinks);
    EXPECT_EQ(chat.retention, Retention::one_hour);
    EXPECT_EQ(chat.format, AnswerFormat::text);
    ASSERT_EQ(chat.tools.size(), 1U);
    EXPECT_EQ(chat.tools[0].name, "Bash");
    EXPECT_EQ(
        shown(chat),
        "system: \"x-anthropic-billing-header: cc_version=2.1.329.4f2; cc_entrypoint=cli;\\nYou are Claude Code.\\n# Rules\"\n"
        "user: \"<system-reminder>\\nDate.\\n</system-reminder>\\n\\nFix the bug\"\nsystem: \"Skills: none\"\n");
    EXPECT_TRUE(request.stream);
    EXPECT_EQ(request.shape.model, "qwen3-8b");
    EXPECT_FALSE(request.shape.shows_thinking);
    EXPECT_TRUE(request.shape.reports_context_management);
    EXPECT_TRUE(request.shape.reports_cache_miss);
}

TEST(AnthropicRequest, DefaultsOfTheSmallestOne) {
    Sampling defaults;
    defaults.temperature = 0.7F;
    defaults.top_k = 20;
    const auto request = parse_messages_request(request_with("{}"), no_headers(), defaults);
    ASSERT_TRUE(request.has_value());
    EXPECT_FALSE(request->stream);
    EXPECT_EQ(request->chat.max_tokens, 16U);
    EXPECT_EQ(request->chat.sampling.temperature, 0.7F);
    EXPECT_EQ(request->chat.sampling.top_k, 20);
    EXPECT_EQ(request->chat.retention, Retention::standard);
    EXPECT_FALSE(request->chat.thinks);
    EXPECT_TRUE(request->shape.shows_thinking);
    EXPECT_FALSE(request->shape.reports_context_management);
    EXPECT_FALSE(request->shape.reports_cache_miss);
    EXPECT_TRUE(request->chat.conversation.empty());
}

TEST(AnthropicRequest, Sampling) {
    const ChatRequest chat =
        parsed_with(R"({"temperature":0.25,"top_p":0.5,"top_k":7,"stop_sequences":["END","\n\nHuman:"],"max_tokens":0})").chat;
    EXPECT_EQ(chat.sampling.temperature, 0.25F);
    EXPECT_EQ(chat.sampling.top_p, 0.5F);
    EXPECT_EQ(chat.sampling.top_k, 7);
    EXPECT_EQ(chat.sampling.stop, (std::vector<std::string>{"END", "\n\nHuman:"}));
    EXPECT_EQ(chat.max_tokens, 0U);
}

TEST(AnthropicRequest, Thinking) {
    const auto thinks = [](std::string_view thinking) {
        return parsed_with(std::format(R"({{"max_tokens":4096,"thinking":{}}})", thinking)).chat.thinks;
    };
    EXPECT_TRUE(thinks(R"({"type":"enabled","budget_tokens":1024})"));
    EXPECT_EQ(parsed_with(R"({"max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":1024}})").chat.thinking_tokens,
              1024U);
    EXPECT_EQ(parsed_with(R"({"thinking":{"type":"adaptive"}})").chat.thinking_tokens, std::nullopt);
    EXPECT_TRUE(thinks(R"({"type":"adaptive"})"));
    EXPECT_FALSE(thinks(R"({"type":"disabled"})"));
    EXPECT_FALSE(thinks(R"({"type":"between_tools"})"));
    EXPECT_FALSE(thinks("null"));
    EXPECT_TRUE(parsed_with(R"({"thinking":{"type":"adaptive","display":"summarized"}})").shape.shows_thinking);
    // Thinking between calls may take more than one answer has.
    EXPECT_TRUE(parsed_with(R"({"max_tokens":1024,"thinking":{"type":"enabled","budget_tokens":30000}})",
                            headers_of({{"anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14"}}))
                    .chat.thinks);
    // A forced call is the whole answer.
    EXPECT_FALSE(parsed_with(R"({"thinking":{"type":"adaptive"},"tools":[{"name":"a","input_schema":{"type":"object"}}],)"
                             R"("tool_choice":{"type":"any"}})")
                     .chat.thinks);
}

TEST(AnthropicRequest, TheAnswersFormat) {
    constexpr std::string_view kFormat = R"({"type":"json_schema","schema":{"type":"object","properties":{"b":{},"a":{}}}})";
    for (const std::string &members : {std::format(R"({{"output_config":{{"effort":"low","format":{}}}}})", kFormat),
                                       std::format(R"({{"output_format":{}}})", kFormat)}) {
        const ChatRequest chat = parsed_with(members).chat;
        EXPECT_EQ(chat.format, AnswerFormat::json_schema);
        EXPECT_EQ(chat.schema, R"({"type":"object","properties":{"b":{},"a":{}}})");
    }
    EXPECT_EQ(parsed_with(R"({"output_config":{"format":null}})").chat.format, AnswerFormat::text);
}

TEST(AnthropicRequest, TheLongestTimeToLiveCounts) {
    const auto retention = [](std::string_view members) { return parsed_with(members).chat.retention; };
    EXPECT_EQ(retention(R"({"cache_control":{"type":"ephemeral"}})"), Retention::five_minutes);
    EXPECT_EQ(retention(R"({"cache_control":{"type":"ephemeral","ttl":"1h"}})"), Retention::one_hour);
    EXPECT_EQ(retention(R"({"cache_control":null})"), Retention::standard);
    EXPECT_EQ(
        retention(R"({"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}],)"
                  R"("messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}]})"),
        Retention::one_hour);
    EXPECT_EQ(
        retention(R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"1",)"
                  R"("name":"a","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":)"
                  R"([{"type":"text","text":"r","cache_control":{"type":"ephemeral","ttl":"5m"}}]}]}]})"),
        Retention::five_minutes);
    EXPECT_EQ(parsed_with(R"({"cache_control":{"type":"ephemeral"}})").shape.retention, Retention::five_minutes);
}

// What is read whole has a limit: the last that is taken, and the first that isn't.
TEST(AnthropicRequest, HasSoManyMessagesToolsAndStops) {
    const auto error_of = [](const char *member, const OrderedJson &element, std::size_t count) {
        OrderedJson body = request_with("{}");
        body[member] = std::vector<OrderedJson>(count, element);
        for (std::size_t i = 0; element.contains("name") && i < count; ++i) body[member][i]["name"] = std::format("f{}", i);
        const auto request = parse_messages_request(body, no_headers(), Sampling{});
        return request ? std::string() : request.error().message;
    };
    const OrderedJson message = {{"role", "user"}, {"content", "x"}};
    EXPECT_EQ(error_of("messages", message, 100'000), "");
    EXPECT_EQ(error_of("messages", message, 100'001), "messages: must have at most 100000 elements");
    const OrderedJson tool = {{"name", "f"}, {"input_schema", {{"type", "object"}}}};
    EXPECT_EQ(error_of("tools", tool, 4096), "");
    EXPECT_EQ(error_of("tools", tool, 4097), "tools: must have at most 4096 elements");
    const auto stops = [&](std::size_t count, std::size_t bytes) {
        return error_of("stop_sequences", std::string(bytes, 'x'), count);
    };
    EXPECT_EQ(stops(8192, 1), "");
    EXPECT_EQ(stops(8193, 1), "stop_sequences: must have at most 8192 elements");
    EXPECT_EQ(stops(16, 4096), "");
    EXPECT_EQ(stops(1, 4097), "stop_sequences.0: must have at most 4096 bytes");
    EXPECT_EQ(stops(17, 4096), "stop_sequences: must have at most 65536 bytes together");
}

// Tools that messages add are looked up one by one, as those are that they take away.
TEST(AnthropicRequest, ItsMessagesAddAndRemoveSoManyTools) {
    const auto error_of = [](std::size_t count, bool adds) {
        OrderedJson blocks = OrderedJson::array();
        for (std::size_t i = 0; i < count; ++i) {
            const std::string name = std::format("f{}", i);
            const OrderedJson definition = {{"name", name}, {"input_schema", {{"type", "object"}}}};
            const OrderedJson added = {{"type", "tool_definition"}, {"definition", definition}};
            blocks.push_back(
                {{"type", adds ? "tool_addition" : "tool_removal"}, {"tool", adds ? added : OrderedJson{{"name", name}}}});
        }
        OrderedJson body = request_with("{}");
        body["messages"].push_back({{"role", "system"}, {"content", std::move(blocks)}});
        const auto request = parse_messages_request(body, no_headers(), Sampling{});
        return request ? std::string() : request.error().message;
    };
    for (const bool adds : {true, false}) {
        EXPECT_EQ(error_of(4096, adds), "");
        EXPECT_EQ(error_of(4097, adds), "messages.1.content.4096.tool: is one of more tools than messages may add or remove");
    }
}

TEST(AnthropicRequest, WhoseMemory) {
    const auto conversation = [](std::string_view user_id, const Lookup &headers = no_headers()) {
        OrderedJson body = request_with("{}");
        body["metadata"]["user_id"] = user_id;
        return parsed(body, headers).chat.conversation;
    };
    EXPECT_EQ(conversation(R"({"device_id":"d","session_id":"s-1"})"), "s-1");
    EXPECT_EQ(conversation("user_ab12_account_cd34_session_ef56"), "ef56");
    EXPECT_EQ(conversation("user_ab12_account_cd34_session_"), "user_ab12_account_cd34_session_");
    EXPECT_EQ(conversation("u-77"), "u-77");
    EXPECT_EQ(conversation(R"({"session_id":7})"), R"({"session_id":7})");
    EXPECT_EQ(conversation("{broken"), "{broken");
    EXPECT_EQ(conversation("u-77", headers_of({{"x-claude-code-session-id", "h"}, {"x-session-id", "o"}})), "h");
    EXPECT_EQ(conversation("u-77", headers_of({{"x-session-id", "o"}})), "o");
    EXPECT_EQ(parsed_with(R"({"metadata":{"user_id":null}})").chat.conversation, "");
    EXPECT_EQ(parsed_with("{}", headers_of({{"x-engram-agent", "reviewer"}})).chat.agent, "reviewer");
}

TEST(AnthropicRequest, CountingReadsTheSamePrompt) {
    OrderedJson body = json_of(kClaudeCode);
    const MessagesRequest whole = parsed(body);
    body.erase("max_tokens");
    const auto counted = parse_count_request(body, no_headers());
    ASSERT_TRUE(counted.has_value());
    EXPECT_EQ(counted->chat.messages, whole.chat.messages);
    EXPECT_EQ(counted->chat.tools.size(), whole.chat.tools.size());
    EXPECT_EQ(counted->chat.thinks, whole.chat.thinks);
    EXPECT_EQ(counted->chat.max_tokens, 0U);
    EXPECT_FALSE(parse_messages_request(body, no_headers(), Sampling{}).has_value());
    EXPECT_TRUE(parse_count_request(request_with(R"({"max_tokens":null,"thinking":{"type":"enabled","budget_tokens":2000}})"),
                                    no_headers())
                    .has_value());
}

}  // namespace
}  // namespace engram::protocol::anthropic
