#include "chat/tool_call.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <format>
#include <iostream>
#include <random>

#include "chat/bounded_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

namespace engram {
namespace {

using Calls = std::vector<ToolCall>;

const ToolCall kWeather{.name = "get_weather", .arguments = R"({"city":"Lisbon"})"};
const ToolCall kTime{.name = "get_time", .arguments = "{}"};

TEST(ToolCall, OneCallAsModelsWriteIt) {
    for (const std::string_view text :
         {R"({"name": "get_weather", "arguments": {"city": "Lisbon"}})",
          R"({"name": "get_weather", "parameters": {"city": "Lisbon"}})",
          R"({"name":"get_weather","arguments":"{\"city\": \"Lisbon\"}"})",
          R"({"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Lisbon"}}})"}) {
        EXPECT_EQ(parse_call(text).value(), kWeather) << text;
    }
    EXPECT_EQ(parse_call(R"({"name":"get_time"})").value(), kTime);
    EXPECT_EQ(parse_call(R"({"name":"get_time","arguments":null})").value(), kTime);
    for (const std::string_view text :
         {"", "[]", "{}", R"({"name": 1})", R"({"name": ""})", R"({"name":"a","arguments":[1]})",
          R"({"name":"a","arguments":"x"})", R"({"name":"a","parameters":3})", R"({"name": )", "{\"name\":\"\xFF\"}"}) {
        EXPECT_EQ(parse_call(text).error().code, ErrorCode::invalid_argument) << text;
    }
}

TEST(ToolCall, SizeAndDepthAreBounded) {
    const auto error_of = [](const std::string &text) {
        const auto call = parse_call(text);
        EXPECT_FALSE(call.has_value());
        return call ? std::string() : call.error().message;
    };
    const auto nested = [](std::size_t depth) {
        return std::format(R"({{"name":"a","arguments":{{"x":{}{}}}}})", std::string(depth, '['), std::string(depth, ']'));
    };
    EXPECT_TRUE(parse_call(nested(kMaxJsonDepth - 2)).has_value());
    EXPECT_TRUE(error_of(nested(kMaxJsonDepth - 1)).contains("nested too deeply"));
    std::string members = "{";
    for (std::size_t i = 0; i <= kMaxJsonMembers; ++i) members += std::format("\"m{}\":{{\"x\":1}},", i);
    members.back() = '}';
    EXPECT_TRUE(error_of(members).contains("too many members"));
    EXPECT_TRUE(error_of(std::string(5UZ << 20U, ' ')).contains("bytes"));
    EXPECT_TRUE(error_of(R"({"name":"a","arguments":{"x":1e999}})").contains("out of range"));
}

TEST(ToolCall, MessagesKeepIds) {
    const Calls calls{{.name = "get_time", .arguments = "{}", .id = "call_\"1"}, kWeather};
    const std::string json = tool_calls_json(calls);
    EXPECT_TRUE(
        json.starts_with(R"([{"id":"call_\"1","type":"function","function":{"name":"get_time","arguments":{}}},{"type":)"))
        << json;
    EXPECT_EQ(parse_tool_calls(json).value(), calls);
}

TEST(ToolCall, MessagesKeepCallsInOpenAisShape) {
    const Calls calls{kWeather, {.name = "q\"\\", .arguments = "{}"}};
    const std::string json = tool_calls_json(calls);
    EXPECT_EQ(json, R"([{"type":"function","function":{"name":"get_weather","arguments":{"city":"Lisbon"}}},)"
                    R"({"type":"function","function":{"name":"q\"\\","arguments":{}}}])");
    EXPECT_EQ(parse_tool_calls(json).value(), calls);
    EXPECT_EQ(tool_calls_json({}), "");
    EXPECT_TRUE(parse_tool_calls("").value().empty());
    Calls with_id{kWeather};
    with_id.front().id = "c1";
    EXPECT_EQ(parse_tool_calls(R"([{"id":"c1","function":{"name":"get_weather","arguments":"{\"city\":\"Lisbon\"}"}}])").value(),
              with_id);
    for (const std::string_view bad : {"{}", "[1]", "[{}]", R"([{"function":{}}])", R"([{"function":"x"}])", "["}) {
        EXPECT_EQ(parse_tool_calls(bad).error().code, ErrorCode::invalid_argument) << bad;
    }
}

TEST(ToolCall, ToolsAreCheckedAndKeepTheirOrder) {
    const std::string_view tools = R"( [ {"type": "function", "function": {"name": "z", "parameters": {"type": "object"}}},
                                         {"type": "function", "function": {"name": "a"}} ] )";
    EXPECT_EQ(
        checked_tools(tools).value(),
        R"([{"type":"function","function":{"name":"z","parameters":{"type":"object"}}},{"type":"function","function":{"name":"a"}}])");
    EXPECT_EQ(checked_tools("").value(), "");
    EXPECT_EQ(checked_tools(" [] ").value(), "");
    for (const std::string_view bad :
         {"{}", "[1]", "[", "x", R"([{"type":"function"}])", R"([{"type":"retrieval","function":{"name":"a"}}])",
          R"([{"type":"function","function":{"name":""}}])",
          R"([{"type":"function","function":{"name":"a","parameters":[]}}])"}) {
        EXPECT_EQ(checked_tools(bad).error().code, ErrorCode::invalid_argument) << bad;
    }
    EXPECT_TRUE(
        checked_tools(R"([{"type":"function","function":{"name":"a"}}, {}])").error().message.starts_with("tool 1 is not"));
}

TEST(ToolCall, ToolsOfAList) {
    const auto tools =
        parse_tools(
            R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","x":1}}},{"type":"function","function":{"name":"g"}}])")
            .value();
    ASSERT_EQ(tools.size(), 2U);
    EXPECT_EQ(tools[0].description, "d");
    EXPECT_EQ(tools[0].parameters, R"({"type":"object","x":1})");
    EXPECT_EQ(tools[1].parameters, ChatTool{}.parameters);
    EXPECT_TRUE(parse_tools("").value().empty());
    EXPECT_EQ(parse_tools("{}").error().code, ErrorCode::invalid_argument);
}

// Pieces that calls are made of, put together at random, with bytes changed.
TEST(ToolCall, Mutations) {
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << '\n';
    std::mt19937_64 random(seed);
    constexpr std::array<std::string_view, 19> kPieces{"\"id\":\"c1\"",
                                                       "{\"name\":\"a\",\"arguments\":{\"x\":1}}",
                                                       "{\"name\":\"b\",\"parameters\":{}}",
                                                       "[",
                                                       "]",
                                                       "{",
                                                       "}",
                                                       ",",
                                                       ":",
                                                       "\"",
                                                       "\\u00",
                                                       "\"name\"",
                                                       "\"arguments\"",
                                                       "\"function\"",
                                                       "\"type\":\"function\"",
                                                       "[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}]",
                                                       "1e9",
                                                       " ",
                                                       "\n"};
    for (int i = 0; i < 20'000; ++i) {
        std::string text;
        for (auto n = 1 + random() % 8; n > 0; --n) text += kPieces.at(random() % kPieces.size());
        for (auto n = random() % 3; n > 0; --n) text[random() % text.size()] = static_cast<char>(random());
        EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t *>(text.data()), text.size()), 0);
    }
}

}  // namespace
}  // namespace engram
