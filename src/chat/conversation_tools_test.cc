// Tools, tool calls and conversations that happened elsewhere, through templates.
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "chat/answer_reader.h"
#include "chat/conversation.h"
#include "chat/tool_call.h"

namespace engram {
namespace {

using Messages = std::vector<TemplateMessage>;

constexpr std::string_view kTools =
    R"([{"type":"function","function":{"name":"zeta","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"alpha"}}])";
constexpr std::string_view kCalls = R"([{"type":"function","function":{"name":"zeta","arguments":{"b":1,"a":"x"}}}])";

// In the shapes of well-known families, in our own words.
constexpr std::string_view kQwen =
    "{%- if tools %}{{- '<|im_start|>system\\n' }}{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- "
    "endif %}"
    "{%- for tool in tools %}{{- tool | tojson + '\\n' }}{%- endfor %}{{- '<|im_end|>\\n' }}"
    "{%- elif messages[0].role == 'system' %}{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}{%- endif %}"
    "{%- for m in messages %}{%- if m.role == 'assistant' %}{{- '<|im_start|>assistant\\n' + m.content }}"
    "{%- for call in m.tool_calls %}{{- '<tool_call>\\n{\"name\": \"' + call.function.name + '\", \"arguments\": ' }}"
    "{{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}{%- endfor %}{{- '<|im_end|>\\n' }}"
    "{%- elif m.role == 'tool' %}{{- '<|im_start|>user\\n<tool_response>\\n' + m.content + '\\n</tool_response><|im_end|>\\n' }}"
    "{%- elif m.role != 'system' or not loop.first %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- "
    "endif "
    "%}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";
constexpr std::string_view kMistral =
    "{%- if tools is defined and tools is not none %}{{- '[AVAILABLE_TOOLS]' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}{%- "
    "endif "
    "%}"
    "{%- for m in messages %}{%- if m.role == 'user' %}{{- '[INST]' + m.content + '[/INST]' }}"
    "{%- elif m.tool_calls is defined %}{{- '[TOOL_CALLS][' }}{%- for call in m.tool_calls %}"
    "{%- if not call.id is defined or call.id | length != 9 %}{{- raise_exception('ids of nine characters') }}{%- endif %}"
    "{{- call.function | tojson }}{{- ', ' + call.id + ']' }}{%- endfor %}{{- eos_token }}"
    "{%- elif m.role == 'tool' %}{%- if not m.tool_call_id is defined or m.tool_call_id | length != 9 %}"
    "{{- raise_exception('ids of nine characters') }}{%- endif %}{{- '[TOOL_RESULTS]' + m.content + ' ' + m.tool_call_id + "
    "'[/TOOL_RESULTS]' }}"
    "{%- elif m.role == 'assistant' %}{{- ' ' + m.content + eos_token }}{%- else %}{{- raise_exception('no such role') }}{%- "
    "endif "
    "%}{%- endfor %}";
constexpr std::string_view kGemma =
    "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + "
    "m.content | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif "
    "%}";
