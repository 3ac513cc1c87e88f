// What people read: records as a Markdown page with plots, as a table on a terminal, and as the README's table of figures. All of
// it follows from the records alone, so that a test can tell whether a committed page is what the committed records say. Pure,
// but for write_report.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/record.h"

namespace engram::bench {

// One line for each figure of each row: labels, what was measured, each side's median and quartiles, and by how much Engram is
// ahead of the peer (above 1: ahead).
struct FigureTable {
    std::vector<std::string> headings;
    std::vector<std::vector<std::string>> lines;
};
FigureTable figure_table(const Record &record);

std::string report_page(std::span<const Record> records);  // links the plots by plot_file_name
std::string plot_file_name(const Record &record, std::size_t index);

// Of each benchmark, variant and machine the newest full record, or the newest quick one where there is none; no smoke runs.
std::vector<const Record *> worth_telling(std::span<const Record> records);

// Highlights of those, by machine; and what they promise, with what was measured.
std::string readme_table(std::span<const Record> records);
std::string promises_table(std::span<const Record> records);

inline constexpr std::string_view kReadmeBegin = "<!-- figures: made by `engram bench report` -->";
inline constexpr std::string_view kReadmeEnd = "<!-- end of figures -->";
inline constexpr std::string_view kPromisesBegin = "<!-- promises: made by `engram bench report` -->";
inline constexpr std::string_view kPromisesEnd = "<!-- end of promises -->";
// The text with the table between the two marks. not_found: the marks aren't there.
Result<std::string> with_readme_table(std::string_view readme, std::string_view table);
// The same with the table of these records; and with their promises, where the text has marks for them.
Result<std::string> with_results(std::string_view readme, std::span<const Record> records);

std::string model_text(const Record &record);                      // "gemma3-270m q8_0"; may be empty
std::string markdown_line(const std::vector<std::string> &cells);  // of a table

// Writes README.md and the plots beside the records in the folder; removes plots that no record has.
Result<void> write_report(std::span<const Record> records, const std::filesystem::path &folder);
// What write_report would write that isn't there like that: file names. Empty: all is up to date.
std::vector<std::string> outdated(std::span<const Record> records, const std::filesystem::path &folder);

}  // namespace engram::bench
