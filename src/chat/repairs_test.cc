#include "chat/repairs.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

std::string repaired(std::string system) {
    const RepairedPrompt prompt = repair_prompt({{.role = "system", .content = std::move(system)}}, {});
    return prompt.messages.empty() ? "(none)" : prompt.messages.front().content;
}

TEST(RepairsTest, ALineThatChangesWithEachRequestIsLeftOut) {
    const auto prompt = [](std::string_view hash) {
        return repair_prompt({{.role = "system",
                               .content = "x-anthropic-billing-header: cc_version=2.1.329." + std::string(hash) +
                                          "; cc_entrypoint=cli; cch=" + std::string(hash) + ";\n\nYou are an agent.\nBe brief."},
                              {.role = "user", .content = "x-anthropic-billing-header: what is this line?"}},
                             {});
    };
    const RepairedPrompt first = prompt("4d2a1");
    EXPECT_EQ(first.messages.front().content, "You are an agent.\nBe brief.");
    EXPECT_EQ(first.messages.front().content, prompt("99f0c").messages.front().content);
    EXPECT_EQ(first.messages.back().content, "x-anthropic-billing-header: what is this line?") << "a user's words stay";
    ASSERT_EQ(first.repairs.size(), 1U);
    EXPECT_TRUE(first.repairs[0].contains("x-anthropic-billing-header"));
    EXPECT_FALSE(first.repairs[0].contains("4d2a1"));
}

TEST(RepairsTest, WhatSomebodyWroteStays) {
    EXPECT_EQ(repaired("You are an agent.\nx-anthropic-note: keep\n"), "You are an agent.\nx-anthropic-note: keep\n");
    EXPECT_EQ(repaired("x-anthropic- is a prefix: yes"), "x-anthropic- is a prefix: yes");
    EXPECT_EQ(repaired("x-anthropic-note without a colon"), "x-anthropic-note without a colon");
    EXPECT_EQ(repaired("\nBe brief."), "\nBe brief.");
    EXPECT_EQ(repaired("x-anthropic-a: 1\r\nx-anthropic-b: 2\r\nBe brief."), "Be brief.");
    EXPECT_EQ(repaired("x-anthropic-a: 1"), "(none)");
}

TEST(RepairsTest, ToolsComeInOneOrder) {
    const std::string a = R"({"type":"function","function":{"name":"a"}})";
    const std::string b = R"({"type":"function","function":{"name":"b"}})";
    const RepairedPrompt changed = repair_prompt({}, "[" + b + "," + a + "]");
    EXPECT_EQ(changed.tools, "[" + a + "," + b + "]");
    EXPECT_EQ(changed.repairs.size(), 1U);
    EXPECT_TRUE(repair_prompt({}, changed.tools).repairs.empty());
    EXPECT_EQ(repair_prompt({}, "").tools, "");
}

TEST(RepairsTest, ResultsComeInTheOrderOfTheirCalls) {
    const auto call = [](std::string_view id) {
        return R"({"id":")" + std::string(id) + R"(","type":"function","function":{"name":"f","arguments":{}}})";
    };
    const std::vector<TemplateMessage> messages{
        {.role = "user", .content = "go"},
        {.role = "assistant", .content = "", .tool_calls = "[" + call("a") + "," + call("b") + "," + call("c") + "]"},
        {.role = "tool", .content = "3", .tool_call_id = "c"},
        {.role = "tool", .content = "1", .tool_call_id = "a"},
        {.role = "tool", .content = "?", .tool_call_id = "nobody's"},
        {.role = "tool", .content = "2", .tool_call_id = "b"},
        {.role = "user", .content = "and?"}};
    const RepairedPrompt changed = repair_prompt(messages, {});
    std::string results;
    for (std::size_t i = 2; i < 6; ++i) results += changed.messages[i].content;
    EXPECT_EQ(results, "123?");
    EXPECT_EQ(changed.repairs.size(), 1U);
    EXPECT_TRUE(repair_prompt(changed.messages, {}).repairs.empty());
}

}  // namespace
}  // namespace engram
