#include "chat/answer_reader.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <format>
#include <random>

#include "chat/bounded_json.h"
#include "core/testing/test_seed.h"

namespace engram {
namespace {

using Kind = AnswerPart::Kind;
using Calls = std::vector<ToolCall>;

const ToolCall kWeather{.name = "get_weather", .arguments = R"({"city":"Lisbon"})"};
const ToolCall kTime{.name = "get_time", .arguments = "{}"};

std::vector<ChatTool> tools() {
    return {
        {.name = "get_weather",
         .description = {},
         .parameters =
             R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},"hint":{"anyOf":[{"type":"string"},{"type":"null"}]}}})"},
        {.name = "get_time", .description = {}}};
}

AnswerStyle xml() {
    AnswerStyle style = AnswerStyle::common();
    style.form = CallForm::function_xml;
    return style;
}
AnswerStyle glm() {
    AnswerStyle style = AnswerStyle::common();
    style.form = CallForm::arg_xml;
    style.open = "<tool_call>";
    return style;
}
AnswerStyle llama() { return {.arguments = "parameters", .several = false}; }
AnswerStyle mistral(bool named) {
    if (named)
        return {.form = CallForm::named_json,
                .open = "[TOOL_CALLS]",
                .separator = "[ARGS]",
                .think_open = "[THINK]",
                .think_close = "[/THINK]"};
    return {.calls_open = "[TOOL_CALLS][", .calls_close = "]", .between = ", "};
}
AnswerStyle gemma() { return {.open = "```tool_code\n", .close = "\n```", .between = "\n"}; }
AnswerStyle deep_seek(bool fenced) {
    return {.form = CallForm::named_json,
            .calls_open = "<｜tool▁calls▁begin｜>",
            .calls_close = "<｜tool▁calls▁end｜>",
            .open = fenced ? "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" : "<｜tool▁call▁begin｜>",
            .close = fenced ? "\n```<｜tool▁call▁end｜>" : "<｜tool▁call▁end｜>",
            .separator = fenced ? "\n```json\n" : "<｜tool▁sep｜>",
            .think_open = "<think>",
            .think_close = "</think>"};
}
AnswerStyle harmony() { return {.form = CallForm::harmony, .several = false}; }

ParsedAnswer read(const AnswerStyle &style, std::string_view answer, bool thinking = false) {
    const std::vector<ChatTool> known = tools();
    return read_answer(style, known, thinking, answer);
}

void expect(const AnswerStyle &style, std::string_view answer, const ParsedAnswer &expected, bool thinking = false) {
    const ParsedAnswer parsed = read(style, answer, thinking);
    EXPECT_EQ(parsed.thinking, expected.thinking) << answer;
    EXPECT_EQ(parsed.text, expected.text) << answer;
    EXPECT_EQ(parsed.calls, expected.calls) << answer;
    EXPECT_EQ(parsed.malformed, expected.malformed) << answer;
}

TEST(AnswerReader, HermesAndQwen) {
    const AnswerStyle style = AnswerStyle::common();
    expect(style, "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Lisbon\"}}\n</tool_call>",
           {.calls = {kWeather}});
    expect(style,
           "Let me look.\n<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Lisbon\"}}</tool_call>\n"
           "<tool_call>{\"name\":\"get_time\"}</tool_call> Done. ",
           {.text = "Let me look.\nDone.", .calls = {kWeather, kTime}});
    expect(style, "<tool_call>{\"name\":\"get_time\",\"arguments\":{}}", {.calls = {kTime}});  // the end mark may be missing
    expect(style, R"(<tool_call>{"arguments":"{\"city\": \"Lisbon\"}", "name":"get_weather"}</tool_call>)",
           {.calls = {kWeather}});
    expect(style, R"(<tool_call>{"name":"get_weather","arguments":{"city":"Lisbon"},"id":"x}"}</tool_call>!)",
           {.text = "!", .calls = {kWeather}});
    expect(style, "<think>\nHm, <tool_call>?\n</think>\n\nWell. <tool_call>{\"name\":\"get_time\",\"arguments\":{}}</tool_call>",
           {.thinking = "Hm, <tool_call>?", .text = "Well.", .calls = {kTime}});
    expect(style, "Hm.</think>Well.", {.thinking = "Hm.", .text = "Well."}, true);
    expect(style, "Without an end", {.thinking = "Without an end"}, true);
    expect(style, "Well. <think> is a mark.", {.text = "Well. <think> is a mark."});
}

