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

ParsedAnswer parsed(std::string_view answer) {
    auto result = parse_answer(answer);
    if (!result) ADD_FAILURE() << answer << ": " << result.error().message;
    return result.value_or(ParsedAnswer{});
}

std::string error_of(std::string_view answer) {
    const auto result = parse_answer(answer);
    EXPECT_FALSE(result.has_value()) << answer;
    return result ? "" : result.error().message;
}

TEST(ToolCall, HermesAndQwen) {
    const auto one = parsed("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Lisbon\"}}\n</tool_call>");
    EXPECT_EQ(one.calls, Calls{kWeather});
    EXPECT_EQ(one.text, "");
    const auto two = parsed(
        "Let me look.\n<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Lisbon\"}}</tool_call>\n"
        "<tool_call>{\"name\":\"get_time\"}</tool_call> Done. ");
    EXPECT_EQ(two.calls, (Calls{kWeather, kTime}));
    EXPECT_EQ(two.text, "Let me look.\nDone.");
    EXPECT_EQ(parsed("<tool_call>{\"name\":\"get_time\",\"arguments\":{}}").calls, Calls{kTime}) << "the end mark may be missing";
    EXPECT_EQ(parsed(R"(<tool_call>{"name":"get_weather","arguments":"{\"city\": \"Lisbon\"}"}</tool_call>)").calls,
              Calls{kWeather});
}

TEST(ToolCall, Llama3) {
    EXPECT_EQ(parsed(R"({"name": "get_weather", "parameters": {"city": "Lisbon"}})").calls, Calls{kWeather});
    EXPECT_EQ(parsed("<|python_tag|>{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Lisbon\"}}\n").calls,
              Calls{kWeather});
    EXPECT_EQ(parsed("<|python_tag|>{\"name\": \"get_time\"}").calls, Calls{kTime});
}

TEST(ToolCall, Mistral) {
    const auto answer = parsed(
        "Well. [TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Lisbon\"}}, {\"name\": \"get_time\"}]");
    EXPECT_EQ(answer.calls, (Calls{kWeather, kTime}));
    EXPECT_EQ(answer.text, "Well.");
}

TEST(ToolCall, AnAnswerWithoutCallsStaysAsItIs) {
    for (const std::string_view answer : {"", " It is sunny.\n", "{", "{}", R"({"city": "Lisbon"})", R"({"name": "Lisbon"})",
                                          R"(x {"name":"a","arguments":{}})", "\xFF\xFE", "</tool_call>", "[1]"}) {
        const auto result = parsed(answer);
        EXPECT_EQ(result.text, answer);
        EXPECT_TRUE(result.calls.empty()) << answer;
    }
}

TEST(ToolCall, MalformedCallsAreErrorsThatSayWhy) {
    for (const std::string_view answer :
         {"<tool_call>", "<tool_call></tool_call>", "<tool_call>{\"name\": \"a\"", "<tool_call>[]</tool_call>",
          "<tool_call>{\"name\": 1}</tool_call>", "<tool_call>{\"name\":\"a\",\"arguments\":[1]}</tool_call>",
          "<tool_call>{\"name\":\"a\",\"arguments\":\"x\"}</tool_call>", "<|python_tag|>print(1)",
          "{\"name\": \"a\", \"parameters\": {", "{ \"name\" : \"a\", \"parameters\": 3}", "[TOOL_CALLS]", "[TOOL_CALLS] {}",
          "[TOOL_CALLS] []", "[TOOL_CALLS] [3]", "<tool_call>{\"name\":\"\xFF\"}</tool_call>",
          "<tool_call>{\"name\":\"\"}</tool_call>"}) {
        EXPECT_TRUE(error_of(answer).starts_with("the answer's tool call is malformed: ")) << error_of(answer);
    }
    EXPECT_TRUE(error_of("<tool_call>{\"name\": }</tool_call>").contains("at byte 10"))
        << error_of("<tool_call>{\"name\": }</tool_call>");
}

TEST(ToolCall, SizeAndDepthAreBounded) {
    const auto nested = [](std::size_t depth) {
        return std::format("<tool_call>{{\"name\":\"a\",\"arguments\":{{\"x\":{}{}}}}}</tool_call>", std::string(depth, '['),
                           std::string(depth, ']'));
    };
    EXPECT_EQ(parsed(nested(kMaxJsonDepth - 2)).calls.size(), 1U);
    EXPECT_TRUE(error_of(nested(kMaxJsonDepth - 1)).contains("nested too deeply"));
    EXPECT_TRUE(error_of(nested(1'000'000)).contains("nested too deeply"));
    std::string members = "{";
    for (std::size_t i = 0; i <= kMaxJsonMembers; ++i) members += std::format("\"m{}\":{{\"x\":1}},", i);
    members.back() = '}';
    EXPECT_TRUE(error_of("<tool_call>" + members).contains("too many members"));
    EXPECT_TRUE(error_of("<tool_call>" + std::string(5UZ << 20U, ' ')).contains("bytes"));
    EXPECT_TRUE(error_of("<tool_call>{\"name\":\"a\",\"arguments\":{\"x\":1e999}}").contains("out of range"));
}

TEST(ToolCall, MessagesKeepCallsInOpenAisShape) {
    const Calls calls{kWeather, {.name = "q\"\\", .arguments = "{}"}};
    const std::string json = tool_calls_json(calls);
    EXPECT_EQ(json, R"([{"type":"function","function":{"name":"get_weather","arguments":{"city":"Lisbon"}}},)"
                    R"({"type":"function","function":{"name":"q\"\\","arguments":{}}}])");
    EXPECT_EQ(parse_tool_calls(json).value(), calls);
    EXPECT_EQ(tool_calls_json({}), "");
    EXPECT_TRUE(parse_tool_calls("").value().empty());
    EXPECT_EQ(parse_tool_calls(R"([{"id":"c1","function":{"name":"get_weather","arguments":"{\"city\":\"Lisbon\"}"}}])").value(),
              Calls{kWeather});
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

// Pieces that calls are made of, put together at random, with bytes changed.
TEST(ToolCall, Mutations) {
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << '\n';
    std::mt19937_64 random(seed);
    constexpr std::array<std::string_view, 22> kPieces{"<tool_call>",
                                                       "</tool_call>",
                                                       "<|python_tag|>",
                                                       "[TOOL_CALLS]",
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
