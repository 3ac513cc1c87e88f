// Completion scripts, made from the tree of commands: what the parser knows is what the shell offers. Pure.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace engram::cli {

std::string bash_completion(const CLI::App &app);
std::string zsh_completion(const CLI::App &app);
std::string fish_completion(const CLI::App &app);

}  // namespace engram::cli