TEST(AnswerReader, QwenCoder) {
    expect(xml(),
           "I "
           "look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nLisbon\n</parameter>\n<parameter=days>\n3\n</"
           "parameter>\n</function>\n</tool_call>",
           {.text = "I look.", .calls = {{.name = "get_weather", .arguments = R"({"city":"Lisbon","days":3})"}}});
    expect(xml(), "<function=get_time>\n</function>", {.calls = {kTime}});
    // A text stays one, whatever it looks like; another value is JSON where it can be.
    expect(xml(),
           "<tool_call><function=get_weather><parameter=city>\n\n5 < "
           "\"6\"\n\n</parameter><parameter=hint>null</parameter></function></tool_call>",
           {.calls = {{.name = "get_weather", .arguments = R"({"city":"\n5 < \"6\"\n","hint":null})"}}});
    expect(xml(),
           "<tool_call><function=other><parameter=a>{\"b\": [1]}</parameter><parameter=c>d e</parameter></function></tool_call>",
           {.calls = {{.name = "other", .arguments = R"({"a":{"b":[1]},"c":"d e"})"}}});
}

TEST(AnswerReader, Glm) {
    expect(glm(),
           "<think></think>\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Lisbon</arg_value>\n<arg_key>days</"
           "arg_key>\n<arg_value>3</arg_value>\n</tool_call>\n"
           "<tool_call>get_time\n</tool_call>",
           {.calls = {{.name = "get_weather", .arguments = R"({"city":"Lisbon","days":3})"}, kTime}});
}

TEST(AnswerReader, Llama3) {
    expect(llama(), R"({"name": "get_weather", "parameters": {"city": "Lisbon"}})", {.calls = {kWeather}});
    expect(llama(), "<|python_tag|>{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Lisbon\"}}\n", {.calls = {kWeather}});
    expect(llama(), "<|python_tag|>{\"name\": \"get_time\"}", {.calls = {kTime}});
    expect(llama(), R"({"name": "nobody", "parameters": {}})", {.text = R"({"name": "nobody", "parameters": {}})"});
}

TEST(AnswerReader, Mistral) {
    expect(mistral(false),
           "Well. [TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Lisbon\"}}, {\"name\": \"get_time\"}]",
           {.text = "Well.", .calls = {kWeather, kTime}});
    expect(mistral(false), R"([TOOL_CALLS][{"name":"get_time","arguments":{},"id":"abc123def"}])", {.calls = {kTime}});
    expect(mistral(true), R"([THINK]Hm.[/THINK]Well.[TOOL_CALLS]get_weather[ARGS]{"city": "Lisbon"}[TOOL_CALLS]get_time[ARGS]{})",
           {.thinking = "Hm.", .text = "Well.", .calls = {kWeather, kTime}});
    expect(mistral(true), R"([TOOL_CALLS]get_weather{"city": "Lisbon"})", {.calls = {kWeather}});
}

TEST(AnswerReader, Gemma) {
    expect(gemma(), "Well.\n```tool_code\n{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Lisbon\"}}\n```\nDone.",
           {.text = "Well.\nDone.", .calls = {kWeather}});
    expect(gemma(), "```tool_code\nprint(1)\n```",
           {.text = "```tool_code\nprint(1)\n```",
            .malformed = "the answer's tool call is malformed: what follows its mark is no call"});
}

TEST(AnswerReader, AFenceThatClosesMayBeFollowedByOneThatOpens) {
    expect(gemma(),
           "```tool_code\n{\"name\": \"get_time\", \"arguments\": {}}\n```\n```tool_code\n{\"name\": \"get_weather\", "
           "\"arguments\": {\"city\": \"Lisbon\"}}\n```",
           {.calls = {kTime, kWeather}});
}

TEST(AnswerReader, DeepSeek) {
    expect(deep_seek(false),
           "Well.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Lisbon\"}<｜tool▁call▁end｜>"
           "<｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
           {.text = "Well.", .calls = {kWeather, kTime}});
    expect(deep_seek(true),
           "Hm.</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": "
           "\"Lisbon\"}\n```<｜tool▁call▁end｜>\n"
           "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
           {.thinking = "Hm.", .calls = {kWeather, kTime}}, true);
}

TEST(AnswerReader, Harmony) {
    expect(harmony(),
           "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather "
           "<|constrain|>json<|message|>{\"city\": \"Lisbon\"}",
           {.thinking = "Hm.", .calls = {kWeather}});
    expect(harmony(),
           "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>It is sunny.<|return|>",
           {.thinking = "Hm.", .text = "It is sunny."});
    expect(harmony(),
           "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant to=functions.get_time<|channel|>commentary "
           "json<|message|>{}<|call|>",
           {.text = "I look.", .calls = {kTime}});
    expect(harmony(), "Plain.", {.text = "Plain."});
    expect(harmony(), "<|channel|>commentary to=functions.<|message|>{}<|call|>", {.text = "{}"});
}

// What is taken for a call is kept in the transcript, and read again with every turn.
TEST(AnswerReader, WhatCouldNotBeReadAgainIsNoCall) {
    const auto nested = [](std::size_t depth) {
        return std::format(R"(<tool_call>{{"name":"get_time","arguments":{{"a":{}1{}}}}}</tool_call>)", std::string(depth, '['),
                           std::string(depth, ']'));
    };
    EXPECT_EQ(read(AnswerStyle::common(), nested(kMaxJsonDepth - 4)).calls.size(), 1U);
    for (const std::size_t depth : {kMaxJsonDepth - 3, kMaxJsonDepth - 1, kMaxJsonDepth, 2 * kMaxJsonDepth}) {
        const ParsedAnswer parsed = read(AnswerStyle::common(), nested(depth));
        EXPECT_TRUE(parsed.calls.empty() && !parsed.malformed.empty()) << depth;
    }
    std::string large = "<tool_call>{\"name\":\"get_time\",\"arguments\":{\"a\":\"" + std::string(3U << 20U, 'x');
    large += "\"}}</tool_call>";
    const ParsedAnswer two = read(AnswerStyle::common(), large + large);
    EXPECT_EQ(two.calls.size(), 1U);
    EXPECT_EQ(two.malformed, "the answer's tool calls are too large together");
}

TEST(AnswerReader, AnAnswerWithoutCallsStaysAsItIs) {
    for (const AnswerStyle &style :
         {AnswerStyle::common(), xml(), glm(), llama(), mistral(true), mistral(false), gemma(), deep_seek(true)}) {
        for (const std::string_view answer :
             {"", " ", " It is sunny.\n", "{", "{}", R"({"city": "Lisbon"})", R"({"name": "Lisbon"})",
              R"(x {"name":"a","arguments":{}})", "</tool_call>", "[1]", "a < b", "`` `"}) {
            const ParsedAnswer parsed = read(style, answer);
            EXPECT_EQ(parsed.text, answer);
            EXPECT_TRUE(parsed.calls.empty() && parsed.thinking.empty() && parsed.malformed.empty()) << answer;
        }
    }
}

TEST(AnswerReader, WhatIsNoCallIsText) {
    for (const std::string_view answer :
         {"<tool_call>", "<tool_call></tool_call>", "<tool_call>{\"name\": \"a\"", "<tool_call>[]</tool_call>",
          "<tool_call>{\"name\": 1}</tool_call>", "<tool_call>{\"name\":\"a\",\"arguments\":[1]}</tool_call>",
          "<tool_call>{\"name\":\"a\",\"arguments\":\"x\"}</tool_call>", "<|python_tag|>print(1)",
          "{ \"name\" : \"a\", \"parameters\": 3}", "[TOOL_CALLS]", "[TOOL_CALLS] {}", "[TOOL_CALLS] []", "[TOOL_CALLS] [3]",
          "<tool_call>{\"name\":\"\"}</tool_call>", "<tool_call>{\"name\": }</tool_call>", "Well. <tool_call> is a mark."}) {
        const ParsedAnswer parsed = read(AnswerStyle::common(), answer);
        EXPECT_EQ(parsed.text, answer);
        EXPECT_TRUE(parsed.calls.empty());
        EXPECT_TRUE(parsed.malformed.starts_with("the answer's tool call is malformed: ")) << answer << ": " << parsed.malformed;
    }
}

TEST(AnswerReader, ACallThatBreaksOffIsOneThatIsNotWhole) {
    AnswerReader reader(AnswerStyle::common(), {}, false);
    auto parts = reader.add(R"(<tool_call>{"name": "f", "arguments": {"a": [1, )");
    const std::vector<AnswerPart> begun{{.kind = Kind::call_begin, .text = "f"},
                                        {.kind = Kind::call_arguments, .text = R"({"a": [1, )"}};
    EXPECT_EQ(parts, begun) << "as soon as it is certain";
    EXPECT_EQ(reader.finish(), (std::vector<AnswerPart>{{.kind = Kind::call_end, .text = {}, .whole = false}}));
    EXPECT_EQ(reader.malformed(), "the answer's tool call is malformed: it breaks off");
    EXPECT_FALSE(read(AnswerStyle::common(), "<tool_call>{\"name\":\"f\",\"arguments\":{'a': 1}}</tool_call>").malformed.empty());
}

TEST(AnswerReader, LongTextValuesComeAsTheyAreWritten) {
    const std::vector<ChatTool> known = tools();
    AnswerReader reader(xml(), known, false);
    reader.add("<tool_call>\n<function=get_weather>\n<parameter=city>\n");
    EXPECT_EQ(reader.add("Lis\n"), (std::vector<AnswerPart>{{.kind = Kind::call_arguments, .text = "Lis"}}));
    EXPECT_EQ(reader.add("bon\n</para"), (std::vector<AnswerPart>{{.kind = Kind::call_arguments, .text = "\\nbon"}}));
}

// --- any cut gives the same ---

std::vector<AnswerPart> put_together(const std::vector<AnswerPart> &parts) {
    std::vector<AnswerPart> result;
    for (const AnswerPart &part : parts) {
        const bool joins =
            !result.empty() && result.back().kind == part.kind && part.kind != Kind::call_begin && part.kind != Kind::call_end;
        if (joins) {
            result.back().text += part.text;
        } else {
            result.push_back(part);
        }
    }
    return result;
}

std::vector<AnswerPart> in_pieces(const AnswerStyle &style, bool thinking, std::string_view text, std::mt19937_64 &random,
                                  std::size_t most) {
    const std::vector<ChatTool> known = tools();
    AnswerReader reader(style, known, thinking);
    std::vector<AnswerPart> parts;
    while (!text.empty()) {
        std::size_t size = std::min<std::size_t>(1 + random() % most, text.size());
        while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80) ++size;
        std::ranges::move(reader.add(text.substr(0, size)), std::back_inserter(parts));
        text.remove_prefix(size);
    }
    std::ranges::move(reader.finish(), std::back_inserter(parts));
    return put_together(parts);
}

constexpr std::array<std::string_view, 44> kPieces{"<tool_call>",
                                                   "</tool_call>",
                                                   "<|python_tag|>",
                                                   "[TOOL_CALLS]",
                                                   "[ARGS]",
                                                   "<function=get_weather>",
                                                   "<parameter=city>",
                                                   "</parameter>",
                                                   "</function>",
                                                   "<arg_key>",
                                                   "</arg_key>",
                                                   "<arg_value>",
                                                   "</arg_value>",
                                                   "get_time",
                                                   "city",
                                                   "```tool_code",
                                                   "```",
                                                   "json",
                                                   "<｜tool▁calls▁begin｜>",
                                                   "<｜tool▁call▁begin｜>",
                                                   "<｜tool▁sep｜>",
                                                   "<｜tool▁call▁end｜>",
                                                   "function<｜tool▁sep｜>",
                                                   "<|channel|>analysis",
                                                   "<|channel|>commentary to=functions.get_time ",
                                                   "<|message|>",
                                                   "<|end|>",
                                                   "<|start|>assistant",
                                                   "<|call|>",
                                                   "<think>",
                                                   "</think>",
                                                   "[THINK]",
                                                   "[/THINK]",
                                                   R"({"name":"get_time","arguments":{"x":"}<"}})",
                                                   R"({"name":"get_time","parameters":{}})",
                                                   R"({"name": "get_time", "arguments": )",
                                                   "{",
                                                   "}",
                                                   "[",
                                                   "]",
                                                   ",",
                                                   "\"",
                                                   " ",
                                                   "\n"};

