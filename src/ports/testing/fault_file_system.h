// A file system for tests: real files under one root, and a model of what of them has reached the disk, so that a power cut can
// be played.
//
// What counts as durable: a file's bytes at its last sync(); a folder's names at its last sync_directory(). Everything under the
// root when the object is made is durable. Thread-safe. Files that others put there directly (a lock file) are left alone.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "ports/file_system.h"

namespace engram::testing {

enum class PowerCut : std::uint8_t {
    drop_unsynced,  // names and bytes that weren't synced are gone; removals that weren't synced are undone
    keep_names,     // the names had reached the disk anyway, but of bytes that weren't synced only half
};

class FaultFileSystem final : public FileSystem {
  public:
    explicit FaultFileSystem(std::filesystem::path root);

    // Changing operations so far: create, each write, sync, rename, remove, make_directories, sync_directory.
    std::uint64_t operations() const;
    void fail_at(std::uint64_t operation);  // only that one fails (the first is 1)
    void stop_at(std::uint64_t operation);  // that one and all later ones fail; a write gets half done
    void set_read_only(bool read_only);
    void set_space(std::optional<std::uint64_t> bytes);  // for all files together; what doesn't fit fails like a full disk
    void hold_changes(bool hold);                        // changing operations wait meanwhile
    void hold_lists(bool hold);                          // list() waits meanwhile

    std::uint64_t largest_total_bytes() const;  // of all files together, at any moment so far

    void cut_power(PowerCut kind);  // the root becomes what the disk holds; no file may be open

    Result<std::unique_ptr<WritableFile>> create(const std::filesystem::path &path) override;
    Result<std::unique_ptr<ReadableFile>> open(const std::filesystem::path &path) override;
    Result<void> rename(const std::filesystem::path &from, const std::filesystem::path &to) override;
    Result<void> remove(const std::filesystem::path &path) override;
    Result<void> make_directories(const std::filesystem::path &path) override;
    Result<void> sync_directory(const std::filesystem::path &path) override;
    Result<std::vector<DirectoryEntry>> list(const std::filesystem::path &path) override;
    Result<std::uint64_t> free_bytes(const std::filesystem::path &path) override;

  private:
    class File;
    struct Content {
        std::vector<std::byte> live;
        std::vector<std::byte> durable;
        bool synced = true;
    };
    using Lock = std::unique_lock<std::mutex>;
    using Names = std::map<std::filesystem::path, std::shared_ptr<Content>>;

    Result<void> begin_change(Lock &lock);  // counts, waits, fails
    std::uint64_t total_bytes(const Lock &) const;

    FileSystem &real_;
    const std::filesystem::path root_;

    mutable std::mutex mutex_;
    std::condition_variable released_;  // guarded by mutex_, as all below
    Names live_names_;
    Names durable_names_;
    std::set<std::filesystem::path> live_folders_;
    std::set<std::filesystem::path> durable_folders_;
    std::uint64_t operations_ = 0;
    std::uint64_t fail_at_ = 0;
    std::uint64_t stop_at_ = 0;
    bool read_only_ = false;
    bool hold_changes_ = false;
    bool hold_lists_ = false;
    std::optional<std::uint64_t> space_;
    std::uint64_t largest_total_bytes_ = 0;
};

}  // namespace engram::testing
