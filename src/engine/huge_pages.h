// Huge pages for what libllama allocates: weights, KV cells, and buffers for computing.
//
// All of it is read once for each token. In pages of 4 KiB most of that time can go into translating addresses, above all in
// virtual machines, where each translation is made twice. Linux gives pages of 2 MiB to memory that was advised to have them
// *before it is touched* (Documentation/admin-guide/mm/transhuge.rst: /sys/kernel/mm/transparent_hugepage/enabled is "madvise" in
// most distributions). libllama allocates inside itself and advises nothing, so what has been mapped anew is looked for when it
// says how large a buffer has become, which it does before it fills one (docs/adr/0020-huge-pages.md).
//
// Advice only: where the kernel doesn't take it, or there is no /proc/self/maps, everything works as without.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace engram {

inline constexpr const char *kHugePageSetting = "/sys/kernel/mm/transparent_hugepage/enabled";

// Which of "always", "madvise" and "never" the system has chosen; empty where it has no huge pages to give.
std::string huge_page_mode(const std::filesystem::path &setting = kHugePageSetting);

// Not thread-safe. Other threads may map and unmap meanwhile.
class HugePages {
  public:
    // What is mapped now is never advised. Pieces below `least_bytes` aren't, either: a thread's stack (8 MiB) is one, and would
    // take 2 MiB instead of the few pages that it uses.
    explicit HugePages(std::size_t least_bytes = std::size_t{9} << 20);

    // Advises private anonymous memory that has been mapped since the previous call. Returns its size in bytes.
    std::size_t advise_new();

  private:
    struct Range {
        std::uintptr_t begin = 0, end = 0;
    };
    static std::vector<Range> mapped();

    std::size_t least_bytes_;
    std::vector<Range> known_;  // in order, without overlaps
};

}  // namespace engram
