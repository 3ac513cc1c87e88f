// Keeps work alive that runs in a process of its own: when that process dies of a signal it is started again, after a pause that
// doubles up to half a minute as long as it keeps dying soon. SIGINT and SIGTERM are passed on to it, and end the supervision.
// When the supervisor dies, so does the work (as by SIGTERM).
#pragma once

#include <functional>
#include <string_view>

#include "cli/exit_codes.h"
#include "engram/error.h"

namespace engram::cli {

// Runs `work` in a child, whose exit status it becomes, and returns the status of the child that ended by itself. The caller must
// have started no thread. `say` gets a sentence about each death. io: no child could be made.
Result<ExitCode> supervise(const std::function<ExitCode()> &work, const std::function<void(std::string_view)> &say);

}  // namespace engram::cli
