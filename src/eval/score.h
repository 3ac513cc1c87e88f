// Scores one answer against what is expected of it. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/tool_call.h"
#include "eval/suite.h"

namespace engram::eval {

struct Answer {
    std::string text;  // what is said beside the calls
    std::vector<ToolCall> calls;
    std::string malformed;  // why a call in it can't be read; the text is then the whole answer; empty: all can
};

// An answer as a model writes it, with its calls in any form that chat/tool_call.h knows.
Answer answer_of(std::string text);

// From 0 to 1: with `items` the share of them that is there, otherwise 0 or 1.
double score(const Expectation &expect, const Answer &answer);

// Whether `phrase` stands in `text` as whole words: upper and lower case of A to Z alike, any white space like any other, a
// typographic apostrophe like a plain one. A letter, digit, underscore or byte beyond ASCII beside it belongs to a longer word,
// and so does a point or comma with a digit behind it beside a digit: "21" isn't in "21.5", and "5" isn't in "1,5".
bool holds_phrase(std::string_view text, std::string_view phrase);

// Whether two JSON texts have the same value: the order of an object's members and the writing of numbers don't count.
bool same_json(std::string_view a, std::string_view b);

}  // namespace engram::eval
