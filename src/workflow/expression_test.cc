#include "workflow/expression.h"

#include <gtest/gtest.h>

#include <random>

#include "core/testing/test_seed.h"

namespace engram::workflow {
namespace {

const OrderedJson &scope() {
    static const OrderedJson kScope = OrderedJson::parse(R"({
        "inputs": {"topic": "ships", "count": 3, "list": ["a", "b"], "empty": ""},
        "nodes": {"review": {"text": "Good", "json": {"score": 7, "tags": ["x", {"y": 1}]}, "state": "finished"},
                  "skipped": {"state": "skipped"}},
        "item": {"name": "é"}, "index": 0})");
    return kScope;
}

OrderedJson value_of(std::string_view text) {
    const auto expression = Expression::parse(text);
    if (!expression) return "error: " + expression.error().message;
    const auto value = expression->value(scope());
    return value ? *value : OrderedJson("error: " + value.error().message);
}

TEST(Expression, HasAValue) {
    const std::pair<const char *, OrderedJson> cases[] = {
        {"inputs.topic", "ships"},
        {"${{ inputs.topic }}", "ships"},
        {"nodes.review.json.tags[1].y", 1},
        {"nodes.review.json.tags[9].y", nullptr},
        {"nodes.review.text.further", nullptr},
        {"nodes.skipped.text", nullptr},
        {"'it\\'s' == \"it's\"", true},
        {"'a\\nb'", "a\nb"},
        {"-1.5 < 2", true},
        {"1 == 1.0", true},
        {"1 == '1'", false},
        {"1 < '2'", false},
        {"1 >= '2'", false},
        {"null == nodes.skipped.text", true},
        {"'abc' < 'abd'", true},
        {"nodes.review.json.score >= 7", true},
        {"nodes.review.json.score > 7", false},
        {"inputs.topic contains 'hip'", true},
        {"inputs.list contains 'b'", true},
        {"inputs.list contains 'c'", false},
        {"nodes.review.json contains 'score'", true},
        {"inputs.count contains 3", false},
        {"true or false and false", true},
        {"(true or false) and false", false},
        {"not true", false},
        {"not not inputs.empty", false},
        {"not inputs.empty and inputs.list", true},
        {"index", 0},
        {"item.name", "é"},
        {"length(item.name)", 1},
        {"length(inputs.list)", 2},
        {"length(7)", 0},
        {"join(inputs.list, ', ')", "a, b"},
        {"join(nodes.review.json.tags, ' ')", R"(x {"y":1})"},
        {"length(join(inputs.list, '')) == 2", true},
        {"truely", nullptr},
        {"not-yet", nullptr},
        {"null != true-ish", false},
        {"inputs.or == nodes.not.and", true},
    };
    for (const auto &[text, value] : cases) EXPECT_EQ(value_of(text), value) << text;
}

TEST(Expression, SaysWhatIsWrong) {
    const std::pair<const char *, const char *> cases[] = {
        {"", "the expression ends where a value should stand"},
        {"1 +", "\"+\" stands where an operator should"},
        {"a ==", "the expression ends where a value should stand"},
        {"(a", "the expression ends where \")\" should stand"},
        {"a b", "\"b\" stands where an operator should"},
        {"a.", "the expression ends where a name should stand"},
        {"a[x]", "\"x]\" stands where an index should"},
        {"'abc", "a text isn't closed by its quotation mark"},
        {"'a\\x'", "a backslash in a text must be one of \\n, \\t, \\\\, \\' and \\\""},
        {"1 < 2 < 3", "comparisons can't be chained: put \"and\" between them"},
        {"upper(a)", "there is no function \"upper\": there are length and join"},
        {"join(a)", "join takes 2 arguments, not 1"},
        {"12abc", "\"abc\" stands where an operator should"},
        {"a != not", "\"not\" stands where a value should"},
        {"and", "\"and\" stands where a value should"},
        {"a or or b", "\"or\" stands where a value should"},
        {"contains(a, b)", "\"contains(a,\" stands where a value should"},
        {"é", "\"é\" stands where a value should"},
    };
    for (const auto &[text, message] : cases) EXPECT_EQ(value_of(text), OrderedJson("error: " + std::string(message))) << text;
    EXPECT_EQ(value_of(std::string(100, '(')), OrderedJson("error: nested more than 32 deep"));
    EXPECT_EQ(value_of(std::string(5000, ' ')), OrderedJson("error: the expression is longer than 4096 bytes"));
}

TEST(Expression, LongChainsAreNotDeep) {
    std::string text = "false";
    while (text.size() < 4000) text += " or false";
    EXPECT_EQ(value_of(text + " or 1"), OrderedJson(true));
    std::string negations;
    while (negations.size() < 4000) negations += "not ";
    EXPECT_EQ(value_of(negations + "1"), OrderedJson(true));
}

std::string text_of(std::string_view text) {
    const auto parsed = Template::parse(text);
    if (!parsed) return "error: " + parsed.error().message;
    const auto filled = parsed->text(scope());
    return filled ? *filled : "error: " + filled.error().message;
}

TEST(Template, PutsValuesIntoText) {
    EXPECT_EQ(text_of("plain $ { }} text"), "plain $ { }} text");
    EXPECT_EQ(text_of("${{ inputs.topic }}"), "ships");
    EXPECT_EQ(text_of("a ${{inputs.count}} b ${{ nodes.skipped.text }}."), "a 3 b .");
    EXPECT_EQ(text_of("${{ nodes.review.json }}"), R"({"score":7,"tags":["x",{"y":1}]})");
    EXPECT_EQ(text_of("$${{ inputs.topic }} ${{ index }}"), "${{ inputs.topic }} 0");
    EXPECT_EQ(text_of("${{ inputs.topic"), "error: ${{ isn't closed by }}");
    EXPECT_EQ(text_of("${{ }}"), "error: the expression ends where a value should stand");
}

TEST(Template, IsNeverLongerThanItMay) {
    const OrderedJson large{{"x", std::string(400'000, 'x')}};
    EXPECT_TRUE(Template::parse("${{ x }}${{ x }}")->text(large));
    EXPECT_EQ(Template::parse("${{ x }}${{ x }}${{ x }}")->text(large).error().code, ErrorCode::too_long);
    const OrderedJson list{{"x", OrderedJson::array({large["x"], large["x"], large["x"]})}};
    EXPECT_EQ(Expression::parse("length(join(x, ''))")->value(list).error().code, ErrorCode::too_long);
}

// Whatever the bytes are: an error or a value, never a crash.
TEST(Expression, RandomBytes) {
    std::mt19937_64 random(test_seed());
    const std::string pieces[] = {
        "inputs", "nodes", ".",  "[", "]",        "0",       "12",    "'", "\"",  "(",  ")",  " ",    "and",
        "or",     "not",   "==", "<", "contains", "length(", "join(", ",", "${{", "}}", "\\", "\xFF", std::string(1, '\0')};
    std::size_t values = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::string text;
        for (std::size_t n = random() % 12; n > 0; --n) {
            text += random() % 8 == 0 ? std::string(1, static_cast<char>(random())) : pieces[random() % std::size(pieces)];
        }
        if (const auto expression = Expression::parse(text)) {
            values += expression->value(scope()) ? 1U : 0U;
            static_cast<void>(expression->references());
        }
        if (const auto parsed = Template::parse(text)) static_cast<void>(parsed->text(scope()));
    }
    EXPECT_GT(values, 100U);
}

}  // namespace
}  // namespace engram::workflow
