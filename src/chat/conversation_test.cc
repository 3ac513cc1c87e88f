#include "chat/conversation.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace engram {
namespace {

using Messages = std::vector<TemplateMessage>;

// Templates in the shapes of well-known families, in our own words.
constexpr std::string_view kGemma =
    "{{ bos_token }}{%- set ns = namespace(lead='', rest=messages) -%}"
    "{%- if messages[0].role == 'system' -%}{%- set ns.lead = messages[0].content | trim + '\\n\\n' -%}"
    "{%- set ns.rest = messages[1:] -%}{%- endif -%}"
    "{%- for m in ns.rest -%}"
    "{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('roles must alternate') }}{%- endif -%}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + (ns.lead if loop.first else '') }}"
    "{{ m.content | trim }}{{ '<end_of_turn>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}";
constexpr std::string_view kOldGemma =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif "
    "%}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content | trim + '<end_of_turn>\\n' }}{% "
    "endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}";
// Drops the thinking of answers before the last question and puts an empty one into those after it.
constexpr std::string_view kThinking =
    "{%- set ns = namespace(last=0) -%}"
    "{%- for m in messages -%}{%- if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}"
    "{%- for m in messages -%}{%- if m.role == 'assistant' -%}{%- set said = m.content.split('</think>')[-1].lstrip('\\n') -%}"
    "{{ '<|im_start|>assistant\\n' + ('<think>\\n\\n</think>\\n\\n' if loop.index0 > ns.last else '') + said + '<|im_end|>\\n' }}"
    "{%- else -%}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n<think>\\n' }}{%- endif -%}";
constexpr std::string_view kLlama3 =
    "{{- bos_token }}{%- set today = strftime_now('%d %b %Y') %}"
    "{%- if messages[0].role == 'system' %}{%- set lead = messages[0].content | trim %}{%- set rest = messages[1:] %}"
    "{%- else %}{%- set lead = '' %}{%- set rest = messages %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday: ' + today + '\\n\\n' + lead + '<|eot_id|>' }}"
    "{%- for m in rest %}{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}{%- "
    "endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}";
constexpr std::string_view kMistral =
    "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user and assistant') }}{% endif %}"
    "{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ m.content + eos_token }}{% endif %}{% endfor "
    "%}";
// Puts the system text into the last question, wherever that is.
constexpr std::string_view kMovingSystem =
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set lead = messages[0].content + '\\n\\n' %}{% set rest = "
    "messages[1:] %}"
    "{% else %}{% set lead = '' %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}{% if m.role == 'user' %}{{ '[INST] ' + (lead if loop.last else '') + m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}";
constexpr std::string_view kPhi =
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}";
constexpr std::string_view kDeepSeek =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}"
    "{{ '<\uFF5CUser\uFF5C>' + m.content }}{% else %}{{ '<\uFF5CAssistant\uFF5C>' + m.content.split('</think>')[-1] + eos_token "
    "}}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<\uFF5CAssistant\uFF5C><think>\\n' }}{% endif %}";
