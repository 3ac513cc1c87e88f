#include "chat/jinja_source.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

bool accepts(std::string_view source) { return check_jinja_source(source).has_value(); }

TEST(JinjaSource, PassesOrdinaryTemplatesUnchanged) {
    for (const std::string_view source : {
             "",
             "plain text, 100% of it / all { of } it",
             "{% for m in messages[::-1] %}{{ m['content'][1:-1] + '}}' }}{% endfor %}",
             "{%- if loop.index0 % 2 == 1 -%}x{%- endif -%}",
             "{{ {'a': {'b': 1}}.a.b // 3 / 4 }}",
             "{{ content.split('</think>')[-1].lstrip('\\n') }}",
             R"({{ "a \" %} b" }})",
         }) {
        EXPECT_EQ(check_jinja_source(source).value_or("refused"), source);
    }
}

TEST(JinjaSource, LeavesOutTheTextOfComments) {
    EXPECT_EQ(check_jinja_source("a{# long } {{ 1 / 0 }} #}b").value_or(""), "a{# #}b");
    EXPECT_EQ(check_jinja_source("a{#- x -#}b{# y -#}c{#- z #}").value_or(""), "a{#- -#}b{# -#}c{#- #}");
    EXPECT_EQ(check_jinja_source("{##}{#-#}").value_or(""), "{# #}{#- #}");
    EXPECT_TRUE(accepts("{#" + std::string(60'000, 'x') + "#}"));
}

TEST(JinjaSource, RefusesDivisionThatCouldBeByZero) {
    for (const std::string_view source :
         {"{{ 1 % 0 }}", "{{ 1 // n }}", "{{ 1 / (0) }}", "{% if 1 % -1 %}{% endif %}", "{{ 1 % 0.5 }}", "{{ 1 % 2e-9 }}",
          "{{ 1 / 2.5 }}", "{{ {'a': {'b': 1}}.a.b % x }}", "{{ 9 % 99999999999 }}"}) {
        EXPECT_FALSE(accepts(source)) << source;
    }
}

TEST(JinjaSource, RefusesWhatReadsBeyondOrNeverEnds) {
    for (const std::string_view source : {"{{ 'abc'[0:99:2] }}", "{{ 'abc'[99::-1] }}", "{{ x[ :9:2] }}", "{{ 'a'.split('') }}",
                                          "{{ 'a'.split( \"\" ) }}", "{{ 'a'.replace('', 'b', -1) }}", "{{ loop.cycle(1) }}",
                                          "{% for a in b recursive %}{% endfor %}", "{{ x", "{{ 'x }}", "{# x", "{% if x }}"}) {
        EXPECT_FALSE(accepts(source)) << source;
    }
}

TEST(JinjaSource, BoundsSizesAndNesting) {
    EXPECT_TRUE(accepts(std::string(kMaxTemplateBytes, 'x')));
    EXPECT_FALSE(accepts(std::string(kMaxTemplateBytes + 1, 'x')));
    EXPECT_TRUE(accepts("a" + std::string(kMaxRun, ' ')));
    EXPECT_FALSE(accepts("a" + std::string(kMaxRun + 1, ' ')));
    EXPECT_FALSE(accepts("{{ a" + std::string(kMaxRun + 1, ' ') + "}}"));
    EXPECT_FALSE(accepts("{{ " + std::string(kMaxRun + 1, 'a') + "}}"));
    EXPECT_TRUE(accepts("{{ " + std::string(kMaxNesting, '(') + "1" + std::string(kMaxNesting, ')') + "}}"));
    EXPECT_FALSE(accepts("{{ " + std::string(kMaxNesting + 1, '(') + "1" + std::string(kMaxNesting + 1, ')') + "}}"));
    std::string blocks;
    std::string in_a_row;
    std::string nots = "{{ ";
    for (std::size_t i = 0; i <= kMaxNesting; ++i) {
        blocks += "{% if x %}";
        in_a_row += "{% if x %}{% endif %}";
    }
    for (std::size_t i = 0; i <= kMaxTagBytes / 3; ++i) {
        nots += "not ";
    }
    EXPECT_FALSE(accepts(blocks));
    EXPECT_TRUE(accepts(in_a_row));
    EXPECT_FALSE(accepts(nots + "x }}"));
    EXPECT_TRUE(accepts("{{ '" + std::string(3 * kMaxTagBytes, 'x') + "' }}"));
}

TEST(JinjaSource, SaysWhere) {
    const auto result = check_jinja_source("a\nb\n{{ 1 % 0 }}");
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
    EXPECT_TRUE(result.error().message.contains("line 3")) << result.error().message;
}

}  // namespace
}  // namespace engram
