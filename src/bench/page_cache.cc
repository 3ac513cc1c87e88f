#include "bench/page_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace engram::bench {

namespace {

// Which pages of an open file are in memory. A mapping that nobody touches brings none in.
std::uint64_t cached_pages(int file, std::uint64_t bytes, std::uint64_t pages) {
    void *mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) return pages;
    std::vector<unsigned char> in_memory(pages);
    const bool told = ::mincore(mapped, bytes, in_memory.data()) == 0;
    ::munmap(mapped, bytes);
    if (!told) return pages;
    return static_cast<std::uint64_t>(std::ranges::count_if(in_memory, [](unsigned char page) { return (page & 1U) != 0; }));
}

}  // namespace

CachedPages drop_from_page_cache(const std::filesystem::path &path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};  // it has gone meanwhile
    CachedPages found;
    struct stat info{};
    if (::fstat(file, &info) == 0 && info.st_size > 0) {
        const auto bytes = static_cast<std::uint64_t>(info.st_size);
        const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
        ::fsync(file);
        ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        found.pages = (bytes + page - 1) / page;
        found.stayed = cached_pages(file, bytes, found.pages);
    }
    ::close(file);
    return found;
}

CachedPages drop_folder_from_page_cache(const std::filesystem::path &folder) {
    CachedPages all;
    std::error_code ignored;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(folder, ignored)) {
        if (entry.is_regular_file(ignored)) all += drop_from_page_cache(entry.path());
    }
    return all;
}

}  // namespace engram::bench
