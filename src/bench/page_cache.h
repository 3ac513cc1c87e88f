// Files out of the system's page cache, so that the next read comes from the disk; and how much of them stayed there
// nevertheless.
#pragma once

#include <cstdint>
#include <filesystem>

namespace engram::bench {

struct CachedPages {
    std::uint64_t pages = 0, stayed = 0;

    double share() const { return pages == 0 ? 0 : static_cast<double>(stayed) / static_cast<double>(pages); }
    CachedPages &operator+=(const CachedPages &more) {
        pages += more.pages;
        stayed += more.stayed;
        return *this;
    }
};

// From here on what was read from "disk" wasn't, and a record says so.
inline constexpr double kStayedTooMuch = 0.05;

// Syncs the file, since what isn't on disk yet can't be dropped, and asks the system to drop it. What it can't look at has
// stayed.
CachedPages drop_from_page_cache(const std::filesystem::path &path);
CachedPages drop_folder_from_page_cache(const std::filesystem::path &folder);  // all files below it

}  // namespace engram::bench
