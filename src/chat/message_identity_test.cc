#include "chat/message_identity.h"

#include <gtest/gtest.h>

#include <set>

namespace engram {
namespace {

std::string calls(std::string_view arguments) {
    return R"([{"type":"function","function":{"name":"look","arguments":)" + std::string(arguments) + "}}]";
}

Digest last(std::vector<TemplateMessage> messages, std::string_view tools = {}) { return prefix_digests(tools, messages).back(); }

const std::vector<TemplateMessage> kTalk = {
    {.role = "system", .content = "Be brief."},
    {.role = "user", .content = "Where is it?"},
    {.role = "assistant", .content = "I look.", .tool_calls = calls(R"({"place":"hall","depth":2})"), .thinking = "hm"},
    {.role = "tool", .content = "in the box"},
};

TEST(MessageIdentityTest, WhatDoesNotMatterMakesNoDifference) {
    std::vector<TemplateMessage> other = kTalk;
    other[1].content = "\n Where is it?  ";
    other[2].thinking.clear();
    other[2].tool_calls = calls(R"({ "depth" : 2, "place":"hall" })");
    other[3].tool_call_id = "call_7";
    EXPECT_EQ(prefix_digests({}, other), prefix_digests({}, kTalk));
    EXPECT_EQ(common_messages(other, kTalk), 4U);
}

TEST(MessageIdentityTest, WhatWasSaidMakesADifference) {
    const auto changed = [](std::size_t i, auto &&change) {
        std::vector<TemplateMessage> other = kTalk;
        change(other[i]);
        return other;
    };
    const std::vector<std::vector<TemplateMessage>> others = {
        changed(0, [](auto &m) { m.content = "Be long."; }),
        changed(1, [](auto &m) { m.role = "system"; }),
        changed(2, [](auto &m) { m.tool_calls = calls(R"({"place":"hall","depth":3})"); }),
        changed(2, [](auto &m) { m.tool_calls = calls(R"({"place":"hall","depth":"2"})"); }),
        changed(2, [](auto &m) { m.tool_calls.clear(); }),
        changed(3, [](auto &m) { m.content = "in the  box"; }),
    };
    std::set<Digest> seen{last(kTalk)};
    for (const auto &other : others) EXPECT_TRUE(seen.insert(last(other)).second);
    EXPECT_EQ(common_messages(others[3], kTalk), 2U);
    EXPECT_EQ(common_messages(std::span(kTalk).first(2), kTalk), 2U);
}

TEST(MessageIdentityTest, BeginningsHaveTheirOwnDigests) {
    const auto digests = prefix_digests({}, kTalk);
    ASSERT_EQ(digests.size(), 4U);
    for (std::size_t n = 1; n <= kTalk.size(); ++n) {
        EXPECT_EQ(prefix_digests({}, std::span(kTalk).first(n)).back(), digests[n - 1]);
    }
    // A message's end can't be taken for the next one's beginning.
    EXPECT_NE(last({{.role = "user", .content = "ab"}, {.role = "user", .content = "c"}}),
              last({{.role = "user", .content = "a"}, {.role = "user", .content = "bc"}}));
}

TEST(MessageIdentityTest, ToolsInAnyOrder) {
    const std::string a =
        R"({"type":"function","function":{"name":"a","parameters":{"type":"object","properties":{"x":{},"y":{}}}}})";
    const std::string b = R"({"type":"function","function":{"name":"b"}})";
    const std::string a_other =
        R"({"function":{"parameters":{"properties":{"y":{},"x":{}},"type":"object"},"name":"a"},"type":"function"})";
    EXPECT_EQ(last(kTalk, "[" + a + "," + b + "]"), last(kTalk, "[" + b + ", " + a_other + "]"));
    EXPECT_NE(last(kTalk, "[" + a + "]"), last(kTalk, "[" + a + "," + b + "]"));
    EXPECT_NE(last(kTalk, "[" + a + "]"), last(kTalk));
    EXPECT_EQ(ordered_tools("[" + b + "," + a + "]"), "[" + a + "," + b + "]");
    EXPECT_EQ(ordered_tools("not JSON"), "not JSON");
    EXPECT_EQ(canonical_json(R"({"b":[1,{"d":1.5,"c":null}],"a":"é"})"), R"({"a":"é","b":[1,{"c":null,"d":1.5}]})");
    EXPECT_EQ(canonical_json("{"), "{");
}

}  // namespace
}  // namespace engram
