#include "chat/answer_style.h"

#include <algorithm>
#include <array>
#include <format>
#include <optional>

#include "chat/gbnf.h"
#include "chat/json_grammar.h"

namespace engram {
namespace {

constexpr std::size_t kMaxSchemaBytes = 1UZ << 20U;
constexpr std::size_t kMaxCalls = 16;  // of one forced answer
constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kToolCall = "<tool_call>";
constexpr std::string_view kMistral = "[TOOL_CALLS]";
constexpr std::string_view kMistralArguments = "[ARGS]";
constexpr std::string_view kPythonTag = "<|python_tag|>";
constexpr std::string_view kDeepSeekCalls = "<｜tool▁calls▁begin｜>";
constexpr std::string_view kDeepSeekCallsEnd = "<｜tool▁calls▁end｜>";
constexpr std::string_view kChannel = "<|channel|>";
constexpr std::string_view kHarmonyThinking = "<|channel|>analysis<|message|>";
constexpr std::string_view kHarmonyEnd = "<|end|>";
constexpr std::array<std::string_view, 6> kHarmonyMarks{"<|channel|>",   "<|message|>", "<|start|>",
                                                        "<|constrain|>", "<|end|>",     "<|call|>"};

std::string trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(kSpace);
    return first == std::string_view::npos ? std::string()
                                           : std::string(text.substr(first, text.find_last_not_of(kSpace) - first + 1));
}

std::size_t common_prefix(std::string_view a, std::string_view b) {
    return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

std::size_t common_suffix(std::string_view a, std::string_view b) {
    std::size_t size = 0;
    while (size < a.size() && size < b.size() && a[a.size() - size - 1] == b[b.size() - size - 1]) ++size;
    return size;
}

// Where the object that begins at `at` ends; npos: nowhere. The probes have no braces in texts.
std::size_t object_end(std::string_view text, std::size_t at) {
    std::size_t depth = 0;
    for (; at < text.size(); ++at) {
        if (text[at] == '{') ++depth;
        if (text[at] == '}' && --depth == 0) return at + 1;
    }
    return std::string_view::npos;
}

// The part of a rendering that one call of the probe takes.
struct Place {
    std::size_t begin = 0, end = 0;
};

std::optional<Place> place_of(std::string_view body, std::string_view name, CallForm form) {
    const std::size_t at = body.find(name);
    if (at == std::string_view::npos) return std::nullopt;
    const std::size_t begin = form == CallForm::json ? body.rfind('{', at) : at;
    const std::size_t arguments = form == CallForm::json ? begin : body.find('{', at);
    if (begin == std::string_view::npos || arguments == std::string_view::npos) return std::nullopt;
    const std::size_t end = object_end(body, arguments);
    if (end == std::string_view::npos) return std::nullopt;
    return Place{.begin = begin, .end = end};
}

// The marks around calls, read off a rendering of two calls, or of one.
bool read_marks(AnswerStyle &style, std::string_view one, std::string_view two) {
    const std::string_view body = two.empty() ? one : two;
    const auto first = place_of(body, kFirstProbe, style.form);
    if (!first) return false;
    const std::string_view call = body.substr(first->begin, first->end - first->begin);
    if (!call.contains(kProbeArgument)) return false;
    if (style.form == CallForm::json && call.contains("\"parameters\"")) style.arguments = "parameters";
    if (style.form == CallForm::json && !call.contains("\"name\"")) return false;
    if (style.form == CallForm::named_json)
        style.separator = call.substr(kFirstProbe.size(), call.find('{') - kFirstProbe.size());
    const std::string_view before = body.substr(0, first->begin);
    style.open = before.substr(std::min(before.find_first_not_of(kSpace), before.size()));
    style.several = false;
    const auto second = two.empty() ? std::nullopt : place_of(body, kSecondProbe, style.form);
    if (!second || second->begin < first->end) return true;
    style.several = true;
    const std::string_view middle = body.substr(first->end, second->begin - first->end);
    const std::string_view tail = body.substr(second->end);
    style.close = middle.substr(0, common_prefix(middle, tail));
    const std::size_t begun = style.close.rfind('<');  // both may go on with a mark
    if (begun != std::string::npos && !style.close.substr(begun).contains('>')) style.close.resize(begun);
    const std::string_view next = middle.substr(style.close.size());
    const std::size_t shared = common_suffix(style.open, next);
    style.calls_open = style.open.substr(0, style.open.size() - shared);
    style.open.erase(0, style.calls_open.size());
    style.between = next.substr(0, next.size() - shared);
    if (trimmed(style.calls_open).ends_with('[') && tail.substr(style.close.size()).starts_with(']')) style.calls_close = "]";
    if (tail.contains(kDeepSeekCallsEnd)) style.calls_close = kDeepSeekCallsEnd;
    return true;
}

AnswerStyle hermes() { return {.open = std::string(kToolCall) + "\n", .close = "\n</tool_call>", .between = "\n"}; }

AnswerStyle llama() { return {.arguments = "parameters", .several = false}; }

AnswerStyle mistral(bool named) {
    if (named) return {.form = CallForm::named_json, .open = std::string(kMistral), .separator = std::string(kMistralArguments)};
    return {.calls_open = std::string(kMistral) + "[", .calls_close = "]", .between = ", "};
}

AnswerStyle deep_seek(bool fenced) {
    return {.form = CallForm::named_json,
            .calls_open = std::string(kDeepSeekCalls),
            .calls_close = std::string(kDeepSeekCallsEnd),
            .open = fenced ? "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" : "<｜tool▁call▁begin｜>",
            .close = fenced ? "\n```<｜tool▁call▁end｜>" : "<｜tool▁call▁end｜>",
            .between = fenced ? "\n" : "",
            .separator = fenced ? "\n```json\n" : "<｜tool▁sep｜>"};
}

AnswerStyle tool_call_xml(CallForm form) {
    AnswerStyle style = hermes();
    style.form = form;
    if (form == CallForm::arg_xml) style.open = kToolCall;
    return style;
}

AnswerStyle call_style(const StyleProbe &probe) {
    const std::size_t header = common_prefix(probe.no_call, probe.one_call);
    const std::string_view one = probe.one_call.substr(std::min(header, probe.one_call.size()));
    const std::string_view two = probe.two_calls.substr(std::min(header, probe.two_calls.size()));
    const bool rendered = one.contains(kFirstProbe);
    const std::string_view told = rendered ? one : probe.source;
    if (told.contains(kChannel) && told.contains("functions.")) return {.form = CallForm::harmony, .several = false};
    if (told.contains("<function=")) return tool_call_xml(CallForm::function_xml);
    if (told.contains("<arg_key>")) return tool_call_xml(CallForm::arg_xml);
    AnswerStyle style;
    const std::size_t mistral_at = told.find(kMistral);
    const bool deep = told.contains("tool▁call▁begin");
    if (deep || (rendered && mistral_at != std::string_view::npos && !told.contains("\"name\"")))
        style.form = CallForm::named_json;
    if (rendered && read_marks(style, one, two)) return style;
    if (deep) return deep_seek(told.contains("```json"));
    if (mistral_at != std::string_view::npos) return mistral(told.contains(kMistralArguments));
    if (told.contains(kPythonTag) || told.contains("\"parameters\":")) return llama();
    for (const std::string_view fence : {"```tool_code", "```tool_call"}) {
        if (told.contains(fence)) return {.open = std::format("{}\n", fence), .close = "\n```", .between = "\n"};
    }
    return hermes();
}

void add_thinking(AnswerStyle &style, std::string_view source) {
    if (style.form == CallForm::harmony) return;
    for (const auto &[open, close] : {std::pair{"<think>", "</think>"}, std::pair{"[THINK]", "[/THINK]"}}) {
        if (source.contains(close)) {
            style.think_open = open;
            style.think_close = close;
            return;
        }
    }
}

}  // namespace

AnswerStyle AnswerStyle::common() {
    AnswerStyle style = hermes();
    style.think_open = "<think>";
    style.think_close = "</think>";
    return style;
}

AnswerStyle style_of(const StyleProbe &probe) {
    AnswerStyle style = call_style(probe);
    add_thinking(style, probe.source);
    return style;
}

std::vector<std::string> AnswerStyle::call_openings() const {
    std::vector<std::string> openings;
    const auto add = [&openings](std::string_view mark) {
        std::string text = trimmed(mark);
        while (text.ends_with('[') && text.size() > 1) text = trimmed(text.substr(0, text.size() - 1));  // a list's beginning
        if (text.empty() || text == "[" || std::ranges::contains(openings, text)) return;
        openings.push_back(std::move(text));
    };
    if (form == CallForm::harmony || !calls) return openings;
    add(calls_open);
    add(open);
    const bool is_common = open.starts_with(kToolCall) || openings.empty();
    if (form == CallForm::function_xml) add("<function=");
    if (openings.empty()) add(kPythonTag);
    if (is_common && form == CallForm::json) {
        add(kToolCall);
        add(kPythonTag);
        add(kMistral);
    }
    return openings;
}

std::vector<std::string> AnswerStyle::visible_marks() const {
    if (form == CallForm::harmony) return {kHarmonyMarks.begin(), kHarmonyMarks.end()};
    std::vector<std::string> marks;
    // A mark may be made of several tokens, of which some are control tokens: each <…> and […] of it.
    const auto add = [&marks](std::string_view text) {
        for (std::size_t at = 0; at < text.size(); ++at) {
            if (text[at] != '<' && text[at] != '[') continue;
            const std::size_t end = text.find(text[at] == '<' ? '>' : ']', at);
            if (end == std::string_view::npos) continue;
            const std::string mark(text.substr(at, end + 1 - at));
            if (!std::ranges::contains(marks, mark)) marks.push_back(mark);
            at = end;
        }
    };
    for (const std::string &opening : call_openings()) add(opening);
    for (const std::string *text : {&calls_open, &calls_close, &open, &close, &between, &separator, &think_open, &think_close})
        add(*text);
    if (form == CallForm::function_xml) add("</function><parameter></parameter>");
    if (form == CallForm::arg_xml) add("<arg_key></arg_key><arg_value></arg_value>");
    return marks;
}

bool AnswerStyle::opens_thinking(std::string_view prompt) const {
    if (form == CallForm::harmony) return prompt.ends_with(kHarmonyThinking);
    return !think_open.empty() && trimmed(prompt).ends_with(think_open);
}

std::optional<ThinkingMarks> AnswerStyle::thinking_marks() const {
    if (form == CallForm::harmony) {
        return ThinkingMarks{.open = std::string(kHarmonyThinking),
                             .close = std::string(kHarmonyEnd),
                             .ending = std::format("{}<|start|>assistant<|channel|>final<|message|>", kHarmonyEnd)};
    }
    if (think_open.empty()) return std::nullopt;
    return ThinkingMarks{.open = think_open, .close = think_close, .ending = std::format("\n{}\n\n", think_close)};
}

namespace {

// Writes the rules of forced calls.
class CallRules {
  public:
    CallRules(const AnswerStyle &style, Grammar &grammar) : style_(style), grammar_(grammar) {}

