#include "eval/suite.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <iostream>
#include <random>

#include "engine/testing/tiny_models.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

namespace engram::eval {
namespace {

const std::string kWhole = R"({
  "format": 1, "name": "s", "seed": 987, "description": "d", "ignored": [],
  "conversations": [
    {"id": "c0",
     "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}],
     "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"},
                  {"role": "assistant", "content": "", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Lisbon"}}]},
                  {"role": "tool", "content": "{}"}],
     "questions": [
       {"task": "t", "content": "What?", "max_tokens": 48,
        "expect": {"contains": ["A"], "absent": ["B"], "any_of": ["C", "D"], "no_tool_call": true, "items": ["E"], "list_lines": true}},
       {"task": "u", "role": "tool", "content": "{\"x\": 1}", "expect": {"tool_call": {"name": "f", "arguments": {"a": 1}}}}]},
    {"id": "c1", "messages": [], "questions": [{"task": "t", "content": "", "expect": {"contains": ["A"]}}]}]})";

std::string error_of(const std::string &json) {
    const auto suite = parse_suite(json);
    EXPECT_FALSE(suite.has_value()) << json;
    return suite ? "" : suite.error().message;
}

// The whole suite with one text replaced.
std::string with(const std::string &before, const std::string &after) {
    std::string json = kWhole;
    const std::size_t at = json.find(before);
    EXPECT_NE(at, std::string::npos) << before;
    return json.replace(at, before.size(), after);
}

TEST(Suite, IsReadAsItIsWritten) {
    const auto suite = parse_suite(kWhole);
    ASSERT_TRUE(suite.has_value()) << suite.error().message;
    EXPECT_EQ(suite->name, "s");
    EXPECT_EQ(suite->seed, 987U);
    ASSERT_EQ(suite->conversations.size(), 2U);
    const Conversation &conversation = suite->conversations[0];
    EXPECT_EQ(conversation.id, "c0");
    EXPECT_TRUE(conversation.tools.starts_with(R"([{"type":"function")"));
    ASSERT_EQ(conversation.messages.size(), 4U);
    EXPECT_EQ(conversation.messages[2].tool_calls,
              R"([{"type":"function","function":{"name":"get_weather","arguments":{"city":"Lisbon"}}}])");
    ASSERT_EQ(conversation.questions.size(), 2U);
    const Question &question = conversation.questions[0];
    EXPECT_EQ(question.role, "user");
    EXPECT_EQ(question.max_tokens, 48U);
    EXPECT_EQ(question.expect.any_of, (std::vector<std::string>{"C", "D"}));
    EXPECT_TRUE(question.expect.no_tool_call);
    EXPECT_TRUE(question.expect.list_lines);
    EXPECT_EQ(conversation.questions[1].role, "tool");
    EXPECT_EQ(conversation.questions[1].max_tokens, 64U) << "the default";
    EXPECT_EQ(conversation.questions[1].expect.tool_call, (ToolCall{.name = "f", .arguments = R"({"a":1})"}));
}

TEST(Suite, ErrorsNameThePlace) {
    const std::vector<std::array<std::string, 3>> wrong{
        {R"("format": 1)", R"("format": "1")", "format: "},
        {R"("format": 1, )", "", "format: "},
        {R"("name": "s")", R"("name": 3)", "name: "},
        {R"("seed": 987)", R"("seed": -1)", "seed: "},
        {R"("id": "c1")", R"("id": "c0")", "conversations[1].id: "},
        {R"("id": "c1", )", "", "conversations[1].id: "},
        {R"("messages": [], )", "", "conversations[1].messages: "},
        {R"("type": "function")", R"("type": "x")", "conversations[0].tools: tool 0"},
        {R"("role": "system")", R"("role": "god")", "conversations[0].messages[0].role: "},
        {R"("content": "Q")", R"("content": null)", "conversations[0].messages[1].content: "},
        {R"("role": "assistant")", R"("role": "user")", "conversations[0].messages[2].tool_calls: "},
        {R"("name": "get_weather", "arguments")", R"("name": "", "arguments")",
         "conversations[0].messages[2].tool_calls[0].name: "},
        {R"({"city": "Lisbon"})", R"("Lisbon")", "conversations[0].messages[2].tool_calls[0].arguments: "},
        {R"("task": "u", )", "", "conversations[0].questions[1].task: "},
        {R"("role": "tool", "content": "{\")", R"("role": "system", "content": "{\")", "conversations[0].questions[1].role: "},
        {R"("max_tokens": 48)", R"("max_tokens": 0)", "conversations[0].questions[0].max_tokens: "},
        {R"("max_tokens": 48)", R"("max_tokens": 1e9)", "conversations[0].questions[0].max_tokens: "},
        {R"("contains": ["A"], "absent")", R"("contains": "A", "absent")", "conversations[0].questions[0].expect.contains: "},
        {R"("any_of": ["C", "D"])", R"("any_of": [])", "conversations[0].questions[0].expect.any_of: "},
        {R"("any_of": ["C", "D"])", R"("any_of": [""])", "conversations[0].questions[0].expect.any_of: "},
        {R"("items": ["E"], )", "", "conversations[0].questions[0].expect.list_lines: "},
        {R"("absent")", R"("abesnt")", "conversations[0].questions[0].expect.abesnt: there is no such member"},
        {R"({"tool_call": )", R"({"no_tool_call": true, "tool_call": )", "conversations[0].questions[1].expect.no_tool_call: "},
        {R"("expect": {"contains": ["A"]})", R"("expect": {})", "conversations[1].questions[0].expect: nothing is expected"},
        {R"(, "expect": {"contains": ["A"]})", "", "conversations[1].questions[0].expect: it is missing"},
    };
    for (const auto &[before, after, place] : wrong) {
        const std::string message = error_of(with(before, after));
        EXPECT_TRUE(message.starts_with(place)) << "for " << after << ": " << message;
    }
    EXPECT_EQ(parse_suite(with(R"("format": 1)", R"("format": 2)")).error().code, ErrorCode::incompatible);
    for (const std::string json : {"", "{", "[]", "null", "3"}) EXPECT_FALSE(error_of(json).empty());
}

TEST(Suite, FilesAreNamedInErrors) {
    const testing::TemporaryFolder folder;
    EXPECT_EQ(read_suite(folder.path() / "none.json").error().code, ErrorCode::not_found);
    const auto file = folder.path() / "bad.json";
    std::ofstream(file) << R"({"format": 1})";
    EXPECT_TRUE(read_suite(file).error().message.starts_with(file.string() + ": name: "));
}

TEST(Suite, IsBounded) {
    std::string json(kMaxSuiteBytes + 1, ' ');
    const auto suite = parse_suite(json);
    ASSERT_FALSE(suite);
    EXPECT_TRUE(suite.error().message.contains("at most 268435456 are read")) << suite.error().message;
}

TEST(Suite, Mutations) {
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << '\n';
    std::mt19937_64 random(seed);
    for (int i = 0; i < 5'000; ++i) {
        std::string json = kWhole;
        for (auto n = 1 + random() % 4; n > 0; --n) json[random() % json.size()] = static_cast<char>(random() % 128);
        if (random() % 4 == 0) json.erase(random() % json.size(), random() % 50);
        EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t *>(json.data()), json.size()), 0);
    }
}

}  // namespace
}  // namespace engram::eval
