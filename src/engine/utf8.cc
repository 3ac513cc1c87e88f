#include "engine/utf8.h"

namespace engram {

namespace {

struct Lead {
    std::size_t length = 0;  // 0: can't begin a character
    unsigned char second_low = 0x80, second_high = 0xBF;
};

Lead lead_of(unsigned char byte) {
    if (byte < 0x80) return {.length = 1};
    if (byte < 0xC2) return {};
    if (byte < 0xE0) return {.length = 2};
    if (byte == 0xE0) return {.length = 3, .second_low = 0xA0};
    if (byte == 0xED) return {.length = 3, .second_high = 0x9F};
    if (byte < 0xF0) return {.length = 3};
    if (byte == 0xF0) return {.length = 4, .second_low = 0x90};
    if (byte < 0xF4) return {.length = 4};
    if (byte == 0xF4) return {.length = 4, .second_high = 0x8F};
    return {};
}

}  // namespace

Utf8Unit next_utf8_unit(std::string_view bytes) {
    const Lead lead = lead_of(static_cast<unsigned char>(bytes.front()));
    if (lead.length == 0) return {.kind = Utf8Unit::Kind::invalid, .bytes = 1};
    for (std::size_t i = 1; i < lead.length; ++i) {
        if (i == bytes.size()) return {.kind = Utf8Unit::Kind::unfinished, .bytes = i};
        const auto byte = static_cast<unsigned char>(bytes[i]);
        const unsigned char low = i == 1 ? lead.second_low : 0x80;
        const unsigned char high = i == 1 ? lead.second_high : 0xBF;
        if (byte < low || byte > high) return {.kind = Utf8Unit::Kind::invalid, .bytes = i};
    }
    return {.kind = Utf8Unit::Kind::character, .bytes = lead.length};
}

std::string repair_utf8(std::string_view bytes) {
    std::string text;
    text.reserve(bytes.size());
    while (!bytes.empty()) {
        const Utf8Unit unit = next_utf8_unit(bytes);
        text += unit.kind == Utf8Unit::Kind::character ? bytes.substr(0, unit.bytes) : kReplacementCharacter;
        bytes.remove_prefix(unit.bytes);
    }
    return text;
}

}  // namespace engram
