// The file operations that durability depends on, so that tests can make them fail, drop what wasn't synced, or fill the disk.
//
// Paths are absolute. All methods are thread-safe. Errors are `io` (or not_found where the path doesn't exist) with the path and
// the system's reason in the message.
#pragma once

#include <sys/uio.h>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engram/error.h"

namespace engram {

class WritableFile {
  public:
    virtual ~WritableFile() = default;                              // closes; does not sync
    virtual Result<void> write(std::span<const iovec> pieces) = 0;  // appends all pieces, in order
    virtual Result<void> sync() = 0;                                // data and size reach the disk
};

class ReadableFile {
  public:
    virtual ~ReadableFile() = default;
    virtual std::uint64_t size() const = 0;
    // Fills all pieces from `offset` on; `corrupt` when the file ends first.
    virtual Result<void> read(std::uint64_t offset, std::span<const iovec> pieces) = 0;
};

struct DirectoryEntry {
    std::string name;
    bool is_directory = false;
    std::uint64_t bytes = 0;       // of a regular file
    std::int64_t modified_ms = 0;  // wall clock
};

class FileSystem {
  public:
    virtual ~FileSystem() = default;
    virtual Result<std::unique_ptr<WritableFile>> create(const std::filesystem::path &path) = 0;  // 0600, must not exist
    virtual Result<std::unique_ptr<ReadableFile>> open(const std::filesystem::path &path) = 0;
    virtual Result<void> rename(const std::filesystem::path &from, const std::filesystem::path &to) = 0;
    virtual Result<void> remove(const std::filesystem::path &path) = 0;
    virtual Result<void> make_directories(const std::filesystem::path &path) = 0;  // 0700 for those it makes
    virtual Result<void> sync_directory(const std::filesystem::path &path) = 0;
    virtual Result<std::vector<DirectoryEntry>> list(const std::filesystem::path &path) = 0;
    virtual Result<std::uint64_t> free_bytes(const std::filesystem::path &path) = 0;
};

// POSIX. Lives for the whole process.
FileSystem &posix_file_system();

}  // namespace engram
