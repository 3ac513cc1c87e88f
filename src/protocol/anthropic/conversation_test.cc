#include "protocol/anthropic/conversation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <format>

#include "protocol/anthropic/testing/requests.h"

namespace engram::protocol::anthropic {
namespace {

std::string messages(std::string_view list, std::string_view more = "") {
    return shown(parsed_with(std::format(R"({{{}"messages":{}}})", more, list)).chat);
}

TEST(AnthropicConversation, TextAsStringAndAsBlocksIsTheSame) {
    EXPECT_EQ(messages(R"([{"role":"user","content":"Hello"}])"), "user: \"Hello\"\n");
    EXPECT_EQ(messages(R"([{"role":"user","content":[{"type":"text","text":"Hello"}]}])"), "user: \"Hello\"\n");
    EXPECT_EQ(messages(R"([{"role":"user","content":"Hi"}])", R"("system":"Be brief.",)"),
              messages(R"([{"role":"user","content":"Hi"}])", R"("system":[{"type":"text","text":"Be brief."}],)"));
    EXPECT_EQ(messages(R"([{"role":"user","content":"Hi"}])", R"("system":"",)"), "user: \"Hi\"\n");
}

TEST(AnthropicConversation, SystemBlocksKeepTheirBytesWhenOneOfThemChanges) {
    const auto with_header = [](std::string_view hash) {
        return messages(
            R"([{"role":"user","content":"Hi"}])",
            std::format(R"("system":[{{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.{}"}},)"
                        R"({{"type":"text","text":"You are a coding agent. "}},{{"type":"text","text":"\nRules."}}],)",
                        hash));
    };
    EXPECT_EQ(with_header("a1"),
              "system: \"x-anthropic-billing-header: cc_version=2.1.a1\\nYou are a coding agent. \\n\\nRules.\"\nuser: \"Hi\"\n");
    const std::string_view rest = "\\nYou are a coding agent. \\n\\nRules.\"\nuser: \"Hi\"\n";
    EXPECT_TRUE(with_header("a1").ends_with(rest));
    EXPECT_TRUE(with_header("b22").ends_with(rest));
}

TEST(AnthropicConversation, ConsecutiveMessagesOfOneRoleAreOneTurn) {
    EXPECT_EQ(messages(R"([{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},)"
                       R"({"type":"text","text":"c"}]},{"role":"assistant","content":"The best answer is ("},)"
                       R"json({"role":"assistant","content":[{"type":"text","text":"B)"}]},{"role":"user","content":"d"}])json"),
              "user: \"a\\nb\\nc\"\nassistant: \"The best answer is (B)\"\nuser: \"d\"\n");
}

TEST(AnthropicConversation, SystemMessagesStayInTheirPlace) {
    EXPECT_EQ(messages(R"([{"role":"user","content":"a"},{"role":"system","content":"S"},{"role":"assistant","content":"b"},)"
                       R"({"role":"user","content":"c"},{"role":"system","content":[{"type":"text","text":"T"}]}])",
                       R"("system":"first",)"),
              "system: \"first\"\nuser: \"a\"\nsystem: \"S\"\nassistant: \"b\"\nuser: \"c\"\nsystem: \"T\"\n");
    const std::string_view reminder =
        R"({"role":"user","content":"a"},{"role":"system","content":"now","clear_at":"next_user_message"})";
    EXPECT_EQ(messages(std::format("[{}]", reminder)), "user: \"a\"\nsystem: \"now\"\n");
    EXPECT_EQ(messages(std::format(R"([{},{{"role":"assistant","content":"b"}},{{"role":"user","content":"c"}}])", reminder)),
              "user: \"a\"\nassistant: \"b\"\nuser: \"c\"\n");
    EXPECT_EQ(messages(R"([{"role":"user","content":"a"},{"role":"system","output_config":{"effort":"low"}}])"), "user: \"a\"\n");
}

