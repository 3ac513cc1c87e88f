// The home folder, and what commands open in it.
#pragma once

#include <filesystem>
#include <memory>

#include "cli/command_line.h"
#include "engram/agents.h"

namespace engram::cli {

// Makes the folder (0700) and missing ones above it. io.
Result<void> ensure_home(const std::filesystem::path &home);

// Options that name no model get the installed one; invalid_argument when there is none.
Result<void> require_model(ManagerOptions &options);

// The manager with the settings' options. invalid_argument when no model is given; what AgentManager::open says.
Result<std::unique_ptr<AgentManager>> open_manager(const Context &context);

// Milliseconds since the Unix epoch.
std::int64_t now_ms();

}  // namespace engram::cli
