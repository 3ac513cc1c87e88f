// What the program's exit status says. One table: ErrorCode to status, and the text of `engram help exit-codes`.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "engram/error.h"

namespace engram::cli {

enum class ExitCode : std::uint8_t {
    ok = 0,
    error = 1,
    usage = 2,
    not_found = 3,
    corrupt = 4,
    locked = 5,
    io = 6,
    already_exists = 7,
    unsupported = 8,
    engine = 9,
    cancelled = 130,
};

ExitCode exit_code_of(ErrorCode code);

struct ExitCodeEntry {
    ExitCode code = ExitCode::ok;
    std::string_view meaning;
};
std::span<const ExitCodeEntry> exit_code_entries();

// The table as text, one line for each status.
std::string exit_codes_text();

}  // namespace engram::cli