constexpr std::string_view kNoEndMarker =
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|assistant|>\\n' }}{% endif %}";
constexpr std::string_view kPhi =
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}";
constexpr std::string_view kClosesAllButTheLast =
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% if not loop.last or add_generation_prompt %}{{ '<|end|>' "
    "}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

std::unique_ptr<ChatTemplate> make(std::string_view jinja, std::string_view eos = "</s>") {
    auto result = ChatTemplate::create(jinja, {.bos = "<s>", .eos = eos});
    if (!result) ADD_FAILURE() << result.error().message;
    return result ? std::move(*result) : nullptr;
}

std::string text_of(const Result<std::string> &result) { return result ? *result : "error: " + result.error().message; }

TEST(ChatTools, AreRenderedInTheirOrderWithArgumentsAsObjects) {
    const auto chat = make(kQwen, "<|im_end|>");
    const Messages messages = {{"system", "S"}, {"user", "Q"}, {"assistant", "", std::string(kCalls)}, {"tool", "{\"r\": 2}"}};
    EXPECT_EQ(
        text_of(chat->render(messages, true, kTools)),
        "<|im_start|>system\nS\n\n"
        "{\"type\": \"function\", \"function\": {\"name\": \"zeta\", \"parameters\": {\"type\": \"object\", \"properties\": "
        "{}}}}\n"
        "{\"type\": \"function\", \"function\": {\"name\": \"alpha\"}}\n<|im_end|>\n"
        "<|im_start|>user\nQ<|im_end|>\n"
        "<|im_start|>assistant\n<tool_call>\n{\"name\": \"zeta\", \"arguments\": {\"b\": 1, \"a\": "
        "\"x\"}}\n</tool_call><|im_end|>\n"
        "<|im_start|>user\n<tool_response>\n{\"r\": 2}\n</tool_response><|im_end|>\n<|im_start|>assistant\n");
    // Arguments as a text, as the wire has them, are the same.
    Messages wire = messages;
    wire[2].tool_calls = R"([{"id":"x","type":"function","function":{"name":"zeta","arguments":"{\"b\": 1, \"a\": \"x\"}"}}])";
    EXPECT_EQ(text_of(chat->render(wire, true, kTools)), text_of(chat->render(messages, true, kTools)));
}

TEST(ChatTools, CallsAndResultsShareIds) {
    const auto chat = make(kMistral);
    const std::string two = R"([{"function":{"name":"a","arguments":{}}},{"function":{"name":"b","arguments":{}}}])";
    const Messages messages = {
        {"user", "Q"}, {"assistant", "", two}, {"tool", "1"}, {"tool", "2"}, {"assistant", "", std::string(kCalls)},
        {"tool", "3"}};
    const std::string text = text_of(chat->render(messages, true, kTools));
    EXPECT_TRUE(text.contains("[TOOL_RESULTS]1 call00000[/TOOL_RESULTS][TOOL_RESULTS]2 call00001[/TOOL_RESULTS]")) << text;
    EXPECT_TRUE(text.ends_with("call00002]</s>[TOOL_RESULTS]3 call00002[/TOOL_RESULTS]")) << text;
    // The same ids after a call that was sampled.
    EXPECT_EQ(text_of(chat->next_turn(std::span(messages).first(5), std::span(messages).subspan(5), true, kTools)),
              "[TOOL_RESULTS]3 call00002[/TOOL_RESULTS]");
}

TEST(ChatTools, TemplatesThatKnowNoneGetThemAsText) {
    for (const std::string_view jinja : {std::string_view(), kGemma}) {
        const auto chat = make(jinja);
        const Messages messages = {
            {"system", "Be brief."}, {"user", "Q"}, {"assistant", "Wait.", std::string(kCalls)}, {"tool", "21"}, {"tool", "22"},
            {"assistant", "A"},      {"user", "R"}};
        const std::string text = text_of(chat->render(messages, true, kTools));
        const std::string call = chat->answer_style().calls_open + chat->answer_style().open + "{";
        std::size_t at = 0;
        for (const std::string &part : std::initializer_list<std::string>{
                 "# Tools", "zeta", "</tools>", "Be brief.", "Q", "Wait.\n" + call.substr(0, 4), "zeta", "21", "22", "A", "R"}) {
            at = text.find(part, at);
            ASSERT_NE(at, std::string::npos) << part << " in " << text;
        }
        // A turn appends to what was read.
        const auto all = std::span(messages);
        const std::string before = text_of(chat->render(all.first(6), false, kTools));
        const std::string turn = text_of(chat->next_turn(all.first(6), all.subspan(6), false, kTools));
        EXPECT_TRUE(text.ends_with(turn)) << turn;
        EXPECT_TRUE(before.starts_with(text.substr(0, text.size() - turn.size())));
        // And the calls that are asked for are read.
        const ParsedAnswer answer = read_answer(chat->answer_style(), *parse_tools(kTools), false,
                                                "Wait.\n" + call + "\"name\": \"zeta\", \"" + chat->answer_style().arguments +
                                                    "\": {}}" + chat->answer_style().close);
        ASSERT_EQ(answer.calls.size(), 1U);
        EXPECT_EQ(answer.calls[0].name, "zeta");
    }
}

