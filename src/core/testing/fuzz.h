// What fuzz entries share.
//
// An entry (LLVMFuzzerTestOneInput) gets any bytes, and checks what must hold of whatever was made of them. What doesn't hold
// ends the process, so that libFuzzer, and the replay of a corpus (replay_main.cc), see it as they see a crash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string_view>
#include <vector>

namespace engram::fuzz {

inline void require(bool holds, std::source_location place = std::source_location::current()) {
    if (holds) return;
    static_cast<void>(std::fprintf(stderr, "%s:%u: this doesn't hold\n", place.file_name(), place.line()));
    std::abort();
}

inline std::string_view text_of(const std::uint8_t *data, std::size_t size) {
    return {reinterpret_cast<const char *>(data), size};
}

// The text in pieces of 1 to 23 bytes, cut at places that follow from it alone, so that an input always gives the same ones; with
// `whole_characters` never within a character of UTF-8.
inline std::vector<std::string_view> pieces_of(std::string_view text, bool whole_characters = false) {
    std::uint64_t state = 0xCBF29CE484222325U;
    for (const char c : text) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
    std::vector<std::string_view> pieces;
    while (!text.empty()) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        const std::uint64_t chosen = state >> 40U;
        std::size_t size = 1 + (chosen % 4 == 0 ? chosen / 4 % 23 : chosen / 4 % 3);
        const auto goes_on = [&] { return (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U; };
        while (whole_characters && size < text.size() && goes_on()) ++size;
        pieces.push_back(text.substr(0, size));
        text.remove_prefix(pieces.back().size());
    }
    return pieces;
}

// Up to the first line feed, and what is behind it: for entries that take two texts.
struct TwoTexts {
    std::string_view first, second;
};
inline TwoTexts two_texts(std::string_view text) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {.first = text, .second = {}};
    return {.first = text.substr(0, end), .second = text.substr(end + 1)};
}

}  // namespace engram::fuzz
