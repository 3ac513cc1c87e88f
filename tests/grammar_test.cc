// The grammars of src/chat with libllama's own sampler: what is sampled at random with a schema's grammar is valid for the schema
// (as a small validator of our own sees it), and what is sampled with a grammar of calls is read as calls of those tools.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <format>
#include <random>
#include <regex>

#include "chat/answer_reader.h"
#include "chat/answer_style.h"
#include "chat/bounded_json.h"
#include "chat/char_automaton.h"
#include "chat/json_grammar.h"
#include "core/testing/test_seed.h"
#include "engine/sampler.h"
#include "engine/testing/tiny_models.h"

namespace engram {
namespace {

class Validator {
  public:
    explicit Validator(const OrderedJson &root) : root_(root) {}

    // NOLINTNEXTLINE(misc-no-recursion)
    bool valid(const OrderedJson &schema, const OrderedJson &value) const {
        if (schema.is_boolean()) return schema.get<bool>();
        const auto each = [&](const char *name, auto &&holds) { return !schema.contains(name) || holds(schema[name]); };
        const auto this_one = [&](const OrderedJson &other) { return valid(other, value); };
        const auto is = [&](const OrderedJson &type) { return is_of(type.get<std::string>(), value); };
        return each("$ref",
                    [&](const OrderedJson &at) {
                        return this_one(root_.at(OrderedJson::json_pointer(at.get<std::string>().substr(1))));
                    }) &&
               each("allOf", [&](const OrderedJson &all) { return std::ranges::all_of(all, this_one); }) &&
               each("anyOf", [&](const OrderedJson &any) { return std::ranges::any_of(any, this_one); }) &&
               each("oneOf", [&](const OrderedJson &any) { return std::ranges::count_if(any, this_one) == 1; }) &&
               each("type",
                    [&](const OrderedJson &type) { return type.is_array() ? std::ranges::any_of(type, is) : is(type); }) &&
               each("enum", [&](const OrderedJson &values) { return std::ranges::contains(values, value); }) &&
               each("const", [&](const OrderedJson &only) { return only == value; }) && number(schema, value) &&
               text(schema, value) && list(schema, value) && object(schema, value);
    }

  private:
    static bool is_of(const std::string &type, const OrderedJson &value) {
        if (type == "null") return value.is_null();
        if (type == "boolean") return value.is_boolean();
        if (type == "string") return value.is_string();
        if (type == "array") return value.is_array();
        if (type == "object") return value.is_object();
        return value.is_number() && (type == "number" || value.is_number_integer());
    }
    static double bound(const OrderedJson &schema, const char *name, double otherwise) { return schema.value(name, otherwise); }

    static bool number(const OrderedJson &schema, const OrderedJson &value) {
        if (!value.is_number()) return true;
        const auto x = value.get<double>();
        return x >= bound(schema, "minimum", -INFINITY) && x <= bound(schema, "maximum", INFINITY) &&
               x > bound(schema, "exclusiveMinimum", -INFINITY) && x < bound(schema, "exclusiveMaximum", INFINITY);
    }
    static bool text(const OrderedJson &schema, const OrderedJson &value) {
        if (!value.is_string()) return true;
        const auto length = static_cast<double>(characters(value.get<std::string>()).size());
        return length >= bound(schema, "minLength", 0) && length <= bound(schema, "maxLength", INFINITY) &&
               (!schema.contains("pattern") ||
                std::regex_search(value.get<std::string>(), std::regex(schema["pattern"].get<std::string>())));
    }
    // NOLINTNEXTLINE(misc-no-recursion)
    bool list(const OrderedJson &schema, const OrderedJson &value) const {
        if (!value.is_array()) return true;
        const OrderedJson first = schema.value("prefixItems", OrderedJson::array());
        const OrderedJson rest = schema.value("items", OrderedJson(true));
        for (std::size_t i = 0; i < value.size(); ++i) {
            if (!valid(i < first.size() ? first[i] : rest, value[i])) return false;
        }
        const auto size = static_cast<double>(value.size());
        return size >= bound(schema, "minItems", 0) && size <= bound(schema, "maxItems", INFINITY);
    }
    // NOLINTNEXTLINE(misc-no-recursion)
    bool object(const OrderedJson &schema, const OrderedJson &value) const {
        if (!value.is_object()) return true;
        const OrderedJson none = OrderedJson::object();
        const OrderedJson listed = schema.value("properties", none);
        const OrderedJson patterns = schema.value("patternProperties", none);
        for (const auto &[name, member] : value.items()) {
            bool known = listed.contains(name);
            if (known && !valid(listed[name], member)) return false;
            for (const auto &[pattern, more] : patterns.items()) {
                if (!std::regex_search(name, std::regex(pattern))) continue;
                known = true;
                if (!valid(more, member)) return false;
            }
            if (!known && !valid(schema.value("additionalProperties", OrderedJson(true)), member)) return false;
        }
        const auto there = [&value](const OrderedJson &name) { return value.contains(name.get<std::string>()); };
        const auto size = static_cast<double>(value.size());
        return std::ranges::all_of(schema.value("required", OrderedJson::array()), there) &&
               size >= bound(schema, "minProperties", 0) && size <= bound(schema, "maxProperties", INFINITY);
    }