TEST(AnthropicConversation, ALastAssistantMessageIsTheBeginningOfTheAnswer) {
    EXPECT_EQ(messages(R"([{"role":"user","content":"a"},{"role":"assistant","content":"{\"x\":"}])"),
              "user: \"a\"\nassistant: \"{\\\"x\\\":\"\ncontinues\n");
    EXPECT_EQ(messages(R"([{"role":"user","content":"a"},{"role":"assistant","content":""}])"), "user: \"a\"\n");
    EXPECT_EQ(messages(R"([{"role":"user","content":"a"},{"role":"assistant","content":[]}])"), "user: \"a\"\n");
    EXPECT_EQ(messages(R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}])"),
              "user: \"a\"\nassistant: \"b\"\nuser: \"c\"\n");
}

TEST(AnthropicConversation, CallsAndTheirResults) {
    EXPECT_EQ(messages(R"([{"role":"user","content":"Weather?"},
        {"role":"assistant","content":[{"type":"thinking","thinking":"I must look.","signature":"s"},
            {"type":"redacted_thinking","data":"xyz"},{"type":"text","text":"Let me look."},
            {"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Lisbon","n":1.50,"deep":{"b":1,"a":[]}}},
            {"type":"tool_use","id":"toolu_2","name":"time","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_2","content":[{"type":"text","text":"12"},
                {"type":"text","text":"00"}]},
            {"type":"tool_result","tool_use_id":"toolu_1","is_error":true,"content":"no network"},
            {"type":"text","text":"Go on."}]}])"),
              "user: \"Weather?\"\n"
              "assistant: \"Let me look.\" thinking \"I must look.\" call toolu_1 "
              "weather{\"city\":\"Lisbon\",\"n\":1.5,\"deep\":{\"b\":1,\"a\":[]}} call toolu_2 time{}\n"
              "tool: \"12\\n00\" of toolu_2\ntool: \"Error: no network\" of toolu_1\nuser: \"Go on.\"\n");
}

TEST(AnthropicConversation, ResultsMayComeInSeveralMessagesAndBeEmpty) {
    EXPECT_EQ(messages(R"([{"role":"user","content":"x"},
        {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"a","input":{}},{"type":"tool_use","id":"2","name":"b","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1"}]},{"role":"system","content":"s"},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"2","content":[],"is_error":true}]}])"),
              "user: \"x\"\nassistant: \"\" call 1 a{} call 2 b{}\ntool: \"\" of 1\nsystem: \"s\"\ntool: \"Error\" of 2\n");
}

TEST(AnthropicConversation, DocumentsAndSearchResultsAreText) {
    EXPECT_EQ(messages(R"([{"role":"user","content":[
        {"type":"document","title":"Plan","context":"draft","source":{"type":"text","media_type":"text/plain","data":"Step 1."}},
        {"type":"document","source":{"type":"content","content":[{"type":"text","text":"p"},{"type":"text","text":"q"}]}},
        {"type":"search_result","title":"T","source":"https://example.com","content":[{"type":"text","text":"found"}]}]}])"),
              "user: \"<document>\\n<title>Plan</title>\\n<context>draft</context>\\nStep 1.\\n</document>\\n"
              "<document>\\np\\nq\\n</document>\\n<search_result>\\n<title>T</title>\\n<source>https://example.com</source>\\n"
              "found\\n</search_result>\"\n");
}

TEST(AnthropicConversation, PicturesInAToolsResultAreNamedToTheModel) {
    EXPECT_EQ(messages(R"([{"role":"user","content":"x"},
        {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"Read","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},
            {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}]}]}])"),
              "user: \"x\"\nassistant: \"\" call 1 Read{}\ntool: \"[an image was here; this model reads text only]\\n"
              "[a PDF or another file was here; this model reads text only]\" of 1\n");
}

TEST(AnthropicConversation, WhatRanAtTheVendorIsLeftOut) {
    EXPECT_EQ(messages(R"([{"role":"user","content":"x"},
        {"role":"assistant","content":[{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"}},
            {"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result","encrypted_content":"e"}]},
            {"type":"text","text":"Found."}]},
        {"role":"user","content":[{"type":"container_upload","file_id":"f"},{"type":"text","text":"y"}]}])"),
              "user: \"x\"\nassistant: \"Found.\"\nuser: \"y\"\n");
    EXPECT_EQ(
        messages(
            R"([{"role":"assistant","content":[{"type":"compaction","content":"So far: a."}]},{"role":"user","content":"b"}])"),
        "assistant: \"So far: a.\"\nuser: \"b\"\n");
}

