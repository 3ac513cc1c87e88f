// Styles found out from templates in the shapes of well-known families, in our own words.
#include "chat/answer_style.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "chat/answer_reader.h"
#include "chat/conversation.h"

namespace engram {
namespace {

std::string chat_ml(std::string_view calls) {
    return std::string(
               "{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{%- for m in messages %}{{- '<|im_start|>' + m.role + "
               "'\\n' + m.content }}{%- for call in m.tool_calls %}") +
           std::string(calls) +
           "{%- endfor %}{{- '<|im_end|>\\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- "
           "endif %}";
}

AnswerStyle style(std::string_view jinja) {
    auto chat = ChatTemplate::create(jinja, {.bos = "<s>", .eos = "</s>"});
    if (!chat) {
        ADD_FAILURE() << chat.error().message;
        return {};
    }
    return (*chat)->answer_style();
}

TEST(AnswerStyle, Hermes) {
    const AnswerStyle found =
        style(chat_ml("{{- '\\n<tool_call>\\n{\"name\": \"' + call.function.name + '\", \"arguments\": ' + "
                      "(call.function.arguments | tojson) + '}\\n</tool_call>' }}"));
    AnswerStyle expected = AnswerStyle::common();
    expected.think_open = expected.think_close = "";
    EXPECT_EQ(found, expected);
    const AnswerStyle close = style(chat_ml("{{- '<tool_call>' + (call.function | tojson) + '</tool_call>' }}"));
    EXPECT_EQ(close.open, "<tool_call>");
    EXPECT_EQ(close.close, "</tool_call>");
    EXPECT_EQ(close.between, "");
}

TEST(AnswerStyle, ThinkingIsInTheTemplatesWords) {
    const std::string jinja = chat_ml("{{- '<tool_call>' + (call.function | tojson) + '</tool_call>' }}") +
                              "{%- if false %}{{- '</think>' }}{%- endif %}";
    const AnswerStyle found = style(jinja);
    EXPECT_EQ(found.think_open, "<think>");
    EXPECT_TRUE(found.opens_thinking("<|im_start|>assistant\n<think>\n"));
    EXPECT_FALSE(found.opens_thinking("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
    EXPECT_FALSE(AnswerStyle{}.opens_thinking("<think>"));
    EXPECT_EQ(found.thinking_marks(), (ThinkingMarks{.open = "<think>", .close = "</think>", .ending = "\n</think>\n\n"}));
    EXPECT_EQ(AnswerStyle{}.thinking_marks(), std::nullopt);
    EXPECT_EQ(style(chat_ml("") + "{%- if false %}[THINK][/THINK]{%- endif %}").think_close, "[/THINK]");
}

TEST(AnswerStyle, QwenCoderAndGlm) {
    const AnswerStyle coder = style(chat_ml(
        "{{- '\\n<tool_call>\\n<function=' + call.function.name + '>\\n' }}{%- for k, v in call.function.arguments.items() %}"
        "{{- '<parameter=' + k + '>\\n' + v + '\\n</parameter>\\n' }}{%- endfor %}{{- '</function>\\n</tool_call>' }}"));
    EXPECT_EQ(coder.form, CallForm::function_xml);
    EXPECT_EQ(coder.close, "\n</tool_call>");
    const AnswerStyle glm = style(chat_ml(
        "{{- '\\n<tool_call>' + call.function.name }}{%- for k, v in call.function.arguments.items() %}"
        "{{- '\\n<arg_key>' + k + '</arg_key>\\n<arg_value>' + v + '</arg_value>' }}{%- endfor %}{{- '\\n</tool_call>' }}"));
    EXPECT_EQ(glm.form, CallForm::arg_xml);
}

TEST(AnswerStyle, Llama3) {
    const AnswerStyle found = style(
        "{%- for m in messages %}{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' }}{%- if m.tool_calls %}{%- if "
        "m.tool_calls | length != 1 %}"
        "{{- raise_exception('one call only') }}{%- endif %}{%- set call = m.tool_calls[0].function %}{{- '{\"name\": \"' + "
        "call.name + '\", \"parameters\": ' + (call.arguments | tojson) + '}' }}"
        "{%- else %}{{- m.content }}{%- endif %}{{- '<|eot_id|>' }}{%- endfor %}");
    EXPECT_EQ(found, (AnswerStyle{.arguments = "parameters", .several = false}));
}

TEST(AnswerStyle, Mistral) {
    const AnswerStyle list = style(
        "{%- for m in messages %}{%- if m.role == 'user' %}{{- '[INST]' + m.content + '[/INST]' }}{%- elif m.tool_calls %}{{- "
        "'[TOOL_CALLS][' }}{%- for call in m.tool_calls %}"
        "{{- (call.function | tojson)[:-1] + ', \"id\": \"' + call.id + '\"}' }}{{- ', ' if not loop.last else ']' + eos_token "
        "}}{%- endfor %}{%- else %}{{- m.content + eos_token }}{%- endif %}{%- endfor %}");
    EXPECT_EQ(list, (AnswerStyle{.calls_open = "[TOOL_CALLS][", .calls_close = "]", .between = ", "}));
    const AnswerStyle named = style(
        "{%- for m in messages %}{%- if m.role == 'user' %}{{- '[INST]' + m.content + '[/INST]' }}{%- else %}{{- m.content }}{%- "
        "for call in m.tool_calls %}"
        "{{- '[TOOL_CALLS]' + call.function.name + '[ARGS]' + (call.function.arguments | tojson) }}{%- endfor %}{{- eos_token "
        "}}{%- endif %}{%- endfor %}");
    EXPECT_EQ(named, (AnswerStyle{.form = CallForm::named_json, .open = "[TOOL_CALLS]", .separator = "[ARGS]"}));
}

TEST(AnswerStyle, DeepSeek) {
    const std::string_view begin =
        "{%- for m in messages %}{{- '<｜' + m.role + '｜>' + m.content }}{%- if m.tool_calls %}{{- '<｜tool▁calls▁begin｜>' "
        "}}{%- for call in m.tool_calls %}";
    const std::string_view end =
        "{%- endfor %}{{- '<｜tool▁calls▁end｜>' }}{%- endif %}{{- '<｜end▁of▁sentence｜>' }}{%- endfor %}";
    const AnswerStyle plain = style(std::string(begin) +
                                    "{{- '<｜tool▁call▁begin｜>' + call.function.name + '<｜tool▁sep｜>' + "
                                    "(call.function.arguments | tojson) + '<｜tool▁call▁end｜>' }}" +
                                    std::string(end));
    EXPECT_EQ(plain, (AnswerStyle{.form = CallForm::named_json,
                                  .calls_open = "<｜tool▁calls▁begin｜>",
                                  .calls_close = "<｜tool▁calls▁end｜>",
                                  .open = "<｜tool▁call▁begin｜>",
                                  .close = "<｜tool▁call▁end｜>",
                                  .separator = "<｜tool▁sep｜>"}));
    // Where the template can't render calls, its words say what they look like.
    const AnswerStyle told = style(
        "{%- for m in messages %}{{- m.content }}{%- if m.calls %}{{- "
        "'<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>' + m.name + '\\n```json\\n' }}{%- endif %}{%- endfor "
        "%}");
    EXPECT_EQ(told.open, "<｜tool▁call▁begin｜>function<｜tool▁sep｜>");
    EXPECT_EQ(told.separator, "\n```json\n");
}

TEST(AnswerStyle, GemmaAndHarmony) {
    const AnswerStyle fence = style(
        "{%- for m in messages %}{{- '<start_of_turn>' + m.role + '\\n' + m.content }}{%- for call in m.tool_calls %}{{- "
        "'```tool_code\\n{\"name\": \"' + call.function.name + '\", \"parameters\": ' + (call.function.arguments | tojson) + "
        "'}\\n```\\n' }}{%- endfor %}{{- '<end_of_turn>\\n' }}{%- endfor %}");
    EXPECT_EQ(fence.open, "```tool_code\n");
    EXPECT_EQ(fence.close, "\n```\n");
    EXPECT_EQ(fence.arguments, "parameters");
    const AnswerStyle harmony = style(
        "{%- for m in messages %}{{- '<|start|>' + m.role }}{%- if m.tool_calls %}{{- ' to=functions.' + "
        "m.tool_calls[0].function.name + '<|channel|>commentary json<|message|>' + (m.tool_calls[0].function.arguments | tojson) "
        "+ '<|call|>' }}{%- else %}{{- '<|channel|>final<|message|>' + m.content + '<|end|>' }}{%- endif %}{%- endfor %}");
    EXPECT_EQ(harmony.form, CallForm::harmony);
    EXPECT_TRUE(harmony.opens_thinking("<|start|>assistant<|channel|>analysis<|message|>"));
    ASSERT_TRUE(harmony.thinking_marks());
    EXPECT_EQ(harmony.thinking_marks()->ending, "<|end|><|start|>assistant<|channel|>final<|message|>");
}

TEST(AnswerStyle, ATemplateWithoutCallsHasTheCommonForm) {
    AnswerStyle expected = AnswerStyle::common();
    expected.think_open = expected.think_close = "";
    EXPECT_EQ(style(""), expected);
}

TEST(AnswerStyle, MarksOfControlTokensAreVisible) {
    using Marks = std::vector<std::string>;
    EXPECT_EQ(AnswerStyle::common().visible_marks(),
              (Marks{"<tool_call>", "<|python_tag|>", "[TOOL_CALLS]", "</tool_call>", "<think>", "</think>"}));
    EXPECT_EQ((AnswerStyle{.form = CallForm::named_json, .open = "[TOOL_CALLS]", .separator = "[ARGS]"}).visible_marks(),
              (Marks{"[TOOL_CALLS]", "[ARGS]"}));
    const AnswerStyle deep{
        .form = CallForm::named_json, .open = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>", .close = "\n```<｜tool▁call▁end｜>"};
    EXPECT_EQ(deep.visible_marks(), (Marks{"<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"}));
    EXPECT_TRUE(std::ranges::contains((AnswerStyle{.form = CallForm::harmony}).visible_marks(), std::string("<|channel|>")));
}

TEST(AnswerStyle, GrammarsOfCallsNeedTools) {
    EXPECT_EQ(call_grammar(AnswerStyle::common(), {}, true, false).error().code, ErrorCode::invalid_argument);
    const std::vector<ChatTool> bad{
        {.name = "f", .description = {}, .parameters = R"({"type":"object","properties":{"a":{"type":"text"}}})"}};
    EXPECT_EQ(call_grammar(AnswerStyle::common(), bad, true, false).error().message,
              "the parameters of the tool \"f\": the schema at #/properties/a names a type \"text\", which JSON hasn't");
    EXPECT_EQ(format_grammar(AnswerStyle::common(), {}, false).value(), "");
}

}  // namespace
}  // namespace engram
