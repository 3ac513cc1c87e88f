// The little of UTF-8 that streaming and tokenising need. Internal to the engine.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace engram {

// What stands at the beginning of some bytes.
struct Utf8Unit {
    enum class Kind : unsigned char { character, unfinished, invalid };
    Kind kind = Kind::invalid;
    // Of the character; of the longest prefix that could have become one (invalid: replaced by one U+FFFD; at least 1); of the
    // rest.
    std::size_t bytes = 0;
};

// `bytes` isn't empty. Overlong forms, surrogates and values above U+10FFFF are invalid, as in the Unicode standard's table 3-7.
Utf8Unit next_utf8_unit(std::string_view bytes);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

// The text with everything that isn't UTF-8, an unfinished character at its end included, replaced by U+FFFD.
std::string repair_utf8(std::string_view bytes);

}  // namespace engram