TEST(AnthropicConversation, ToolsThatAreFoundOnTheWayAreDefinedWhereTheyAreFound) {
    const std::string_view tools =
        R"("tools":[{"name":"ToolSearch","input_schema":{"type":"object"}},)"
        R"({"name":"rare","description":"R.","input_schema":{"type":"object"},"defer_loading":true}],)";
    const std::string_view found =
        R"({"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"ToolSearch","input":{}}]},)"
        R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"type":"tool_reference","tool_name":"rare"}]}]})";
    const std::string definition =
        R"({\"type\":\"function\",\"function\":{\"name\":\"rare\",\"description\":\"R.\",\"parameters\":{\"type\":\"object\"}}})";
    const std::string front =
        "user: \"x\"\nassistant: \"\" call 1 ToolSearch{}\ntool: \"The tool rare can be called from here on:\\n" + definition +
        "\" of 1\n";
    EXPECT_EQ(messages(std::format("[{}]", found), tools), front);
    const auto callable = [&](std::string_view list) {
        const ChatRequest chat =
            parsed(json_of(std::format(R"({{"model":"m","max_tokens":9,{}"messages":{}}})", tools, list))).chat;
        std::string names;
        for (const ChatTool &tool : chat.tools) names += tool.name + " ";
        for (const ChatTool &tool : chat.told_tools) names += "+" + tool.name + " ";
        for (const std::string &name : chat.withdrawn_tools) names += "-" + name + " ";
        return names;
    };
    EXPECT_EQ(callable(R"([{"role":"user","content":"x"}])"), "ToolSearch ");
    EXPECT_EQ(callable(std::format("[{}]", found)), "ToolSearch +rare ");
    const std::string changed = R"({"role":"system","content":[)"
                                R"({"type":"tool_removal","tool":{"type":"tool_reference","name":"rare"}},)"
                                R"({"type":"tool_removal","tool":{"type":"tool_reference","name":"ToolSearch"}},)"
                                R"({"type":"tool_addition","tool":{"type":"tool_reference","name":"ToolSearch"}}]})";
    EXPECT_EQ(callable(std::format("[{},{}]", found, changed)), "ToolSearch +rare -rare ");
    EXPECT_EQ(
        messages(std::format(R"([{},{{"role":"system","content":[
        {{"type":"tool_addition","tool":{{"type":"tool_reference","name":"rare"}}}},
        {{"type":"tool_addition","tool":{{"type":"tool_reference","name":"nobody"}}}},
        {{"type":"tool_addition","tool":{{"type":"tool_definition","definition":{{"name":"new","input_schema":{{"type":"object"}}}}}}}},
        {{"type":"tool_removal","tool":{{"type":"tool_reference","name":"ToolSearch"}}}}]}}])",
                             found),
                 tools),
        front +
            "system: \"The tool rare can be called from here on.\\nThe tool nobody is not available.\\n"
            "The tool new can be called from here on:\\n"
            R"({\"type\":\"function\",\"function\":{\"name\":\"new\",\"description\":\"\",\"parameters\":{\"type\":\"object\"}}})"
            "\\nThe tool ToolSearch can't be called any more.\"\n");
}

// What an agent's next request says again is the beginning of what it said before: the promise that prefixes live on.
TEST(AnthropicConversation, AGrowingConversationKeepsItsBeginning) {
    const OrderedJson all =
        json_of(R"([{"role":"user","content":[{"type":"text","text":"<reminder>"},{"type":"text","text":"go"}]},
        {"role":"system","content":"rules"},
        {"role":"assistant","content":[{"type":"text","text":"ok"},{"type":"tool_use","id":"1","name":"a","input":{"k":"v"}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"r"}]},
        {"role":"assistant","content":"done"},{"role":"user","content":"next"}])");
    std::string before;
    for (const std::size_t count : {1U, 2U, 4U, 6U}) {
        OrderedJson body = request_with("{}");
        body["messages"] = OrderedJson(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
        const std::string now = shown(parsed(body).chat);
        EXPECT_TRUE(now.starts_with(before)) << now;
        before = now;
    }
    EXPECT_EQ(std::ranges::count(before, '\n'), 6);
}

}  // namespace
}  // namespace engram::protocol::anthropic