    const OrderedJson &root_;
};

class GrammarTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        model = testing::load_tiny(testing::tiny_options("tiny-llama"));
        ASSERT_NE(model, nullptr);
        for (Token token = 0; token < static_cast<Token>(model->vocabulary_size()); ++token)
            pieces.push_back(model->piece(token, true));
    }
    static void TearDownTestSuite() { model.reset(); }

    // Tokens at random; after a while those are likely that bring one of `endings` on.
    static std::string sample(const std::string &grammar, std::uint64_t seed, const std::vector<std::string> &endings) {
        auto sampler =
            Sampler::create(*model, {.temperature = 1.0F, .seed = static_cast<std::uint32_t>(seed), .grammar = grammar});
        if (!sampler) {
            ADD_FAILURE() << sampler.error().message << "\n" << grammar;
            return {};
        }
        std::mt19937_64 random(seed);
        std::normal_distribution<float> noise(0.0F, 2.0F);
        std::string text;
        for (int i = 0; i < 4000; ++i) {
            std::vector<float> logits(pieces.size());
            for (std::size_t k = 0; k < logits.size(); ++k) logits[k] = noise(random) - (pieces[k].empty() ? 5.0F : 0.0F);
            if (i > 40) {  // one ending at a time, long enough to be written
                const std::string &ending = endings[static_cast<std::size_t>(i) / 20 % endings.size()];
                const std::string next(1, ending[progress(text, ending)]);
                for (std::size_t k = 0; k < logits.size(); ++k) logits[k] += pieces[k] == next ? 25.0F : 0.0F;
            }
            const Token token = sampler->sample(logits);
            if (model->is_end_of_generation(token)) return text;
            text += pieces[static_cast<std::size_t>(token)];
        }
        ADD_FAILURE() << "it doesn't end: " << text << "\n" << grammar;
        return text;
    }

    // How much of the ending the text ends with.
    static std::size_t progress(const std::string &text, const std::string &ending) {
        for (std::size_t size = ending.size() - 1; size > 0; --size) {
            if (text.ends_with(ending.substr(0, size))) return size;
        }
        return 0;
    }

    static std::unique_ptr<Model> model;
    static std::vector<std::string> pieces;
};

std::unique_ptr<Model> GrammarTest::model;
std::vector<std::string> GrammarTest::pieces;

const std::vector<std::string> kThoughtEndings{"</think>", "<|end|>", "}"};
const std::vector<std::string> kJsonEndings{"\"", "}", "]", "b\\\"c"};

