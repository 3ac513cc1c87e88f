// A record's plot as SVG: lines over a label that is a number, bars over one that is a text. Light and dark pages show it alike.
// Pure.
#pragma once

#include <string>

#include "bench/record.h"

namespace engram::bench {

// Empty when the record has no such figure.
std::string plot_svg(const Record &record, const Plot &plot);

// A figure as a plot's axis and a table of text show it: "21.3 ms", "4.2 MiB", "118 tokens/s".
std::string figure_text(double value, std::string_view unit);

}  // namespace engram::bench
