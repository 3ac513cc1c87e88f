#include "eval/score.h"

#include <gtest/gtest.h>

namespace engram::eval {
namespace {

TEST(Score, PhrasesAreWholeWords) {
    for (const auto &[text, phrase] :
         std::vector<std::pair<std::string, std::string>>{{"It is KRWQZ.", "KRWQZ"},
                                                          {"(krwqz)", "KRWQZ"},
                                                          {"KRWQZ", "krwqz"},
                                                          {"the  north\nwing", "North wing"},
                                                          {"xKRWQZ, KRWQZ", "KRWQZ"},
                                                          {"It costs $21.", "$21"},
                                                          {"It costs 21.", "21"},
                                                          {"21, 22 and 23", "22"},
                                                          {"I don\u2019t know", "don't know"},
                                                          {"Caf\u00e9 \u00c9t\u00e9", "\u00c9t\u00e9"},
                                                          {"KRWQZ-7", "KRWQZ"},
                                                          {"a 1.5 b", "1.5"}}) {
        EXPECT_TRUE(holds_phrase(text, phrase)) << text << " | " << phrase;
    }
    for (const auto &[text, phrase] : std::vector<std::pair<std::string, std::string>>{{"KRWQZX", "KRWQZ"},
                                                                                       {"XKRWQZ", "KRWQZ"},
                                                                                       {"KRWQZ_1", "KRWQZ"},
                                                                                       {"It is 21.5 degrees", "21"},
                                                                                       {"1,021", "021"},
                                                                                       {"It is 3.21", "21"},
                                                                                       {"northwing", "north wing"},
                                                                                       {"caf\u00e9", "caf"},
                                                                                       {"", "x"},
                                                                                       {"$210", "$21"}}) {
        EXPECT_FALSE(holds_phrase(text, phrase)) << text << " | " << phrase;
    }
}

TEST(Score, EveryExpectationMustHold) {
    const Expectation expect{.contains = {"KRWQZ", "Lisbon"}, .absent = {"BXTLM"}, .any_of = {"code", "password"}};
    EXPECT_EQ(score(expect, answer_of("The code for Lisbon is KRWQZ.")), 1);
    EXPECT_EQ(score(expect, answer_of("The passwords: krwqz, lisbon")), 1) << "any_of needs no whole words";
    EXPECT_EQ(score(expect, answer_of("The code is KRWQZ.")), 0);
    EXPECT_EQ(score(expect, answer_of("For Lisbon it is KRWQZ.")), 0);
    EXPECT_EQ(score(expect, answer_of("The code for Lisbon is KRWQZ, not BXTLM.")), 0);
    EXPECT_EQ(score(expect, answer_of("")), 0);
}

TEST(Score, ToolCallsAreComparedAsJson) {
    const Expectation expect{.tool_call = ToolCall{.name = "f", .arguments = R"({"a": 1, "b": [1, {"c": null}]})"}};
    const auto scored = [&](const std::string &answer) { return score(expect, answer_of(answer)); };
    EXPECT_EQ(scored(R"(<tool_call>{"name": "f", "arguments": {"b": [1.0, {"c": null}], "a": 1}}</tool_call>)"), 1);
    EXPECT_EQ(scored(R"({"name": "f", "parameters": {"a": 1, "b": [1, {"c": null}]}})"), 1);
    EXPECT_EQ(scored(R"(<tool_call>{"name": "f", "arguments": {"a": "1", "b": [1, {"c": null}]}}</tool_call>)"), 0);
    EXPECT_EQ(scored(R"(<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>)"), 0);
    EXPECT_EQ(scored(R"(<tool_call>{"name": "g", "arguments": {"a": 1, "b": [1, {"c": null}]}}</tool_call>)"), 0);
    const std::string once = R"(<tool_call>{"name": "f", "arguments": {"a": 1, "b": [1, {"c": null}]}}</tool_call>)";
    EXPECT_EQ(scored(once), 1);
    EXPECT_EQ(scored(once + once), 0) << "exactly one";
    EXPECT_EQ(scored("f"), 0);
    EXPECT_EQ(scored("<tool_call>{"), 0);

    const Expectation none{.no_tool_call = true};
    EXPECT_EQ(score(none, answer_of("It is sunny.")), 1);
    EXPECT_EQ(score(none, answer_of(once)), 0);
    EXPECT_EQ(score(none, answer_of("<tool_call>{")), 0) << "an attempt is one";
}

TEST(Score, TextIsWhatIsSaidBesideTheCalls) {
    const Expectation expect{.contains = {"Lisbon"}};
    EXPECT_EQ(score(expect, answer_of(R"(<tool_call>{"name": "f", "arguments": {"city": "Lisbon"}}</tool_call>)")), 0);
}

TEST(Score, ItemsAreGraded) {
    const Expectation expect{.contains = {"Summary"}, .items = {"KRWQZ", "Lisbon", "21", "blue"}, .list_lines = true};
    EXPECT_EQ(score(expect, answer_of("Summary\n- the code is KRWQZ\n- Lisbon, 21 degrees\n- blue")), 1);
    EXPECT_EQ(score(expect, answer_of("Summary\n- KRWQZ\n  - Lisbon")), 0.5);
    EXPECT_EQ(score(expect, answer_of("Summary\n- KRWQZ\n- Paris")), 0) << "an invented line";
    EXPECT_EQ(score(expect, answer_of("Summary\n- KRWQZ\n  - Paris")), 0);
    EXPECT_EQ(score(expect, answer_of("Summary\nNot in the list: Paris\n- KRWQZ")), 0.25) << "other lines are free";
    EXPECT_EQ(score(expect, answer_of("- KRWQZ")), 0) << "the other members must hold";
    EXPECT_EQ(score(expect, answer_of("Summary")), 0);
    Expectation loose = expect;
    loose.list_lines = false;
    EXPECT_EQ(score(loose, answer_of("Summary\n- KRWQZ\n- Paris")), 0.25);
}

TEST(Score, SameJson) {
    EXPECT_TRUE(same_json(R"({"a":1,"b":2})", R"({ "b": 2.0, "a": 1 })"));
    EXPECT_TRUE(same_json("\"\\u0041\"", "\"A\""));
    EXPECT_FALSE(same_json("[1,2]", "[2,1]"));
    EXPECT_FALSE(same_json("{", "{"));
    EXPECT_FALSE(same_json("1", "true"));
}

}  // namespace
}  // namespace engram::eval
