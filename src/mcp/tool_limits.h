// How much of what a tool server offers is taken; what is beyond is left out.
#pragma once

#include <cstddef>

namespace engram::mcp {

inline constexpr std::size_t kMaxTools = 4096;
inline constexpr std::size_t kMaxToolBytes = 256UZ << 10U;  // of one tool: name, description and schema
inline constexpr std::size_t kMaxToolsBytes = 16UZ << 20U;  // of all
inline constexpr std::size_t kMaxToolHeaders = 64;          // of one tool
inline constexpr std::size_t kMaxHeaderPathBytes = 1024;    // of the names that lead to an argument

}  // namespace engram::mcp
