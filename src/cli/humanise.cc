#include "cli/humanise.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>
#include <cmath>
#include <format>

namespace engram::cli {
namespace {

struct Character {
    char32_t code = 0;
    std::size_t bytes = 1;
    bool valid = false;
};

// The UTF-8 character at the text's front; an invalid byte stands for itself.
Character first_character(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    if (lead < 0x80) {
        return {.code = lead, .bytes = 1, .valid = true};
    }
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() < length) {
        return {.code = lead};
    }
    char32_t code = lead & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        const auto next = static_cast<unsigned char>(text[i]);
        if ((next & 0xC0U) != 0x80U) {
            return {.code = lead};
        }
        code = (code << 6U) | (next & 0x3FU);
    }
    return {.code = code, .bytes = length, .valid = true};
}

bool is_control(char32_t code) { return code < 0x20 || (code >= 0x7F && code < 0xA0); }

struct CodeRange {
    char32_t first, last;
};
constexpr std::array<CodeRange, 7> kCombining{
    {{0x300, 0x36F}, {0x483, 0x489}, {0x591, 0x5BD}, {0x64B, 0x65F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}}};
constexpr std::array<CodeRange, 8> kWide{{{0x1100, 0x115F},
                                          {0x2E80, 0xA4CF},
                                          {0xAC00, 0xD7A3},
                                          {0xF900, 0xFAFF},
                                          {0xFE30, 0xFE6F},
                                          {0xFF00, 0xFF60},
                                          {0x1F300, 0x1FAFF},
                                          {0x20000, 0x3FFFD}}};

bool within(std::span<const CodeRange> ranges, char32_t code) {
    return std::ranges::any_of(ranges, [code](const CodeRange &range) { return code >= range.first && code <= range.last; });
}

std::size_t width_of(const Character &character) {
    if (!character.valid) {
        return 1;
    }
    if (is_control(character.code) || within(kCombining, character.code)) {
        return 0;
    }
    return within(kWide, character.code) ? 2 : 1;
}

std::string plural(std::int64_t n, std::string_view unit) { return std::format("{} {}{} ago", n, unit, n == 1 ? "" : "s"); }

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
    constexpr std::array<std::string_view, 6> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    auto amount = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (amount >= 1023.5 && unit + 1 < kUnits.size()) {
        amount /= 1024;
        ++unit;
    }
    if (unit == 0 || amount >= 99.95) {
        return std::format("{:.0f} {}", amount, kUnits[unit]);
    }
    return std::format("{:.1f} {}", amount, kUnits[unit]);
}

std::string human_count(std::uint64_t count) {
    std::string digits = std::format("{}", count);
    for (std::size_t at = digits.size(); at > 3; at -= 3) {
        digits.insert(at - 3, ",");
    }
    return digits;
}

std::string human_ms(double milliseconds) {
    if (milliseconds < 9.95) {
        return std::format("{:.1f} ms", milliseconds);
    }
    if (milliseconds < 999.5) {
        return std::format("{:.0f} ms", milliseconds);
    }
    if (milliseconds < 59995) {
        return std::format("{:.2f} s", milliseconds / 1000);
    }
    const auto seconds = static_cast<std::int64_t>(std::llround(milliseconds / 1000));
    return std::format("{} min {} s", seconds / 60, seconds % 60);
}

std::string human_age(std::int64_t then_ms, std::int64_t now_ms) {
    if (then_ms <= 0) {
        return "never";
    }
    const std::int64_t seconds = std::max<std::int64_t>(0, now_ms - then_ms) / 1000;
    if (seconds < 60) {
        return "just now";
    }
    if (seconds < 3600) {
        return std::format("{} min ago", seconds / 60);
    }
    if (seconds < 86400) {
        return plural(seconds / 3600, "hour");
    }
    return plural(seconds / 86400, "day");
}

std::string iso_time(std::int64_t unix_ms) {
    const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(unix_ms)};
    return std::format("{:%Y-%m-%dT%H:%M:%S}Z", std::chrono::floor<std::chrono::seconds>(time));
}

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    while (!text.empty()) {
        const Character character = first_character(text);
        width += width_of(character);
        text.remove_prefix(character.bytes);
    }
    return width;
}

std::string one_line(std::string_view text, std::size_t width) {
    std::string result;
    std::size_t used = 0;
    while (!text.empty()) {
        const Character character = first_character(text);
        const bool blank = character.valid && is_control(character.code);
        const std::size_t columns = blank ? 1 : width_of(character);
        const bool last = text.size() == character.bytes;
        if (used + columns > width || (used + columns == width && !last)) {
            return result + "…";
        }
        result += blank ? " " : character.valid ? text.substr(0, character.bytes) : "\uFFFD";
        used += columns;
        text.remove_prefix(character.bytes);
    }
    return result;
}

std::string printable(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const Character character = first_character(text);
        if (!character.valid) {
            result += "\uFFFD";
        } else if (!is_control(character.code) || character.code == '\n' || character.code == '\t') {
            result += text.substr(0, character.bytes);
        }
        text.remove_prefix(character.bytes);
    }
    return result;
}

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {
    for (std::string &heading : headings_) {
        right_.push_back(heading.starts_with('>'));
        heading.erase(0, right_.back() ? 1 : 0);
    }
}

void Table::add(std::vector<std::string> row) {
    assert(row.size() == headings_.size());
    rows_.push_back(std::move(row));
}

std::string Table::text() const {
    std::vector<std::size_t> widths;
    for (std::size_t column = 0; column < headings_.size(); ++column) {
        std::size_t width = display_width(headings_[column]);
        for (const auto &row : rows_) {
            width = std::max(width, display_width(row[column]));
        }
        widths.push_back(width);
    }
    std::string text;
    auto add_line = [&](const std::vector<std::string> &cells) {
        std::string line;
        for (std::size_t column = 0; column < cells.size(); ++column) {
            const std::string padding(widths[column] - display_width(cells[column]), ' ');
            line += column == 0 ? "" : "  ";
            line += right_[column] ? padding + cells[column] : cells[column] + padding;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    };
    if (std::ranges::any_of(headings_, [](const std::string &heading) { return !heading.empty(); })) {
        add_line(headings_);
    }
    for (const auto &row : rows_) {
        add_line(row);
    }
    return text;
}

}  // namespace engram::cli