TEST(ChatTools, ListsThatAreNoneAreErrors) {
    const auto chat = make(kQwen);
    EXPECT_EQ(chat->render({{{"user", "Q"}}}, true, "[1]").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(chat->render({{{"user", "Q"}, {"assistant", "", "{"}}}, true).error().code, ErrorCode::invalid_argument);
}

struct Family {
    const char *name;
    std::string_view jinja, eos, end_of_turn;
    std::size_t step = 1;  // 2: the template puts something after a last question that it doesn't put there once it is answered
};

class ScriptedConversation : public testing::TestWithParam<Family> {};

INSTANTIATE_TEST_SUITE_P(
    Families, ScriptedConversation,
    testing::Values(Family{"chatml", "", "<|im_end|>", "<|im_end|>"}, Family{"qwen", kQwen, "<|im_end|>", "<|im_end|>"},
                    Family{"mistral", kMistral, "</s>", "</s>"}, Family{"gemma", kGemma, "<eos>", "<end_of_turn>"},
                    Family{"phi", kPhi, "<|endoftext|>", "<|end|>", 2}, Family{"no_end_marker", kNoEndMarker, "</s>", ""},
                    Family{"closes_all_but_the_last", kClosesAllButTheLast, "</s>", "", 2}),
    [](const auto &family) { return std::string(family.param.name); });

// However a conversation is cut into pieces that are read one after the other, what was read in the end is the template's
// rendering.
TEST_P(ScriptedConversation, ReadInPiecesItIsTheTemplatesRendering) {
    const auto chat = make(GetParam().jinja, GetParam().eos);
    const Messages all = {{"user", "One?"},   {"assistant", "First."}, {"user", "Two?"}, {"assistant", "Second <b>."},
                          {"user", "Three?"}, {"assistant", "Third."}};
    const Messages question = {{"user", "Four?"}};
    Messages whole = all;
    whole.push_back(question.front());
    const std::string expected = text_of(chat->render(whole, true));
    const std::size_t step = GetParam().step;
    for (std::size_t first = step; first <= all.size(); first += step) {
        for (std::size_t second = first; second <= all.size(); second += step) {
            std::string read;
            bool closed = false;
            std::size_t done = 0;
            for (const std::size_t end : {first, second, all.size()}) {
                if (end == done) continue;
                const auto piece = chat->scripted(std::span(all).first(done), std::span(all).subspan(done, end - done), closed);
                ASSERT_TRUE(piece.has_value()) << piece.error().message;
                EXPECT_EQ(piece->end_marker, end % 2 == 0 ? GetParam().end_of_turn : "");
                read += piece->text + piece->end_marker;
                closed = !piece->end_marker.empty();
                done = end;
            }
            EXPECT_EQ(read + text_of(chat->next_turn(all, question, closed)), expected) << first << " " << second;
        }
    }
}

TEST(ChatTools, ScriptedCallsAreReadAsTheTemplateWritesThem) {
    for (const std::string_view jinja : {kQwen, kMistral}) {
        const auto chat = make(jinja);
        const Messages told = {{"user", "Q"}, {"assistant", "", std::string(kCalls)}};
        const Messages result = {{"tool", "42"}};
        const auto piece = chat->scripted({}, told, false, kTools);
        ASSERT_TRUE(piece.has_value()) << piece.error().message;
        EXPECT_FALSE(piece->end_marker.empty());
        Messages whole = told;
        whole.push_back(result.front());
        EXPECT_EQ(piece->text + piece->end_marker + text_of(chat->next_turn(told, result, true, kTools)),
                  text_of(chat->render(whole, true, kTools)));
    }
}

}  // namespace
}  // namespace engram
