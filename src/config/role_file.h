// A role as a TOML file: who an agent is, and what it can do. `engram agent apply` makes agents of a folder of them.
//
//     system_prompt = "You are the technical agent. …"   # or system_prompt_file = "technical.txt", beside the file
//     description = "Looks at how things are built"
//     owner = "platform team"
//     labels = ["team=analysis"]
//     colleagues = ["coordinator"]
//     retention = "24h"                                  # as in engram agent retain
//     tools = ["files/*", "notes/*"]                     # of the configured ones: what it may call
//     approvals = ["files/write_file"]                   # of those, what a person must allow each time
//     team = "harbour"                                   # whose notes it shares
//     compaction = "summarise"                           # when its context is full: stop, keep_last, summarise
//     functions_file = "functions.json"                  # or functions = [{type = "function", function = {…}}]: tools
//                                                        # that whoever talks to it runs
//     [[skills]]
//     id = "architecture"
//     name = "Architecture"
//     description = "Judges designs"
//     tags = ["design"]
//
// All members are optional; one that isn't known is an error, for it is a misspelling. The agent's id is `id`, or the file's
// name.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engram/agents.h"
#include "engram/error.h"

namespace engram {

inline constexpr std::size_t kMaxRoleBytes = 1UZ << 20U;
inline constexpr std::size_t kMaxRoles = 1000;  // in one folder

// Reads a file that a role names, by its name as it stands there.
using ReadBeside = std::function<Result<std::string>(const std::string &name)>;

// `name` stands in messages ("NAME:LINE: …") and, without folder and ending, for a missing id. invalid_argument, and what
// `read_beside` says.
Result<AgentSpec> parse_role(std::string_view toml, const std::filesystem::path &name, const ReadBeside &read_beside);

// All *.toml of a folder, by name. not_found, io, invalid_argument: also when two have one id.
Result<std::vector<AgentSpec>> read_roles(const std::filesystem::path &folder);

}  // namespace engram
