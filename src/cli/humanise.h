// Numbers as people read them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace engram::cli {

std::string human_bytes(std::uint64_t bytes);                      // "0 B", "1.5 KiB", "369 MiB"
std::string human_count(std::uint64_t count);                      // "20,000"
std::string human_ms(double milliseconds);                         // "0.3 ms", "14 ms", "1.52 s", "2 min 5 s"
std::string human_age(std::int64_t then_ms, std::int64_t now_ms);  // "just now", "5 min ago", "3 days ago", "never" for 0
std::string iso_time(std::int64_t unix_ms);                        // "2026-01-31T12:00:00Z"

// Columns that a terminal shows for `text` (UTF-8): characters, wide ones counted as two, combining ones as none.
std::size_t display_width(std::string_view text);

// Cut to at most `width` columns, with "…" in place of what is missing; line breaks and control characters become spaces.
std::string one_line(std::string_view text, std::size_t width);

// The text without control characters (escape sequences that stored text may hold); line breaks and tabs stay.
std::string printable(std::string_view text);

// Rows under headings, in aligned columns two spaces apart. A heading that starts with '>' is aligned to the right.
class Table {
  public:
    explicit Table(std::vector<std::string> headings);
    void add(std::vector<std::string> row);  // as many cells as headings
    std::string text() const;
    bool empty() const { return rows_.empty(); }

  private:
    std::vector<std::string> headings_;
    std::vector<bool> right_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace engram::cli
