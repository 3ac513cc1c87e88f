// Text that a command takes from an argument, a file or standard input. Bounded.
#pragma once

#include <string>

#include "engram/error.h"

namespace engram::cli {

inline constexpr std::size_t kMaxInputBytes = 64 << 20;

// All of standard input, without one last line break. over_budget above kMaxInputBytes; io.
Result<std::string> read_standard_input();

// "@FILE" gives the file's text, "-" standard input, anything else itself. "@@x" is the text "@x".
Result<std::string> text_argument(const std::string &argument);

// invalid_argument unless the text is valid UTF-8 without zero bytes; `what` begins the sentence.
Result<void> require_text(const std::string &text, std::string_view what);

}  // namespace engram::cli