TEST_F(GrammarTest, WhatIsSampledIsValid) {
    const std::uint64_t seed = test_seed();
    for (
        const char *schema : {
            R"({"type":"object"})",
            R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"},"c":{"type":"boolean"}},"required":["b"]})",
            R"({"type":"object","properties":{"a":{"type":"string"},"ab":{"type":"null"}},"additionalProperties":{"type":"integer"}})",
            R"({"type":"object","additionalProperties":{"type":"boolean"},"minProperties":2,"maxProperties":4})",
            R"({"type":"object","patternProperties":{"^x_":{"type":"integer"}},"additionalProperties":false})",
            R"({"type":"object","properties":{"q\"\\é":{"const":"\"\n\\"}},"required":["q\"\\é","unlisted"]})",
            R"({"type":"array","items":{"type":"integer","minimum":-3,"maximum":120},"minItems":2,"maxItems":5})",
            R"({"type":"array","prefixItems":[{"type":"string"},{"type":"null"}],"items":{"enum":[1,"two",null,[3]]},"minItems":1})",
            R"({"type":"string","minLength":3,"maxLength":7})",
            R"({"type":"string","minLength":1500,"maxLength":1700})",
            R"({"type":"string","pattern":"^[a-z]{2,4}-[0-9]+$","maxLength":9})",
            R"({"type":"string","pattern":"b\"c"})",
            R"({"type":"string","format":"date","pattern":"^20[12]"})",
            R"({"type":"string","format":"uuid"})",
            R"({"type":["integer","null"],"exclusiveMinimum":99,"exclusiveMaximum":1001})",
            R"({"type":"number","minimum":0.25,"maximum":0.3})",
            R"({"type":"number","exclusiveMinimum":-1.5,"exclusiveMaximum":2.75})",
            R"({"type":"number"})",
            R"({"enum":["red","green","grey",{"a":[1,2]},false]})",
            R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"n":{"type":"number"}},"required":["k","n"]},{"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}]})",
            R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer","minimum":5}},"required":["a"]},{"properties":{"a":{"maximum":8},"b":{"type":"null"}},"required":["b"]}]})",
            R"({"$defs":{"tree":{"type":"object","properties":{"v":{"type":"integer"},"kids":{"type":"array","items":{"$ref":"#/$defs/tree"}}},"required":["v"]}},"$ref":"#/$defs/tree"})",
            R"({"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]}},"anyOf":[{"required":["a"]},{"properties":{"b":{"type":"integer"}},"required":["b"]}]})",
        }) {
        const OrderedJson parsed = OrderedJson::parse(schema);
        const auto grammar = json_schema_grammar(schema);
        ASSERT_TRUE(grammar.has_value()) << schema << ": " << grammar.error().message;
        for (std::uint64_t round = 0; round < 4; ++round) {
            const std::string text = sample(*grammar, seed * 100 + round, kJsonEndings);
            const auto value = parse_bounded_json(text, 1 << 20);
            ASSERT_TRUE(value.has_value()) << schema << "\n" << text << ": " << value.error().message;
            EXPECT_TRUE(Validator(parsed).valid(parsed, *value)) << schema << "\n" << text;
        }
    }
}

TEST_F(GrammarTest, AnyObject) {
    for (std::uint64_t round = 0; round < 5; ++round) {
        const std::string text = sample(json_object_grammar().value(), test_seed() + round, kJsonEndings);
        const auto value = parse_bounded_json(text, 1 << 20);
        ASSERT_TRUE(value.has_value() && value->is_object()) << text;
    }
}