    Result<std::string> call_of(const ChatTool &tool) {
        auto schema = parse_bounded_json(tool.parameters, kMaxSchemaBytes);
        if (!schema)
            return std::unexpected(std::move(schema.error()).within(std::format("the parameters of the tool \"{}\"", tool.name)));
        SchemaRules rules(grammar_, *schema, Unenforceable::ignore);
        auto text = call_text(tool, rules);
        if (!text)
            return std::unexpected(std::move(text.error()).within(std::format("the parameters of the tool \"{}\"", tool.name)));
        return text;
    }

  private:
    Result<std::string> call_text(const ChatTool &tool, SchemaRules &rules) {
        const std::string name = OrderedJson(tool.name).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
        switch (style_.form) {
            case CallForm::json: {
                ENGRAM_ASSIGN(const std::string arguments, rules.value());
                return std::format("{} {} \"}}\"", gbnf_literal(std::format("{{\"name\": {}, \"{}\": ", name, style_.arguments)),
                                   arguments);
            }
            case CallForm::named_json: {
                ENGRAM_ASSIGN(const std::string arguments, rules.value());
                return std::format("{} {}", gbnf_literal(tool.name + style_.separator), arguments);
            }
            case CallForm::harmony: {
                ENGRAM_ASSIGN(const std::string arguments, rules.value());
                return std::format(
                    "{} {}",
                    gbnf_literal(std::format("<|channel|>commentary to=functions.{} <|constrain|>json<|message|>", tool.name)),
                    arguments);
            }
            case CallForm::function_xml:
                return parameters(rules, {.begin = std::format("<function={}>\n", tool.name),
                                          .key = "<parameter={}>\n",
                                          .mark = "\n</parameter>",
                                          .next = "\n",
                                          .end = "</function>"});
            case CallForm::arg_xml:
                return parameters(rules, {.begin = tool.name + "\n",
                                          .key = "<arg_key>{}</arg_key>\n<arg_value>",
                                          .mark = "</arg_value>",
                                          .next = "\n",
                                          .end = ""});
        }
        return std::string();
    }

