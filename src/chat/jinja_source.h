// Template text from a model file, checked before it is parsed.
//
// A chat template is a program that came with the model, and the Jinja library that runs it trusts it: it divides by whatever it
// is told, recurses as deep as the text nests, and matches comments with a recursive regular expression. So the text passes
// through here first. What is refused below is what would bring the process down or never end; no chat template we know of uses
// any of it:
//
//   - more than kMaxTemplateBytes; more than kMaxTagBytes of code (string literals not counted) in one tag; brackets or blocks
//   nested
//     deeper than kMaxNesting; a run of white space or an identifier longer than kMaxRun
//   - `/`, `//` and `%` by anything but a positive whole number written there (division by zero is a signal, not an exception)
//   - slices with a step and bounds at once, `[1:9:2]` (`[::-1]` and `[1:9]` are fine): read beyond a string's end
//   - `.split("")`, `.replace("", …)`: never end
//   - `cycle` and `recursive`: the library keeps references to a loop that is gone
//
// What can't be told from the text is bounded while rendering: jinja.h.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engram/error.h"

namespace engram {

inline constexpr std::size_t kMaxTemplateBytes = 64UZ << 10U;
inline constexpr std::size_t kMaxTagBytes = 2048;
inline constexpr std::size_t kMaxNesting = 64;
inline constexpr std::size_t kMaxRun = 1000;

// The template, with the text of comments left out (the marks stay: they take part in white space control), or why it is refused.
Result<std::string> check_jinja_source(std::string_view source);

}  // namespace engram
