// What an interrupted run has measured already.
//
// A benchmark that takes long is made of parts that need nothing of each other: a length, a number of agents (Lab::part). What a
// part has found is put into a file beside the results as soon as it is there, and the file goes when the whole record is
// written. A run that is asked for alike, of the same program on the same machine (measured_alike), takes it from there.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "bench/record.h"

namespace engram::bench {

// "resume-gemma3-270m-f16-full.json.partial": what isn't called .json is no result.
std::filesystem::path partial_file(const Record &record, const std::filesystem::path &folder);

// What the part of that name has found; nothing also where the file isn't there, was damaged, or is of another run.
std::optional<Record> kept_part(const std::filesystem::path &file, const Record &whole, const std::string &name);
// Keeps it beside the others of the same run, and nothing of other runs. io.
Result<void> keep_part(const std::filesystem::path &file, const std::string &name, const Record &part);

}  // namespace engram::bench
