// Characters into UTF-8, for tests that make texts.
#pragma once

#include <cstdint>
#include <string>

namespace engram {

inline void add_utf8(std::string &text, char32_t c) {
    const auto put = [&text](std::uint32_t byte) { text += static_cast<char>(byte); };
    const auto further = [&](unsigned shift) { put(0x80U | (static_cast<std::uint32_t>(c) >> shift & 0x3FU)); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xC0U | c >> 6U);
        further(0);
    } else if (c < 0x10000) {
        put(0xE0U | c >> 12U);
        further(6);
        further(0);
    } else {
        put(0xF0U | c >> 18U);
        further(12);
        further(6);
        further(0);
    }
}

}  // namespace engram