TEST(AnswerReader, AnyCutGivesTheSame) {
    const std::vector<AnswerStyle> styles{AnswerStyle::common(), xml(),         glm(),   llama(),
                                          mistral(false),        mistral(true), gemma(), deep_seek(false),
                                          deep_seek(true),       harmony()};
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    for (int i = 0; i < 8'000; ++i) {
        std::string text;
        for (auto n = 1 + random() % 12; n > 0; --n) {
            text += random() % 8 == 0 ? "größer als 3." : kPieces.at(random() % kPieces.size());
        }
        const AnswerStyle &style = styles[random() % styles.size()];
        const bool thinking = random() % 4 == 0;
        const auto whole = in_pieces(style, thinking, text, random, SIZE_MAX - 1);
        for (const std::size_t most : {1UZ, 5UZ, 40UZ}) {
            ASSERT_EQ(in_pieces(style, thinking, text, random, most), whole)
                << "ENGRAM_TEST_SEED=" << seed << ", round " << i << ": " << text;
        }
        // Calls begin and end in turn, and what is whole can be read.
        bool in_call = false;
        for (const AnswerPart &part : whole) {
            ASSERT_EQ(in_call, part.kind == Kind::call_arguments || part.kind == Kind::call_end) << text;
            in_call = part.kind == Kind::call_begin || part.kind == Kind::call_arguments;
        }
        ASSERT_FALSE(in_call) << text;
    }
}

}  // namespace
}  // namespace engram
