// Fuzz entry of chat templates, programs that come with a model: whatever stands there is refused, fails with a sentence, or
// gives the same text each time, within its budget.
#include "chat/conversation.h"
#include "chat/jinja.h"
#include "core/testing/fuzz.h"

namespace {

using namespace engram;
using fuzz::require;

constexpr std::string_view kCalls =
    R"([{"type":"function","function":{"name":"get_weather","arguments":{"city":"Lisbon","days":3}}}])";
constexpr std::string_view kTools =
    R"([{"type":"function","function":{"name":"get_weather","description":"d","parameters":{"type":"object",)"
    R"("properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}}}])";

std::vector<TemplateMessage> conversation() {
    return {{.role = "system", .content = "You are Ada."},
            {.role = "user", .content = "What is the weather?"},
            {.role = "assistant", .content = "", .tool_calls = std::string(kCalls), .thinking = "Hm."},
            {.role = "tool", .content = "rain"},
            {.role = "assistant", .content = "It rains."},
            {.role = "user", .content = " And {{ tomorrow }}? "}};
}

void render(std::string_view source) {
    const auto jinja = JinjaTemplate::parse(source);
    if (!jinja) return require(!jinja.error().message.empty());
    std::vector<JinjaMessage> messages;
    const std::vector<TemplateMessage> all = conversation();
    for (const TemplateMessage &message : all) {
        messages.push_back(
            {.role = message.role, .content = message.content, .tool_calls = message.tool_calls, .thinking = message.thinking});
    }
    const JinjaInput input{.messages = messages,
                           .tools = kTools,
                           .bos_token = "<s>",
                           .eos_token = "</s>",
                           .add_generation_prompt = true,
                           .thinks = false};
    const auto text = jinja->render(input);
    const auto again = jinja->render(input);
    require(text.has_value() == again.has_value());
    require(text ? *text == *again && text->size() <= 32U << 20U : !text.error().message.empty());
}

}  // namespace

// A macro that a template defines within a loop is kept by the loop's variables, which it keeps (the library counts references):
// some bytes for each rendering, which are no finding.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the sanitizer's name
extern "C" const char *__asan_default_options();
extern "C" const char *__asan_default_options() { return "detect_leaks=0"; }
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string_view source = fuzz::text_of(data, size);
    render(source);
    const auto chat = ChatTemplate::create(source, {.bos = "<s>", .eos = "</s>"});
    if (!chat) {
        require(!chat.error().message.empty());
        return 0;
    }
    const std::vector<TemplateMessage> all = conversation();
    const std::span<const TemplateMessage> messages(all);
    static_cast<void>((*chat)->render(messages, true, kTools));
    static_cast<void>((*chat)->next_turn(messages.first(5), messages.last(1), true, kTools));
    static_cast<void>((*chat)->scripted(messages.first(1), messages.subspan(1, 4), false));
    static_cast<void>((*chat)->answer_style().visible_marks());
    return 0;
}
