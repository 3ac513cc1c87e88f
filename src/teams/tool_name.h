// How tools of several servers are told apart: "files/read_file" for people, in cards and settings; "files__read_file" for
// models, whose APIs allow letters, digits, '_' and '-' only, 64 at most. Pure.
#pragma once

#include <string>
#include <string_view>

namespace engram {

// A name that is too long, or has other characters, ends in a part of its hash, so that two stay two.
std::string model_tool_name(std::string_view server, std::string_view tool);

}  // namespace engram
