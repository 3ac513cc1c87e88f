// How a family of models writes thinking and tool calls in the text of an answer. One value says it, for the reader of answers
// (answer_reader.h) and for the grammars that force calls, and it is found out from the model's chat template: from what the
// template makes of calls in a message, and from its text where it makes nothing of them.
//
//     <tool_call>{"name": …, "arguments": {…}}</tool_call>                            Hermes, Qwen
//     <tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>  Qwen3-Coder
//     <tool_call>NAME <arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>  GLM
//     {"name": …, "parameters": {…}}, also after <|python_tag|>                       Llama 3
//     [TOOL_CALLS] [{"name": …, "arguments": {…}}, …] and [TOOL_CALLS]NAME[ARGS]{…}   Mistral
//     ```tool_code {"name": …, "parameters": {…}} ```                                 Gemma, in the words of its template
//     <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{…}<｜tool▁call▁end｜><｜tool▁calls▁end｜>  DeepSeek
//     <|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{…}         gpt-oss (harmony)
//
// Thinking stands in <think>…</think> (which the prompt may have opened), in [THINK]…[/THINK], or in harmony's analysis channel.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engram/chat.h"
#include "engram/error.h"

namespace engram {

enum class CallForm : std::uint8_t {
    json,          // an object with a name and arguments
    named_json,    // a name, a separator, and the arguments as an object
    function_xml,  // <function=…><parameter=…>
    arg_xml,       // a name, <arg_key> and <arg_value>
    harmony,
};

// What thinking stands between; and what ends it for a model that has thought for as long as it may.
struct ThinkingMarks {
    std::string open, close, ending;
    bool operator==(const ThinkingMarks &) const = default;
};

struct AnswerStyle {
    CallForm form = CallForm::json;
    std::string calls_open, calls_close;  // around all calls of an answer
    std::string open, close;              // around each; an empty `open`: an answer that is a call begins with it
    std::string between;                  // two calls
    std::string separator;                // named_json: between name and arguments
    std::string arguments = "arguments";  // json: the member's name
    bool several = true;                  // whether an answer may have more than one call
    std::string think_open, think_close;  // empty: the family doesn't think
    bool calls = true;                    // false: nothing can be called, and what looks like a call is text

    bool operator==(const AnswerStyle &) const = default;

    // For a model of which nothing is known, and the answers of servers: Hermes' form, and it reads those of Llama 3 and Mistral.
    static AnswerStyle common();

    // Control tokens whose text is visible: such a token's text is no part of an answer otherwise.
    std::vector<std::string> visible_marks() const;
    // What a call may begin with, without white space.
    std::vector<std::string> call_openings() const;
    std::optional<ThinkingMarks> thinking_marks() const;  // nullopt: the family doesn't think
    // Whether the prompt ends within thinking that it opened itself.
    bool opens_thinking(std::string_view prompt) const;
};

// What a template makes of an answer, for style_of. Two calls, of kStyleProbes' names with one argument each.
struct StyleProbe {
    std::string_view source;               // the template itself
    std::string_view no_call;              // a user's message and an answer that is a text
    std::string_view one_call, two_calls;  // the same with calls; empty: the template can't
};
inline constexpr std::string_view kFirstProbe = "engramprobefirst";
inline constexpr std::string_view kSecondProbe = "engramprobesecondcall";
inline constexpr std::string_view kProbeArgument = "engramprobeargument";
AnswerStyle style_of(const StyleProbe &probe);

// GBNF of an answer that calls tools: one of them (or of the only one in `tools`), or several where `several` and the style allow
// it, in the style's very form and with arguments that are valid for the tools' schemas. Thinking may come first: `thinking` says
// that the prompt has opened it. What a schema asks for and a grammar can't say is left to the model.
// invalid_argument: no tools, or a schema that isn't one. unsupported: too large.
Result<std::string> call_grammar(const AnswerStyle &style, std::span<const ChatTool> tools, bool several, bool thinking);

// GBNF of an answer that is a JSON object, or a value of the schema; or, where there are tools, of one that calls them before
// such an answer. Errors as json_schema_grammar and call_grammar.
struct FormattedAnswer {
    AnswerFormat format = AnswerFormat::text;
    std::string_view schema;
    std::span<const ChatTool> tools;  // that may be called; empty: none
    bool several = true;              // calls
};
Result<std::string> format_grammar(const AnswerStyle &style, const FormattedAnswer &answer, bool thinking);

}  // namespace engram