// Calls of each form, sampled with its grammar and read again.
TEST_F(GrammarTest, ForcedCallsAreReadAsCalls) {
    const std::string weather =
        R"({"type":"object","properties":{"city":{"type":"string","minLength":1},"days":{"type":"integer","minimum":1,"maximum":14},"unit":{"enum":["C","F"]}},"required":["city","days"]})";
    const std::vector<ChatTool> tools{{.name = "get_weather", .description = {}, .parameters = weather},
                                      {.name = "get_time", .description = {}}};
    AnswerStyle xml = AnswerStyle::common();
    xml.form = CallForm::function_xml;
    AnswerStyle glm = AnswerStyle::common();
    glm.form = CallForm::arg_xml;
    glm.open = "<tool_call>";
    const std::vector<AnswerStyle> styles{AnswerStyle::common(),
                                          xml,
                                          glm,
                                          {.arguments = "parameters", .several = false},
                                          {.calls_open = "[TOOL_CALLS][", .calls_close = "]", .between = ", "},
                                          {.form = CallForm::named_json, .open = "[TOOL_CALLS]", .separator = "[ARGS]"},
                                          {.open = "```tool_code\n", .close = "\n```", .between = "\n"},
                                          {.form = CallForm::named_json,
                                           .calls_open = "<｜tool▁calls▁begin｜>",
                                           .calls_close = "<｜tool▁calls▁end｜>",
                                           .open = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
                                           .close = "\n```<｜tool▁call▁end｜>",
                                           .between = "\n",
                                           .separator = "\n```json\n",
                                           .think_open = "<think>",
                                           .think_close = "</think>"},
                                          {.form = CallForm::harmony, .several = false}};
    const OrderedJson schema = OrderedJson::parse(weather);
    const std::uint64_t seed = test_seed();
    for (std::size_t i = 0; i < styles.size(); ++i) {
        const AnswerStyle &style = styles[i];
        std::vector<std::string> endings = kJsonEndings;
        for (const char *mark : {"\n</parameter>", "</arg_value>", "</think>", "<|end|>"}) endings.emplace_back(mark);
        for (std::uint64_t round = 0; round < 4; ++round) {
            const bool thinking = round == 1 && (!style.think_open.empty() || style.form == CallForm::harmony);
            const auto grammar = call_grammar(style, tools, round % 2 == 1, thinking);
            ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
            const std::string text = sample(*grammar, seed * 1000 + i * 10 + round, endings);
            const ParsedAnswer parsed = read_answer(style, tools, thinking, text);
            EXPECT_EQ(parsed.malformed, "") << text;
            EXPECT_EQ(parsed.text, "") << text;
            ASSERT_FALSE(parsed.calls.empty()) << text;
            EXPECT_TRUE(parsed.calls.size() == 1 || (round % 2 == 1 && style.several)) << text;
            for (const ToolCall &call : parsed.calls) {
                if (call.name == "get_weather") {
                    EXPECT_TRUE(Validator(schema).valid(schema, OrderedJson::parse(call.arguments))) << text;
                } else {
                    EXPECT_EQ(call.name, "get_time") << text;
                }
            }
        }
    }
}

TEST_F(GrammarTest, AnswersOfAFormatComeAfterThinking) {
    AnswerStyle style = AnswerStyle::common();
    for (const bool harmony : {false, true}) {
        if (harmony) style = {.form = CallForm::harmony};
        const FormattedAnswer answer{.format = AnswerFormat::json_schema,
                                     .schema = R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]})",
                                     .tools = {}};
        const auto grammar = format_grammar(style, answer, true);
        ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
        const std::string text = sample(*grammar, 3, kThoughtEndings);
        const ParsedAnswer parsed = read_answer(style, {}, true, text);
        const OrderedJson value = OrderedJson::parse(parsed.text, nullptr, false);
        EXPECT_TRUE(value.is_object() && value["a"].is_number_integer()) << text;
        EXPECT_FALSE(parsed.thinking.empty()) << text;
    }
}

// Where tools may be called, an answer is either calls or a value of the format; sampling comes by both.
TEST_F(GrammarTest, AnswersOfAFormatMayCallToolsFirst) {
    const std::vector<ChatTool> tools{{.name = "get_time", .description = {}}};
    AnswerStyle style = AnswerStyle::common();
    style.think_open = style.think_close = "";
    const auto grammar = format_grammar(
        style, {.format = AnswerFormat::json_schema, .schema = R"({"type":"integer","minimum":0,"maximum":9})", .tools = tools},
        false);
    ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
    int called = 0, answered = 0;
    for (std::uint64_t round = 0; round < 400 && (called == 0 || answered == 0); ++round) {
        const std::string text = sample(*grammar, test_seed() + round, kJsonEndings);
        const ParsedAnswer parsed = read_answer(style, tools, false, text);
        if (parsed.calls.empty()) {
            EXPECT_TRUE(OrderedJson::parse(parsed.text, nullptr, false).is_number_integer()) << text;
            ++answered;
        } else {
            EXPECT_EQ(parsed.calls.front().name, "get_time") << text;
            EXPECT_EQ(parsed.text, "") << text;
            ++called;
        }
    }
    EXPECT_GT(called, 0);
    EXPECT_GT(answered, 0);
}

}  // namespace
}  // namespace engram
