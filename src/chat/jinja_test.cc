#include "chat/jinja.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

namespace engram {
namespace {

Result<std::string> render(std::string_view source, JinjaInput input = {}) {
    ENGRAM_ASSIGN(const JinjaTemplate jinja, JinjaTemplate::parse(source));
    return jinja.render(input);
}

std::string error_of(const Result<std::string> &result) {
    return result.has_value() ? "no error: " + *result : result.error().message;
}

TEST(Jinja, RendersMessagesAndTokens) {
    const std::array<JinjaMessage, 2> messages = {{{"user", "a"}, {"assistant", "b"}}};
    EXPECT_EQ(render("{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m['content'] }};{% endfor %}{{ eos_token }}"
                     "{% if add_generation_prompt %}>{% endif %}",
                     {.messages = messages, .bos_token = "<s>", .eos_token = "</s>", .add_generation_prompt = true})
                  .value_or(""),
              "<s>user:a;assistant:b;</s>>");
    EXPECT_EQ(render("{{ messages[0].content[0].text }}", {.messages = messages, .typed_content = true}).value_or(""), "a");
}

TEST(Jinja, ValuesThatAreNoTextHaveAForm) {
    EXPECT_EQ(render("{{ 1 }} {{ true }} {{ none }} {{ 1.5 }} {{ [1, 'a'] }} {{ missing }}").value_or("failed"),
              "1 True  1.5 [1, 'a'] ");
}

TEST(Jinja, DateIsFixed) {
    EXPECT_EQ(render("{{ strftime_now('%d %b %Y %A %j') }}").value_or(""), "26 Jul 2024 Friday 208");
    EXPECT_EQ(render("{{ strftime_now('') }}").value_or("failed"), "");
    EXPECT_EQ(render("{{ strftime_now('%100000d') }}").value_or("failed"), "");
}

TEST(Jinja, RangeWorksAndIsBounded) {
    EXPECT_EQ(render("{% for i in range(3) %}{{ i }}{% endfor %}{{ range(1, 3) }}{{ range(5, 0, -2) }}").value_or(""),
              "012[1, 2][5, 3, 1]");
    for (const std::string_view source :
         {"{% for i in range(1000000000) %}{% endfor %}", "{{ range(0, 1, 0) }}", "{{ range(0, -9223372036854775807, -1) }}"}) {
        EXPECT_TRUE(error_of(render(source)).contains("calls range")) << error_of(render(source));
    }
}

TEST(Jinja, BadTemplatesAreErrors) {
    for (const std::string_view source :
         {"{% for %}", "{% if x %}", "{{ }}", "{{ 1 + }}", "{% endif %}", "{% nonsense %}", "{{ x | }}"}) {
        const auto parsed = JinjaTemplate::parse(source);
        EXPECT_FALSE(parsed.has_value()) << source;
    }
    for (const std::string_view source :
         {"{{ missing.field }}", "{{ missing() }}", "{{ 'a' | missing }}", "{{ 'a' - 1 }}",
          "{{ raise_exception('no such role') }}", "{{ [1][7] }}", "{% break %}", "{{ 'abc'[9:12] }}", "{{ 1.x() }}"}) {
        EXPECT_FALSE(render(source).has_value()) << source;
    }
    const std::string raised = error_of(render("line\n{{ raise_exception('no such role') }}"));
    EXPECT_TRUE(raised.contains("no such role at row 2")) << raised;
    EXPECT_FALSE(raised.contains('\n'));
}

TEST(Jinja, EndlessTemplatesRunOutOfBudget) {
    EXPECT_TRUE(error_of(render("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}")).contains("recurses too deeply"));
    const std::string loops = "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}";
    EXPECT_TRUE(error_of(render(loops)).contains("too many steps"));
    const std::string big = "{% set s = 'x' * 100000 %}{% for a in range(9999) %}{{ s }}{% endfor %}";
    EXPECT_TRUE(error_of(render(big)).contains("too much text"));
}

TEST(Jinja, MacrosMayNestAsToolTemplatesDo) {
    const std::string source =
        "{% macro show(v) %}{% if v is mapping %}{% for k, w in v.items() %}{% if w is not none %}{{ k }}({{ show(w) }}){% endif "
        "%}"
        "{% endfor %}{% else %}{{ v }}{% endif %}{% endmacro %}{{ show({'a': {'b': {'c': {'d': {'e': {'f': 1}}}}}}) }}";
    EXPECT_EQ(render(source).value_or("failed"), "a(b(c(d(e(f(1))))))");
}

TEST(Jinja, TemplatesSeeThinkingAndItsSwitches) {
    auto jinja = JinjaTemplate::parse(
        "{% for m in messages %}[{{ m.reasoning_content or '-' }}{{ m.thinking or '-' }}]{% endfor %}"
        "{% if enable_thinking is defined %}{{ enable_thinking }} {{ thinking }}{% endif %}{{ reasoning_effort or '' }}");
    ASSERT_TRUE(jinja.has_value());
    const std::array<JinjaMessage, 2> messages = {
        {{.role = "user", .content = "a"}, {.role = "assistant", .content = "b", .thinking = "hm"}}};
    EXPECT_EQ(jinja->render({.messages = messages}).value_or("failed"), "[--][hmhm]");
    EXPECT_EQ(jinja->render({.messages = messages, .thinks = true}).value_or("failed"), "[--][hmhm]True True");
    EXPECT_EQ(jinja->render({.messages = messages, .thinks = false}).value_or("failed"), "[--][hmhm]False Falselow");
}

TEST(Jinja, ThreadsRenderTheSameTemplate) {
    auto jinja = JinjaTemplate::parse(
        "{% macro f(x) %}[{{ x | trim }}]{% endmacro %}{% set ns = namespace(n=0) %}"
        "{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ f(m.content) }}{{ ns.n }}{% endfor %}");
    ASSERT_TRUE(jinja.has_value());
    std::array<std::string, 3> results;
    {
        std::vector<std::jthread> threads;
        for (std::string &result : results) {
            threads.emplace_back([&] {
                const std::array<JinjaMessage, 2> messages = {{{"user", " a "}, {"user", "b"}}};
                for (int i = 0; i < 20; ++i) {
                    result = jinja->render({.messages = messages}).value_or("failed");
                }
            });
        }
    }
    for (const std::string &result : results) {
        EXPECT_EQ(result, "[a]1[b]2");
    }
}

}  // namespace
}  // namespace engram
