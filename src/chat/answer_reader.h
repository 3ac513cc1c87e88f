// An answer's text as what it means: thinking, text, and calls of tools. Fed piece by piece as the model writes, it gives each
// part as soon as it is certain; cut anywhere (between whole UTF-8 characters), the parts put together are the same.
//
// What looks like a call and isn't is text in the end. A call is certain once its name is there and its arguments have begun as
// an object (or, in the forms without JSON, have no place to be anything else): from then on it is one, whatever follows, and its
// end says whether it came whole. White space around thinking and calls isn't said; everything else is, once. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/answer_style.h"
#include "chat/tool_call.h"
#include "engram/chat.h"
#include "engram/error.h"

namespace engram {

struct AnswerPart {
    enum class Kind : std::uint8_t {
        thinking,
        text,
        call_begin,      // `text` is the name
        call_arguments,  // put together, a JSON object as the model wrote it
        call_end,
    };
    Kind kind = Kind::text;
    std::string text;
    bool whole = true;  // of a call's end: its arguments are a JSON object. Else they broke off, or went wrong somewhere
    bool operator==(const AnswerPart &) const = default;
};

class AnswerReader {
  public:
    // `tools` are those that the model was told of. Where values stand as text (Qwen3-Coder, GLM), their schemas say which of
    // them are texts; without one, what can be read as JSON is JSON. `thinking`: the prompt has opened it.
    AnswerReader(AnswerStyle style, std::span<const ChatTool> tools, bool thinking);

    std::vector<AnswerPart> add(std::string_view text);
    std::vector<AnswerPart> finish();  // the answer has ended

    // Why something that was begun like a call isn't a whole one; the first such. Empty: nothing.
    const std::string &malformed() const { return malformed_; }

  private:
    enum class Mode : std::uint8_t {
        text,
        thinking,
        head,        // of a call, after its mark
        arguments,   // a JSON object
        object_end,  // what follows the arguments within the call's own object
        parameters,  // between <parameter=…> and the like
        value,       // of one of them
        after,       // a call
        header,      // harmony: before <|message|>
        body,        // harmony: the message
    };
    enum class Found : std::uint8_t { yes, no, perhaps };  // perhaps: more text will tell

    bool step(bool last);
    bool step_text(bool last);
    bool step_thinking(bool last);
    bool step_head(bool last);
    Found json_head(std::string_view text);
    Found standard_head(std::string_view text);
    Found whole_object(std::string_view text);
    Found xml_head(std::string_view text);
    Found named_head(std::string_view text, bool last);
    bool step_arguments();
    bool step_object_end();
    bool step_parameters(bool last);
    bool step_value(bool last);
    bool step_after(bool last);
    bool step_header(bool last);
    bool step_body(bool last);

    void give(AnswerPart::Kind kind, std::string_view text);
    void say(std::string_view text);
    void think(std::string_view text);
    void not_a_call(std::string_view why);
    void begin_call(std::string_view name);
    void end_call(bool whole);
    void add_arguments(std::string_view text);
    void drop(std::size_t bytes) { buffer_.erase(0, bytes); }
    std::size_t skip_space();
    std::size_t held_back(std::span<const std::string> marks, bool last) const;

    AnswerStyle style_;
    std::vector<std::string> openings_;
    std::map<std::string, std::set<std::string>, std::less<>> text_parameters_;  // by tool
    std::set<std::string, std::less<>> tools_;
    Mode mode_ = Mode::text;
    std::string buffer_;  // not yet understood
    std::vector<AnswerPart> parts_;
    std::string malformed_;

    std::string space_;  // after text, not said yet
    std::string thought_space_;
    bool said_ = false;       // some text
    bool thought_ = false;    // within this thinking
    bool structure_ = false;  // a call or thinking came after the text
    std::size_t calls_ = 0;
    std::string mark_;  // that began the call
    bool bare_ = false, tried_bare_ = false, in_list_ = false;
    std::string name_, arguments_, key_;
    bool in_text_ = false, escaped_ = false;  // of JSON
    std::size_t depth_ = 0;
    bool more_members_ = false;  // of the call's own object
    bool streams_ = false;       // the value is a text, given as it comes
    bool value_begun_ = false;
    AnswerPart::Kind body_ = AnswerPart::Kind::text;
};

// A whole answer.
struct ParsedAnswer {
    std::string thinking;
    std::string text;             // what is said beside the calls; without calls all that isn't thinking, as it is
    std::vector<ToolCall> calls;  // whole ones; arguments without white space between members
    std::string malformed;        // why something that was begun like a call isn't one; empty: there is nothing like that
};
ParsedAnswer read_answer(const AnswerStyle &style, std::span<const ChatTool> tools, bool thinking, std::string_view answer);

}  // namespace engram
