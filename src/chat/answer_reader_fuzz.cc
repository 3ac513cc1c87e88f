// Fuzz entry of the readers of answers, in every style: an answer means the same however it comes in pieces, nothing of it is
// said twice, and a call that came whole is one that can be kept and read again.
#include <array>
#include <string>
#include <vector>

#include "chat/answer_reader.h"
#include "chat/answer_style.h"
#include "chat/bounded_json.h"
#include "chat/thinking_limit.h"
#include "core/testing/fuzz.h"

namespace {

using namespace engram;
using fuzz::require;
using Kind = AnswerPart::Kind;

const std::vector<ChatTool> &tools() {
    static const std::vector<ChatTool> kTools{
        {.name = "get_weather",
         .description = {},
         .parameters = R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}}})"},
        {.name = "get_time", .description = {}}};
    return kTools;
}

AnswerStyle with_form(CallForm form) {
    AnswerStyle style = AnswerStyle::common();
    style.form = form;
    return style;
}

const std::vector<AnswerStyle> &styles() {
    static const std::vector<AnswerStyle> kStyles{
        AnswerStyle::common(),
        with_form(CallForm::function_xml),
        with_form(CallForm::arg_xml),
        {.arguments = "parameters", .several = false},
        {.calls_open = "[TOOL_CALLS][", .calls_close = "]", .between = ", "},
        {.form = CallForm::named_json,
         .open = "[TOOL_CALLS]",
         .separator = "[ARGS]",
         .think_open = "[THINK]",
         .think_close = "[/THINK]"},
        {.open = "```tool_code\n", .close = "\n```", .between = "\n"},
        {.form = CallForm::named_json,
         .calls_open = "<calls>",
         .calls_close = "</calls>",
         .open = "<call>function<sep>",
         .close = "\n```</call>",
         .separator = "\n```json\n",
         .think_open = "<think>",
         .think_close = "</think>"},
        {.form = CallForm::harmony, .several = false},
        {.think_open = "<think>", .think_close = "</think>", .calls = false},
    };
    return kStyles;
}

void add(std::vector<AnswerPart> &parts, std::vector<AnswerPart> more) {
    for (AnswerPart &part : more) {
        const bool goes_on = !parts.empty() && parts.back().kind == part.kind &&
                             (part.kind == Kind::thinking || part.kind == Kind::text || part.kind == Kind::call_arguments);
        if (goes_on) {
            parts.back().text += part.text;
        } else {
            parts.push_back(std::move(part));
        }
    }
}

struct Read {
    std::vector<AnswerPart> parts;
    std::string malformed;
    bool operator==(const Read &) const = default;
};

Read read(const AnswerStyle &style, bool thinking, const std::vector<std::string_view> &pieces) {
    AnswerReader reader(style, tools(), thinking);
    Read result;
    for (const std::string_view piece : pieces) add(result.parts, reader.add(piece));
    add(result.parts, reader.finish());
    result.malformed = reader.malformed();
    return result;
}

// Calls begin, have their arguments and end, and nothing stands between.
void check_order(const Read &read) {
    bool in_call = false;
    std::string arguments;
    for (const AnswerPart &part : read.parts) {
        require(in_call == (part.kind == Kind::call_arguments || part.kind == Kind::call_end));
        if (part.kind == Kind::call_begin) arguments.clear();
        if (part.kind == Kind::call_arguments) arguments += part.text;
        if (part.kind == Kind::call_end && part.whole) {
            const auto json = parse_bounded_json(arguments, arguments.size());
            require(json.has_value() && json->is_object());
        }
        in_call = part.kind == Kind::call_begin || part.kind == Kind::call_arguments;
    }
    require(!in_call);
}

void check(const AnswerStyle &style, bool thinking, std::string_view text) {
    const Read whole = read(style, thinking, {text});
    require(whole == read(style, thinking, fuzz::pieces_of(text, true)));
    check_order(whole);
    const ParsedAnswer answer = read_answer(style, tools(), thinking, text);
    require(answer.thinking.size() + answer.text.size() <= 2 * text.size() + 8);
    require(style.calls || (answer.calls.empty() && answer.malformed.empty()));
    const auto kept = parse_tool_calls(tool_calls_json(answer.calls));
    require(kept.has_value() && *kept == answer.calls);
    if (const auto marks = style.thinking_marks()) {
        ThinkingLimit limit(*marks, thinking, 3);
        for (const std::string_view piece : fuzz::pieces_of(text, true)) limit.add(piece);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    // The engine gives whole characters (text_stream.h), and so does this.
    const OrderedJson bytes = std::string(fuzz::text_of(data, size));
    const auto text = OrderedJson::parse(bytes.dump(-1, ' ', false, OrderedJson::error_handler_t::replace)).get<std::string>();
    for (const AnswerStyle &style : styles()) {
        for (const bool thinking : {false, true}) check(style, thinking, text);
    }
    return 0;
}
