// Parts that failed verification, kept for inspection: ROOT/quarantine/<id>.<kind>.<n>.safetensors, n counting up. Within a byte
// budget; the oldest go first. Changes are guarded by the store's publish mutex; bytes() and parts() may be asked for at any
// time.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>

#include "ports/file_system.h"
#include "store/block_store.h"

namespace engram {

class Quarantine {
  public:
    Quarantine(FileSystem &files, std::filesystem::path folder, std::uint64_t budget_bytes);

    Result<void> load();  // counts what is there, once; take() and clear() see to it themselves

    // Moves a file in. One that is larger than the whole budget is removed.
    Result<void> take(const std::filesystem::path &file, const PartKey &key, std::uint64_t bytes);
    Result<std::uint64_t> clear();  // files removed

    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t parts() const { return parts_; }

  private:
    struct Kept {
        std::uint64_t number = 0;
        std::string name;
        std::uint64_t bytes = 0;
    };
    Result<void> remove_oldest();

    FileSystem &files_;
    const std::filesystem::path folder_;
    const std::uint64_t budget_bytes_;
    bool loaded_ = false;
    std::deque<Kept> kept_;  // by number
    std::uint64_t last_number_ = 0;
    std::atomic<std::uint64_t> bytes_ = 0;
    std::atomic<std::uint64_t> parts_ = 0;
};

}  // namespace engram
