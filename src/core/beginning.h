// The beginning of a text that is too long to be shown whole. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace engram {

// At most `most_bytes` of UTF-8, and no part of a character: a text that would be cut within one ends before it. The text itself
// when it isn't longer.
std::string_view beginning_of(std::string_view text, std::size_t most_bytes);

}  // namespace engram
