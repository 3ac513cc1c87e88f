// What a record says about the machine. The same for each run on it, until it gets another kernel or other parts: records of
// unlike machines aren't compared (measured_alike).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "chat/bounded_json.h"

namespace engram::bench {

// Processor, its number and instructions that matter, memory, kernel, and the file system of this folder, or of where it will be.
OrderedJson machine_json(const std::filesystem::path &home);

std::string memory_text(std::string_view memory);         // "23.5 GiB" of "24684092 kB"; other texts as they are
std::string vector_instructions(std::string_view flags);  // those of the list "fpu avx2 …" that decide how fast a model is
std::string file_system_of(const std::filesystem::path &folder);  // "ext4"; its magic number where the name isn't known

}  // namespace engram::bench
