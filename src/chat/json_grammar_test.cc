// What is refused, and the texts of automata. That what is sampled with a grammar is valid is shown with the real sampler, in
// tests/grammar_test.cc.
#include "chat/json_grammar.h"

#include <gtest/gtest.h>

#include <format>
#include <random>
#include <regex>

#include "chat/char_automaton.h"
#include "chat/gbnf_number.h"
#include "chat/testing/gbnf_reader.h"
#include "core/testing/test_seed.h"
#include "core/testing/utf8.h"

namespace engram {
namespace {

Error error_of(std::string_view schema) {
    const auto grammar = json_schema_grammar(schema);
    EXPECT_FALSE(grammar.has_value()) << schema;
    return grammar ? Error{} : grammar.error();
}

TEST(JsonGrammar, WhatIsNoSchemaIsAnError) {
    for (const std::string_view schema :
         {"", "1", "[]", "{", R"({"type":"text"})", R"({"type":3})", R"({"properties":[]})", R"({"required":[1]})",
          R"({"enum":3})", R"({"minimum":"1"})", R"({"$ref":"#/$defs/a"})", R"({"$ref":1})", R"({"pattern":"("})",
          R"({"allOf":{}})", R"({"anyOf":[3]})", R"({"items":4})"}) {
        EXPECT_EQ(error_of(schema).code, ErrorCode::invalid_argument) << schema << ": " << error_of(schema).message;
    }
    EXPECT_EQ(error_of(R"({"properties":{"a":{"items":{"type":"text"}}}})").message,
              "the schema at #/properties/a/items names a type \"text\", which JSON hasn't");
}

TEST(JsonGrammar, WhatAllowsNothingIsAnError) {
    for (const std::string_view schema :
         {"false", R"({"enum":[]})", R"({"type":"integer","minimum":3,"maximum":2})",
          R"({"type":"string","pattern":"^a$","minLength":2})", R"({"type":"object","properties":{"a":false},"required":["a"]})",
          R"({"allOf":[{"type":"string"},{"type":"integer"}]})", R"({"type":"array","minItems":2,"maxItems":1})",
          R"({"type":"string","minLength":3,"maxLength":2})", R"({"type":"string","const":3})"}) {
        EXPECT_TRUE(error_of(schema).message.contains("allows no value")) << schema << ": " << error_of(schema).message;
    }
    EXPECT_TRUE(error_of(R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})")
                    .message.contains("no value of it ever ends"));
    EXPECT_TRUE(error_of(R"({"$ref":"#"})").message.contains("refers to itself"));
    EXPECT_TRUE(error_of(R"({"anyOf":[{"type":"string"},{"$ref":"#"}]})").message.contains("refers to itself"));
}

TEST(JsonGrammar, WhatCantBeEnforcedIsNamedWithItsPlace) {
    EXPECT_EQ(error_of(R"({"properties":{"a":{"not":{"type":"string"}}}})").message,
              "the schema at #/properties/a/not can't be enforced: there is no grammar for it");
    for (const std::string_view schema :
         {R"({"type":"array","uniqueItems":true})", R"({"if":{}})", R"({"type":"array","contains":{}})",
          R"({"type":"number","multipleOf":3})", R"({"type":"string","pattern":"(?=a)b"})",
          R"({"type":"string","pattern":"(a)\\1"})", R"({"$ref":"other.json"})", R"({"type":"object","propertyNames":{}})"}) {
        EXPECT_EQ(error_of(schema).code, ErrorCode::unsupported) << schema;
    }
    // Annotations say nothing about what is valid.
    EXPECT_TRUE(
        json_schema_grammar(R"({"title":"t","description":"d","default":1,"format":"strange","x-mine":{},"type":"string"})")
            .has_value());
}

TEST(JsonGrammar, PathologicalSchemasAreBounded) {
    // Ways to read a text that would double with each level.
    const std::string doubling =
        R"({"$defs":{"t":{"anyOf":[{"type":"array","items":{"$ref":"#/$defs/t"}},{"type":"array","maxItems":5,"items":{"$ref":"#/$defs/t"}},{"type":"null"}]}},"$ref":"#/$defs/t"})";
    EXPECT_TRUE(error_of(doubling).message.contains("can't be told apart")) << error_of(doubling).message;
    std::string levels = R"({"$defs":{)";
    for (int i = 0; i < 40; ++i) {
        levels += std::format(
            R"("l{0}":{{"anyOf":[{{"type":"array","items":{{"$ref":"#/$defs/l{1}"}}}},{{"type":"array","maxItems":5,"items":{{"$ref":"#/$defs/l{1}"}}}}]}},)",
            i, i + 1);
    }
    EXPECT_TRUE(error_of(levels + R"("l40":{"type":"null"}},"$ref":"#/$defs/l0"})").message.contains("can't be told apart"));
    // Alternatives of a recursive type that their first member tells apart are fine.
    EXPECT_TRUE(
        json_schema_grammar(
            R"({"$defs":{"e":{"anyOf":[{"type":"object","properties":{"op":{"const":"add"},"l":{"$ref":"#/$defs/e"}},"required":["op","l"]},
                                       {"type":"object","properties":{"op":{"const":"num"},"l":{"type":"number"}},"required":["op","l"]}]}},"$ref":"#/$defs/e"})")
            .has_value());

    std::string many = R"({"type":"object","properties":{)";
    for (int i = 0; i < 300; ++i) many += std::format(R"({}"p{}":{{"type":"string"}})", i > 0 ? "," : "", i);
    EXPECT_EQ(error_of(many + "}}").code, ErrorCode::unsupported);
    std::string words = R"({"enum":[)";
    for (int i = 0; i < 20'000; ++i) words += std::format(R"({}"word number {}")", i > 0 ? "," : "", i * 7919);
    EXPECT_EQ(error_of(words + "]}").code, ErrorCode::unsupported);
    EXPECT_EQ(error_of(R"({"type":"string","pattern":"(a|b)*a(a|b){14}"})").code, ErrorCode::unsupported);
    EXPECT_EQ(error_of(R"({"type":"string","pattern":"^((a{0,200}){0,200}){0,200}$"})").code, ErrorCode::unsupported);
    std::string cross = R"({"allOf":[)";
    for (int i = 0; i < 8; ++i)
        cross += std::format(R"({}{{"anyOf":[{{"minimum":{}}},{{"maximum":{}}},{{"minimum":9}},{{"maximum":8}}]}})",
                             i > 0 ? "," : "", i, i);
    EXPECT_EQ(error_of(cross + "]}").code, ErrorCode::unsupported);
    EXPECT_LT(json_schema_grammar(R"({"type":"string","minLength":5,"maxLength":999999})").value().size(), 2000U);
    EXPECT_LT(json_object_grammar().value().size(), 20'000U);
}

TEST(JsonGrammar, TextsOfSchemasAndPatternsAreBounded) {
    const auto schema_of = [](std::size_t bytes) {
        const std::string begin = R"({"type":"string","description":")", end = R"("})";
        return begin + std::string(bytes - begin.size() - end.size(), 'x') + end;
    };
    EXPECT_TRUE(json_schema_grammar(schema_of(1UZ << 20U)).has_value());
    EXPECT_TRUE(error_of(schema_of((1UZ << 20U) + 1)).message.contains("at most 1048576 are read"));
    const auto pattern_of = [](std::size_t bytes) {
        return std::format(R"({{"type":"string","pattern":"[{}]"}})", std::string(bytes - 2, 'a'));
    };
    EXPECT_TRUE(json_schema_grammar(pattern_of(2048)).has_value());
    EXPECT_TRUE(error_of(pattern_of(2049)).message.contains("it has more than 2048 bytes"));
}

// What would take minutes, or the stack, is refused; that it happens soon shows by the test's end.
TEST(JsonGrammar, WhatMultipliesIsRefusedSoon) {
    std::string doubling = R"({"$ref":"#/$defs/d0","$defs":{)", chain = doubling;
    for (int i = 0; i < 30; ++i) {
        doubling += std::format(R"("d{0}":{{"allOf":[{{"$ref":"#/$defs/d{1}"}},{{"$ref":"#/$defs/d{1}"}}]}},)", i, i + 1);
    }
    EXPECT_TRUE(error_of(doubling + R"("d30":{"type":"string"}}})").message.contains("its references multiply"));
    for (int i = 0; i < 3000; ++i) chain += std::format(R"("d{0}":{{"items":{{"$ref":"#/$defs/d{1}"}}}},)", i, i + 1);
    EXPECT_TRUE(error_of(chain + R"("d3000":{"type":"null"}}})").message.contains("nested too deeply"));
    std::string values = R"({"enum":[)", names = R"({"allOf":[{"required":["a")";
    for (int i = 0; i < 100'000; ++i) values += std::format("{},", i);
    EXPECT_TRUE(error_of(values + "0]}").message.contains("more than 4096 elements"));
    for (int i = 0; i < 50'000; ++i) names += std::format(R"(,"n{}")", i);
    EXPECT_TRUE(error_of(names + R"(]},{"required":["b"]}]})").message.contains("more than 4096 elements"));
    std::string classes = "[";
    for (char32_t c = 0x100; c < 0x7F0; c += 2) add_utf8(classes, c);
    EXPECT_EQ(CharAutomaton::pattern(classes + "]{2000}").error().code, ErrorCode::unsupported);
    std::string maps = R"({"type":"object","patternProperties":{)";
    for (int i = 0; i < 300; ++i) maps += std::format(R"({}"^(a|b)*a(a|b){{9}}{}$":{{"type":"string"}})", i > 0 ? "," : "", i);
    EXPECT_EQ(error_of(maps + "}}").code, ErrorCode::unsupported);
}

// A rule that allows nothing, and that a rule within it refers to, isn't one that allows an empty text.
TEST(JsonGrammar, NothingIsNotAnEmptyText) {
    const auto text = json_schema_grammar(
        R"({"$defs":{"n":{"type":"object","properties":{"c":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]},"b":false},"required":["b"]}},
            "type":"object","properties":{"x":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"boolean"}]},
            "y":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["x","y"]})");
    ASSERT_TRUE(text.has_value()) << text.error().message;
    const auto grammar = testing::GbnfGrammar::read(*text);
    ASSERT_TRUE(grammar.has_value()) << *text;
    std::mt19937_64 random(test_seed());
    for (int i = 0; i < 200; ++i) {
        const auto sampled = grammar->sample(random, 1000);
        ASSERT_TRUE(sampled.has_value());
        EXPECT_TRUE(parse_bounded_json(*sampled, 1000).has_value()) << *sampled;
    }
}

TEST(CharAutomaton, PatternsMatchAsStandardOnesDo) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    for (const char *pattern : {"a",          "^a",
                                "a$",         "^a$",
                                "^$",         "a|b",
                                "^a|b$",      "^(?:ab|c)+$",
                                "^a*b?c+$",   "a{2}",
                                "^a{2,3}$",   "^(a|bc){2,}$",
                                "^[a-c]+$",   "^[^a]$",
                                "^[^ab]{2}$", "a.c",
                                "^\\w+$",     "^\\d{1,2}-\\d$",
                                "\\s",        "^(a(b(c)?)?)?$",
                                "b+?c",       "^(?:a|aa|aaa)*b$",
                                "^[\\d-]+$",  "^a{0,2}b{0,2}$",
                                "(?:)",       "^(a?){3}$",
                                "^(a*)*b$",   "c^a",
                                "\\."}) {
        const auto automaton = CharAutomaton::pattern(pattern);
        ASSERT_TRUE(automaton.has_value()) << pattern << ": " << automaton.error().message;
        const std::regex standard(pattern, std::regex::ECMAScript);
        for (int i = 0; i < 1000; ++i) {
            std::string text;
            for (auto n = random() % 7; n > 0; --n) text += "abc1- ."[random() % 7];
            ASSERT_EQ(automaton->accepts(text), std::regex_search(text, standard))
                << pattern << " on \"" << text << "\", ENGRAM_TEST_SEED=" << seed;
        }
    }
}

TEST(CharAutomaton, Sets) {
    const std::vector<std::string> words{"ab", "abc", "größe", ""};
    const CharAutomaton some = CharAutomaton::words(words);
    for (const std::string &word : words) EXPECT_TRUE(some.accepts(word) && !some.complement().accepts(word)) << word;
    for (const char *word : {"a", "abcd", "gr", "x"}) EXPECT_TRUE(!some.accepts(word) && some.complement().accepts(word)) << word;
    const CharAutomaton without = CharAutomaton::without("\n</p>");
    for (const char *text : {"", "a\nb", "</p>", "\n</", "\n\n", "a\n</q>"}) EXPECT_TRUE(without.accepts(text)) << text;
    for (const char *text : {"\n</p>", "a\n</p>b"}) EXPECT_FALSE(without.accepts(text)) << text;
    EXPECT_FALSE(CharAutomaton::without("aa").accepts("a")) << "with the mark after it, the mark would be found in the text";
    const auto lengths = CharAutomaton::lengths(2, 3);
    EXPECT_TRUE(lengths->accepts("äö") && lengths->accepts("abc") && !lengths->accepts("a") && !lengths->accepts("abcd"));
    EXPECT_TRUE(CharAutomaton::both(some, *lengths)->accepts("abc"));
    EXPECT_TRUE(CharAutomaton::both(*CharAutomaton::pattern("^a$"), *lengths)->empty());
}

}  // namespace
}  // namespace engram
