// Which tools of tool servers an agent's card means: "files/read_file", or a pattern of such names. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace engram {

// Whether one of the patterns fits "server/tool"; '*' stands for anything.
bool tool_matches(std::span<const std::string> patterns, std::string_view server, std::string_view tool);
// Whether one could fit a tool of that server.
bool server_matches(std::span<const std::string> patterns, std::string_view server);

}  // namespace engram