constexpr std::string_view kNoEndMarker =
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|assistant|>\\n' }}{% endif %}";
constexpr std::string_view kClosesAllButTheLast =
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% if not loop.last or add_generation_prompt %}{{ '<|end|>' "
    "}}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

std::unique_ptr<ChatTemplate> make(std::string_view jinja, std::string_view bos = "<s>", std::string_view eos = "</s>") {
    auto result = ChatTemplate::create(jinja, {.bos = bos, .eos = eos});
    if (!result.has_value()) {
        ADD_FAILURE() << result.error().message;
        return nullptr;
    }
    return std::move(*result);
}

std::string text_of(const Result<std::string> &result) {
    return result.has_value() ? *result : "error: " + result.error().message;
}

std::string error_of(const Result<std::string> &result) {
    return result.has_value() ? "no error: " + *result : result.error().message;
}

// A conversation as an agent has it: what the model has read grows by next_turn and by what it says.
class Reader {
  public:
    Reader(const ChatTemplate &chat, std::string_view end_of_turn) : chat_(chat), end_of_turn_(end_of_turn) {}

    void turn(const Messages &added, std::string_view answer, bool closed = true) {
        read += text_of(chat_.next_turn(history, added, closed_));
        read += answer;
        read += closed ? end_of_turn_ : std::string_view();
        closed_ = closed;
        history.insert(history.end(), added.begin(), added.end());
        history.emplace_back("assistant", std::string(answer));
    }
    std::string prompt(const Messages &added) const { return read + text_of(chat_.next_turn(history, added, closed_)); }
    std::string rendered(const Messages &added) const {
        Messages all = history;
        all.insert(all.end(), added.begin(), added.end());
        return text_of(chat_.render(all, true));
    }

    Messages history;
    std::string read;

  private:
    const ChatTemplate &chat_;
    std::string_view end_of_turn_;
    bool closed_ = false;
};

struct Family {
    const char *name;
    std::string_view jinja, eos, end_of_turn;
};

class HistoryPreserving : public testing::TestWithParam<Family> {};

INSTANTIATE_TEST_SUITE_P(Families, HistoryPreserving,
                         testing::Values(Family{"chatml", "", "<|im_end|>", "<|im_end|>"},
                                         Family{"gemma", kGemma, "<eos>", "<end_of_turn>"},
                                         Family{"old_gemma", kOldGemma, "<eos>", "<end_of_turn>"},
                                         Family{"llama3", kLlama3, "<|end_of_text|>", "<|eot_id|>"},
                                         Family{"mistral", kMistral, "</s>", "</s>"},
                                         Family{"phi", kPhi, "<|endoftext|>", "<|end|>"},
                                         Family{"closes_all_but_the_last", kClosesAllButTheLast, "</s>", "<|end|>"}),
                         [](const auto &family) { return std::string(family.param.name); });

TEST_P(HistoryPreserving, AppendedTurnsAreTheTemplatesOwnRendering) {
    const auto chat = make(GetParam().jinja, "<s>", GetParam().eos);
    for (const bool closed : {true, false}) {
        Reader reader(*chat, GetParam().end_of_turn);
        reader.turn({{"system", "Be brief."}, {"user", "One?"}}, "First.", closed);
        reader.turn({{"user", "Two?"}}, "Second <b>.", closed);
        reader.turn({{"user", "Three {{ messages }} <|im_end|> {% if %} </s>?"}}, "{# Third #} \u20AC\u00E9", closed);
        reader.turn({{"user", "Four?"}}, "4", !closed);
        EXPECT_EQ(reader.prompt({{"user", "Five?"}}), reader.rendered({{"user", "Five?"}})) << "closed: " << closed;
        EXPECT_TRUE(reader.read.contains("Three {{ messages }} <|im_end|> {% if %} </s>?"));
        EXPECT_EQ(reader.read.find("Be brief."), reader.read.rfind("Be brief."));
        EXPECT_FALSE(reader.read.starts_with("<s>"));
    }
}

TEST_P(HistoryPreserving, RemindersBetweenTurnsStayWhereTheyAre) {
    const auto chat = make(GetParam().jinja, "<s>", GetParam().eos);
    Reader reader(*chat, GetParam().end_of_turn);
    reader.turn({{"system", "Be brief."}, {"user", "One?"}}, "First.");
    const std::string before = reader.read;
    reader.turn({{"system", "The date changed."}, {"user", "Two?"}}, "Second.");
    EXPECT_TRUE(reader.read.starts_with(before));
    const std::string after = reader.read.substr(before.size());
    EXPECT_LT(after.find("The date changed."), after.find("Two?")) << after;
    EXPECT_EQ(reader.prompt({{"user", "Three?"}}), reader.rendered({{"user", "Three?"}}));
}

TEST_P(HistoryPreserving, EmptyTextsAreFine) {
    const auto chat = make(GetParam().jinja, "<s>", GetParam().eos);
    for (const bool closed : {true, false}) {
        Reader reader(*chat, GetParam().end_of_turn);
        reader.turn({{"system", ""}, {"user", ""}}, "", closed);
        reader.turn({{"user", ""}}, "", closed);
        EXPECT_EQ(reader.prompt({{"user", "x"}}), reader.rendered({{"user", "x"}}));
    }
}

TEST_P(HistoryPreserving, AnswersThatAreCutKeepTheirSpace) {
    const auto chat = make(GetParam().jinja, "<s>", GetParam().eos);
    Reader reader(*chat, GetParam().end_of_turn);
    reader.turn({{"user", "One?"}}, " cut off in ", false);
    EXPECT_TRUE(reader.prompt({{"user", "Two?"}}).contains(" cut off in " + std::string(GetParam().end_of_turn)));
}

TEST(ChatTemplate, BuiltInIsChatMl) {
    const auto chat = make("", "", "<|im_end|>");
    EXPECT_EQ(text_of(chat->render({{{"user", "hi"}}}, true)), "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
    EXPECT_EQ(text_of(chat->next_turn({}, {{{"user", "hi"}}}, false)), text_of(chat->render({{{"user", "hi"}}}, true)));
    EXPECT_EQ(text_of(chat->render({}, false)), "");
}

TEST(ChatTemplate, SystemTextGoesIntoTheFirstQuestionWhereThereIsNoSystemRole) {
    const Messages messages = {
        {"system", "Be brief."}, {"system", "And kind."}, {"user", "One?"}, {"assistant", "A"}, {"user", "Two?"}};
    EXPECT_EQ(text_of(make(kMistral)->render(messages, true)),
              "[INST] Be brief.\n\nAnd kind.\n\nOne? [/INST]A</s>[INST] Two? [/INST]");
    EXPECT_EQ(text_of(make(kMovingSystem)->render(messages, true)),
              "[INST] Be brief.\n\nAnd kind.\n\nOne?[/INST] A </s>[INST] Two?[/INST]");
    EXPECT_EQ(text_of(make(kMistral)->render({{{"system", "Be brief."}}}, true)), "[INST] Be brief. [/INST]");
    EXPECT_EQ(text_of(make(kMistral)->render({{{"user", "a"}, {"assistant", "b"}, {"system", "now"}, {"user", "c"}}}, true)),
              "[INST] a [/INST]b</s>[INST] <system-reminder>\nnow\n</system-reminder>\n\nc [/INST]");
}

TEST(ChatTemplate, OneSystemMessageIsLeftToATemplateThatTakesIt) {
    const Messages messages = {{"system", " Be brief. "}, {"system", "And kind."}, {"user", "One?"}};
    EXPECT_EQ(text_of(make(kGemma)->render(messages, true)),
              "<start_of_turn>user\nBe brief. \n\nAnd kind.\n\nOne?<end_of_turn>\n<start_of_turn>model\n");
    EXPECT_EQ(text_of(make(kPhi)->render(messages, true)),
              "<|system|>\n Be brief. <|end|>\n<|system|>\nAnd kind.<|end|>\n<|user|>\nOne?<|end|>\n"
              "<|assistant|>\n");
}

TEST(ChatTemplate, DateNeverChanges) {
    const auto chat = make(kLlama3);
    EXPECT_TRUE(text_of(chat->render({{{"user", "hi"}}}, true)).contains("Today: 26 Jul 2024\n"));
}

TEST(ChatTemplate, ThinkingThatTheTemplateDropsStaysRead) {
    const auto chat = make(kThinking, "", "<|im_end|>");
    Reader reader(*chat, "<|im_end|>");
    reader.turn({{"user", "One?"}}, "Hmm.\n</think>\n\nFirst.");
    reader.turn({{"user", "Two?"}}, "Well.\n</think>\n\nSecond.");
    EXPECT_EQ(reader.prompt({{"user", "Three?"}}),
              "<|im_start|>user\nOne?<|im_end|>\n"
              "<|im_start|>assistant\n<think>\nHmm.\n</think>\n\nFirst.<|im_end|>\n"
              "<|im_start|>user\nTwo?<|im_end|>\n"
              "<|im_start|>assistant\n<think>\nWell.\n</think>\n\nSecond.<|im_end|>\n"
              "<|im_start|>user\nThree?<|im_end|>\n<|im_start|>assistant\n<think>\n");
    EXPECT_FALSE(reader.rendered({{"user", "Three?"}}).contains("Hmm."));
    // A tool's result keeps the answer before it the last one; what follows is the same.
    EXPECT_EQ(text_of(chat->next_turn(reader.history, {{{"tool", "42"}}}, true)),
              "\n<|im_start|>tool\n42<|im_end|>\n<|im_start|>assistant\n<think>\n");
}

TEST(ChatTemplate, DeepSeeksMarkersAreNotAscii) {
    const std::string eos = "<\uFF5Cend\u2581of\u2581sentence\uFF5C>";
    const auto chat = make(kDeepSeek, "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>", eos);
    Reader reader(*chat, eos);
    reader.turn({{"system", "Be brief."}, {"user", "One?"}}, "Hmm.\n</think>First.");
    EXPECT_EQ(reader.prompt({{"user", "Two?"}}),
              "Be brief.<\uFF5CUser\uFF5C>One?<\uFF5CAssistant\uFF5C><think>\nHmm.\n</think>First." + eos +
                  "<\uFF5CUser\uFF5C>Two?<\uFF5CAssistant\uFF5C><think>\n");
}

TEST(ChatTemplate, SpaceThatTheTemplatePutsBeforeTheMarkerWasNotRead) {
    const auto chat = make(kMovingSystem);
    const Messages history = {{"user", "One?"}, {"assistant", "A"}};
    EXPECT_EQ(text_of(chat->next_turn(history, {{{"user", "Two?"}}}, true)), "[INST] Two?[/INST]");
    EXPECT_EQ(text_of(chat->next_turn(history, {{{"user", "Two?"}}}, false)), " </s>[INST] Two?[/INST]");
}

TEST(ChatTemplate, RoleMarkerIsNoEndMarker) {
    const auto chat = make(kNoEndMarker, "", "<|endoftext|>");
    const Messages history = {{"user", "One?"}, {"assistant", "A"}};
    EXPECT_EQ(text_of(chat->next_turn(history, {{{"user", "Two?"}}}, true)), "<|user|>\nTwo?<|assistant|>\n");
    EXPECT_EQ(text_of(chat->next_turn(history, {}, true)), "<|assistant|>\n");
}

TEST(ChatTemplate, SeveralMessagesAndRolesCanBeAdded) {
    const auto chat = make("", "", "<|im_end|>");
    const Messages history = {{"system", "S"}, {"user", "One?"}, {"assistant", "call"}};
    EXPECT_EQ(text_of(chat->next_turn(history, {{{"tool", "1"}, {"tool", "2"}, {"system", "R"}, {"user", "Two?"}}}, true)),
              "\n<|im_start|>tool\n1<|im_end|>\n<|im_start|>tool\n2<|im_end|>\n<|im_start|>system\nR<|im_end|>\n"
              "<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n");
    EXPECT_EQ(text_of(chat->next_turn(history, {}, false)), "<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, HistoryWithoutAnAnswerIsReadAsItStands) {
    const auto chat = make("", "", "<|im_end|>");
    EXPECT_EQ(text_of(chat->next_turn({{{"system", "S"}}}, {{{"user", "One?"}}}, false)),
              "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n");
    // A system text alone is nothing yet in a template that folds it into the first question.
    EXPECT_EQ(text_of(make(kGemma)->next_turn({{{"system", "S"}}}, {{{"user", "One?"}}}, false)),
              "<start_of_turn>user\nS\n\nOne?<end_of_turn>\n<start_of_turn>model\n");
    EXPECT_TRUE(error_of(make(kMistral)->next_turn({{{"system", "S"}}}, {{{"user", "One?"}}}, false))
                    .contains("renders the history anew"));
}

TEST(ChatTemplate, AnswersThatHoldTheSentinelDoNoHarm) {
    const auto chat = make("", "", "<|im_end|>");
    const Messages history = {{"user", "engramanswer"}, {"assistant", "engramanswerx7 othertextq"}};
    EXPECT_EQ(text_of(chat->next_turn(history, {{{"user", "engramanswerx7x7?"}}}, true)),
              "\n<|im_start|>user\nengramanswerx7x7?<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, TextInListsWhereTheTemplateWantsIt) {
    const auto chat = make(
        "{% for m in messages %}{% for part in m.content %}{% if part.type is defined and part.type == 'text' %}"
        "{{ '<' + m.role + '>' + part.text + '<end>' }}{% endif %}{% endfor %}{% endfor %}");
    EXPECT_EQ(text_of(chat->next_turn({{{"user", "a"}, {"assistant", "b"}}}, {{{"user", "c"}}}, true)), "<user>c<end>");
}

TEST(ChatTemplate, RolesThatTheTemplateRefusesAreErrors) {
    const auto chat = make(kMistral);
    EXPECT_TRUE(
        error_of(chat->render({{{"user", "a"}, {"user", "b"}}}, true)).contains("roles must alternate user and assistant"));
    EXPECT_TRUE(error_of(chat->next_turn({{{"user", "a"}, {"assistant", "b"}}}, {{{"assistant", "c"}}}, true))
                    .contains("must alternate"));
}

TEST(ChatTemplate, TemplatesThatCantBeAppendedToSayWhy) {
    const Messages history = {{"user", "a"}, {"assistant", "b"}};
    const Messages added = {{"user", "c"}};
    const auto drops = make("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}");
    EXPECT_TRUE(error_of(drops->next_turn(history, added, true)).contains("leaves the last answer out"));
    const auto repeats = make("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}");
    EXPECT_TRUE(error_of(repeats->next_turn(history, added, true)).contains("repeats an answer"));
    const auto counts = make("{% for m in messages %}{{ m.content }}({{ m.content | length }}){% endfor %}");
    EXPECT_TRUE(error_of(counts->next_turn(history, added, true)).contains("depend on the answer's text"));
}

// ChatML models whose BOS is the marker that begins each message, and whose tokenizer adds none.
TEST(ChatTemplate, TheFirstMarkerStaysWhereTheTokenizerAddsNoBos) {
    const std::vector<TemplateMessage> hello{{"user", "Hello"}};
    const auto rendered = [&](bool adds_bos) {
        const auto chat = ChatTemplate::create("", {.bos = "<|im_start|>", .eos = "<|im_end|>", .adds_bos = adds_bos});
        return (*chat)->render(hello, true).value_or("error");
    };
    EXPECT_EQ(rendered(false), "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
    EXPECT_EQ(rendered(true), "user\nHello<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, BadTemplatesAreRefusedWhenMade) {
    for (const std::string_view jinja : {"{% for %}", "{{ messages[0].content ", "{{ raise_exception('never') }}",
                                         "constant text", "{% for i in range(1000000000) %}{% endfor %}", "{{ 1 % 0 }}"}) {
        const auto result = ChatTemplate::create(jinja, {});
        ASSERT_FALSE(result.has_value()) << jinja;
        EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
        EXPECT_FALSE(result.error().message.empty());
    }
}

TEST(ChatTemplate, ContentThatIsNotUtf8PassesThrough) {
    const auto chat = make("", "", "<|im_end|>");
    const std::string odd = std::string("a\xFF\xC3") + '\0' + "b";
    EXPECT_TRUE(text_of(chat->render({{{"user", odd}}}, true)).contains(odd));
}

TEST(ChatTemplate, LongConversationsStayInsideTheBudget) {
    const auto chat = make(kThinking, "", "<|im_end|>");
    Messages history;
    for (int i = 0; i < 1000; ++i) {
        history.emplace_back("user", std::string(100, 'q'));
        history.emplace_back("assistant", std::string(100, 'a'));
    }
    EXPECT_EQ(text_of(chat->next_turn(history, {{{"user", "x"}}}, true)),
              "\n<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n<think>\n");
}

TEST(ChatTemplate, ThreadsShareOne) {
    const auto chat = make(kGemma);
    std::vector<std::string> results(3);
    {
        std::vector<std::jthread> threads;
        for (std::string &result : results) {
            threads.emplace_back(
                [&] { result = text_of(chat->next_turn({{{"user", "a"}, {"assistant", "b"}}}, {{{"user", "c"}}}, true)); });
        }
    }
    for (const std::string &result : results) {
        EXPECT_EQ(result, "\n<start_of_turn>user\nc<end_of_turn>\n<start_of_turn>model\n");
    }
}

}  // namespace
}  // namespace engram