    struct Xml {
        std::string begin, key, mark, next, end;
    };

    Result<std::string> parameters(SchemaRules &rules, const Xml &xml) {
        ENGRAM_ASSIGN(const std::vector<SchemaRules::Member> members, rules.members());
        std::string text = gbnf_literal(xml.begin);
        for (const SchemaRules::Member &member : members) {
            const std::string place = "#/properties/" + member.name;
            ENGRAM_ASSIGN(std::optional<std::string> value, rules.raw_text(member.schema, xml.mark, place));
            if (!value) {
                ENGRAM_ASSIGN(value, rules.value(member.schema, place));
            }
            std::string key = xml.key;
            key.replace(key.find("{}"), 2, member.name);
            const std::string whole = std::format("{} {} {}", gbnf_literal(key), *value, gbnf_literal(xml.mark + xml.next));
            text += std::format(" {}{}", grammar_.rule("parameter", whole), member.required ? "" : "?");
        }
        return std::format("{} {}", text, gbnf_literal(xml.end));
    }

    const AnswerStyle &style_;
    Grammar &grammar_;
};

// What may come before an answer's beginning: thinking, as an expression.
std::string thinking_rule(const AnswerStyle &style, Grammar &grammar, bool open) {
    const std::optional<ThinkingMarks> marks = style.thinking_marks();
    if (!marks) return "";
    const bool harmony = style.form == CallForm::harmony;
    const std::string text = grammar.texts(CharAutomaton::without(marks->close), Spelling::raw, "thought");
    const std::string rest =
        std::format("{} {} {}", text, gbnf_literal(marks->close), harmony ? "\"<|start|>assistant\"" : "[\\n]{0,2}");
    return open ? rest : std::format("({} {})?", gbnf_literal(marks->open), rest);
}

// The rule of an answer's calls, with all that stands around them.
Result<std::string> calls_rule(const AnswerStyle &style, std::span<const ChatTool> tools, bool several, Grammar &grammar) {
    CallRules rules(style, grammar);
    std::string ways;
    for (const ChatTool &tool : tools) {
        ENGRAM_ASSIGN(const std::string call, rules.call_of(tool));
        ways += std::format("{}{}", ways.empty() ? "" : " | ", grammar.rule("call", call));
    }
    const std::string call =
        grammar.rule("call", std::format("{} ({}) {}", gbnf_literal(style.open), ways, gbnf_literal(style.close)));
    std::string calls = call;
    if (several && style.several) {
        const std::string next = grammar.rule("next", std::format("{} {}", gbnf_literal(style.between), call));
        calls = std::format("{} {}", call, grammar.repeated(next, 0, kMaxCalls - 1));
    }
    return std::format("{} {} {}", gbnf_literal(style.calls_open), calls, gbnf_literal(style.calls_close));
}

}  // namespace

Result<std::string> call_grammar(const AnswerStyle &style, std::span<const ChatTool> tools, bool several, bool thinking) {
    if (tools.empty()) return fail(ErrorCode::invalid_argument, "there are no tools that could be called");
    Grammar grammar;
    ENGRAM_ASSIGN(const std::string calls, calls_rule(style, tools, several, grammar));
    return grammar.text(std::format("{} {}", thinking_rule(style, grammar, thinking), calls));
}

Result<std::string> format_grammar(const AnswerStyle &style, const FormattedAnswer &answer, bool thinking) {
    if (answer.format == AnswerFormat::text) return std::string();
    Grammar grammar;
    std::string value;
    OrderedJson parsed;
    if (answer.format == AnswerFormat::json_object) {
        value = grammar.json_object();
    } else {
        auto read = parse_bounded_json(answer.schema, kMaxSchemaBytes);
        if (!read) return std::unexpected(std::move(read.error()).within("the schema can't be read"));
        parsed = *std::move(read);
        SchemaRules rules(grammar, parsed, Unenforceable::refuse);
        ENGRAM_ASSIGN(value, rules.value());
    }
    const std::string begin = style.form == CallForm::harmony ? gbnf_literal("<|channel|>final<|message|>") : "";
    std::string ways = std::format("{} {}", begin, value);
    if (!answer.tools.empty()) {
        ENGRAM_ASSIGN(const std::string calls, calls_rule(style, answer.tools, answer.several, grammar));
        ways = std::format("({} | {})", grammar.rule("formatted", ways), grammar.rule("calls", calls));
    }
    return grammar.text(std::format("{} {}", thinking_rule(style, grammar, thinking), ways));
}

}  // namespace engram
