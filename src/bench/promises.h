// Whether what Engram is held to was kept: a record's promises beside what it measured. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "bench/record.h"

namespace engram::bench {

struct Verdict {
    std::string promised, measured;  // "at most 1.5 × the floor", "45.1 ms, 1.58 × 28.5 ms"
    std::optional<bool> holds;       // nothing: the record lacks a figure that this needs
};
Verdict verdict_of(const Record &record, const Promise &promise);
std::string outcome_text(const Verdict &verdict);  // "holds", "doesn't hold", "not measured"

// The promises of these records as rows of Markdown, without a heading; empty when they have none.
std::string promise_lines(std::span<const Record *const> records);
inline constexpr std::string_view kPromiseHeading =
    "| what | model | promised | measured | outcome |\n| --- | --- | --- | --- | --- |\n";

}  // namespace engram::bench
