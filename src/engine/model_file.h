// A model's file before libllama sees it. Internal to the engine.
#pragma once

#include <filesystem>
#include <vector>

#include "core/ids.h"
#include "engine/model.h"
#include "engram/error.h"

namespace engram {

// The file itself, or all parts of a split GGUF (name-00001-of-0000N.gguf) in order.
std::vector<std::filesystem::path> model_file_parts(const std::filesystem::path &path);

// What distinguishes a file from the one that was there before, as far as the file system knows.
struct FileStamp {
    std::uint64_t bytes = 0;
    std::int64_t modified_ns = 0;
    std::uint64_t inode = 0;

    bool operator==(const FileStamp &) const = default;
};
Result<FileStamp> stamp_file(const std::filesystem::path &path);  // not_found, io (also for what isn't a regular file)

// Refuses what isn't a whole GGUF: libllama aborts the process on some such files where it should report them. not_found, io,
// engine.
Result<void> check_gguf(const std::filesystem::path &path);

}  // namespace engram
