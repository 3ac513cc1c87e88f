#include "cli/exit_codes.h"

#include <array>
#include <format>

namespace engram::cli {
namespace {

constexpr auto kEntries = std::to_array<ExitCodeEntry>({
    {ExitCode::ok, "done"},
    {ExitCode::error, "an error that no other status describes (a bug: please report it)"},
    {ExitCode::usage, "the command line, a setting or an argument is wrong"},
    {ExitCode::not_found, "no agent, model, file, key, tenant or topic of that name"},
    {ExitCode::corrupt, "stored bytes are corrupt, or were made by another model or format (incompatible)"},
    {ExitCode::locked, "another process uses this home folder"},
    {ExitCode::io, "the file system refused, or a budget or limit is reached"},
    {ExitCode::already_exists, "the name is taken"},
    {ExitCode::unsupported, "this model or build can't do it"},
    {ExitCode::engine, "the inference engine refused or failed"},
    {ExitCode::cancelled, "stopped by Ctrl-C"},
});

}  // namespace

ExitCode exit_code_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid_argument: return ExitCode::usage;
        case ErrorCode::not_found: return ExitCode::not_found;
        case ErrorCode::already_exists: return ExitCode::already_exists;
        case ErrorCode::corrupt:
        case ErrorCode::incompatible: return ExitCode::corrupt;
        case ErrorCode::over_budget:
        case ErrorCode::too_long:
        case ErrorCode::io: return ExitCode::io;
        case ErrorCode::locked: return ExitCode::locked;
        case ErrorCode::cancelled: return ExitCode::cancelled;
        case ErrorCode::unsupported: return ExitCode::unsupported;
        case ErrorCode::engine: return ExitCode::engine;
        case ErrorCode::internal: return ExitCode::error;
    }
    return ExitCode::error;
}

std::span<const ExitCodeEntry> exit_code_entries() { return kEntries; }

std::string exit_codes_text() {
    std::string text;
    for (const ExitCodeEntry &entry : kEntries) {
        text += std::format("  {:>3}  {}\n", static_cast<int>(entry.code), entry.meaning);
    }
    return text;
}

}  // namespace engram::cli
