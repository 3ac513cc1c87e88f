#include "protocol/anthropic/tools.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <format>

#include "protocol/anthropic/testing/requests.h"

namespace engram::protocol::anthropic {
namespace {

std::vector<std::string> names(const std::vector<ChatTool> &tools) {
    std::vector<std::string> list;
    for (const ChatTool &tool : tools) list.push_back(tool.name);
    return list;
}

using Names = std::vector<std::string>;

TEST(AnthropicTools, CustomToolsKeepTheirSchemasOrder) {
    const MessagesRequest request = parsed_with(
        R"({"tools":[{"name":"z_tool","description":"Does z.","input_schema":{"type":"object","required":["b"],"properties":)"
        R"({"b":{"type":"string"},"a":{"type":"integer"}}},"cache_control":{"type":"ephemeral"},"strict":true},)"
        R"({"type":"custom","name":"a-tool","input_schema":{"type":"object"},"eager_input_streaming":true,"unknown":1}]})");
    ASSERT_EQ(names(request.chat.tools), (Names{"z_tool", "a-tool"}));
    EXPECT_EQ(request.chat.tools[0].parameters,
              R"({"type":"object","required":["b"],"properties":{"b":{"type":"string"},"a":{"type":"integer"}}})");
    EXPECT_EQ(request.chat.tools[0].description, "Does z.");
    EXPECT_TRUE(request.chat.tools[0].strict);
    EXPECT_FALSE(request.chat.tools[1].strict);
    EXPECT_EQ(request.chat.retention, Retention::five_minutes);
}

TEST(AnthropicTools, ToolsOfTheVendorThatTheClientRunsGetTheirSchema) {
    const MessagesRequest request = parsed_with(
        R"({"tools":[{"type":"bash_20250124","name":"bash"},{"type":"text_editor_20250728","name":"str_replace_based_edit_tool"},)"
        R"({"type":"memory_20250818","name":"memory"}]})");
    ASSERT_EQ(names(request.chat.tools), (Names{"bash", "str_replace_based_edit_tool", "memory"}));
    for (const ChatTool &tool : request.chat.tools) {
        const OrderedJson schema = json_of(tool.parameters);
        EXPECT_EQ(schema["type"], "object");
        EXPECT_TRUE(schema["properties"].contains("command")) << tool.parameters;
        EXPECT_FALSE(tool.description.empty());
    }
    EXPECT_TRUE(json_of(request.chat.tools[1].parameters)["properties"].contains("new_str"));
}

TEST(AnthropicTools, ToolsThatRunAtTheVendorAreLeftOutBesideOthers) {
    const MessagesRequest request =
        parsed_with(R"({"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":5},{"name":"a","input_schema":)"
                    R"({"type":"object"}},{"type":"mcp_toolset","mcp_server_name":"s"}]})");
    EXPECT_EQ(names(request.chat.tools), (Names{"a"}));
    EXPECT_EQ(request.left_out_tools, (Names{"web_search", "mcp_toolset"}));
}

TEST(AnthropicTools, DeferredToolsAreNotShownUnlessNobodyCouldFindThem) {
    const auto shown_with = [](std::string_view first) {
        return names(parsed_with(std::string(R"({"tools":[)") + std::string(first) +
                                 R"({"name":"later","input_schema":{"type":"object"},"defer_loading":true}]})")
                         .chat.tools);
    };
    EXPECT_EQ(shown_with(R"({"name":"a","input_schema":{"type":"object"}},)"), (Names{"a"}));
    EXPECT_EQ(shown_with(""), (Names{"later"}));
    EXPECT_EQ(shown_with(R"({"name":"a","input_schema":{"type":"object"}},)"
                         R"({"type":"tool_search_tool_regex_20251119","name":"tool_search_tool_regex"},)"),
              (Names{"a", "later"}));
}

TEST(AnthropicTools, Choices) {
    const std::string_view tools =
        R"("tools":[{"name":"a","input_schema":{"type":"object"}},{"name":"b","input_schema":{"type":"object"},"defer_loading":true}])";
    const auto chosen = [&](std::string_view choice) {
        return parsed_with("{" + std::string(tools) + R"(,"tool_choice":)" + std::string(choice) + "}").chat;
    };
    EXPECT_EQ(chosen(R"({"type":"auto"})").tool_choice.use, ToolUse::automatic);
    EXPECT_TRUE(chosen(R"({"type":"auto"})").tool_choice.parallel);
    EXPECT_FALSE(chosen(R"({"type":"auto","disable_parallel_tool_use":true})").tool_choice.parallel);
    EXPECT_EQ(chosen(R"({"type":"any"})").tool_choice.use, ToolUse::required);
    EXPECT_EQ(chosen(R"({"type":"none"})").tool_choice.use, ToolUse::none);
    const ChatRequest named = chosen(R"({"type":"tool","name":"b","disable_parallel_tool_use":true})");
    EXPECT_EQ(named.tool_choice.use, ToolUse::named);
    EXPECT_EQ(named.tool_choice.name, "b");
    EXPECT_FALSE(named.tool_choice.parallel);
    EXPECT_EQ(names(named.tools), (Names{"a", "b"}));
    EXPECT_EQ(parsed_with("{}").chat.tool_choice.use, ToolUse::automatic);
}

// Naming a tool doesn't move its definition to the front when the conversation has it already.
TEST(AnthropicTools, AChoiceCanNameWhatTheConversationDefines) {
    const auto body_with = [](std::string_view name) {
        return std::format(R"({{"model":"m","max_tokens":9,"tools":[{{"name":"a","input_schema":{{"type":"object"}}}},
            {{"name":"late","input_schema":{{"type":"object"}},"defer_loading":true}}],
            "tool_choice":{{"type":"tool","name":"{}"}},"messages":[{{"role":"user","content":"x"}},{{"role":"system","content":[
            {{"type":"tool_addition","tool":{{"type":"tool_reference","name":"late"}}}},
            {{"type":"tool_addition","tool":{{"type":"tool_definition","definition":{{"name":"new","input_schema":{{"type":"object"}}}}}}}},
            {{"type":"tool_removal","tool":{{"type":"tool_reference","name":"a"}}}}]}}]}})",
                           name);
    };
    for (const std::string_view name : {"late", "new"}) {
        const ChatRequest chat = parsed(json_of(body_with(name))).chat;
        EXPECT_EQ(chat.tool_choice.name, name);
        EXPECT_EQ(names(chat.tools), (Names{"a"}));
        EXPECT_EQ(names(chat.told_tools), (Names{"late", "new"}));
    }
    const auto refused = parse_messages_request(json_of(body_with("a")), no_headers(), {});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().message, "tool_choice: Tool 'a' was removed by the conversation");
}

}  // namespace
}  // namespace engram::protocol::anthropic
