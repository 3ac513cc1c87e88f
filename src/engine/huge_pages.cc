#include "engine/huge_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

namespace engram {

namespace {

// "7fd228995000-7fd23ae00000 rw-p 00000000 00:00 0": what programs map for themselves has no file, hence no name.
constexpr std::string_view kPrivate = " rw-p 00000000 00:00 0";

}  // namespace

std::string huge_page_mode(const std::filesystem::path &setting) {
    std::ifstream file(setting);  // "always [madvise] never"
    for (std::string word; file >> word;) {
        if (word.size() > 2 && word.starts_with('[') && word.ends_with(']')) return word.substr(1, word.size() - 2);
    }
    return {};
}

HugePages::HugePages(std::size_t least_bytes) : least_bytes_(least_bytes), known_(mapped()) {}

std::vector<HugePages::Range> HugePages::mapped() {
    std::vector<Range> ranges;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        Range range;
        const char *const end = line.data() + line.size();
        const auto [dash, bad_begin] = std::from_chars(line.data(), end, range.begin, 16);
        if (bad_begin != std::errc() || dash == end || *dash != '-') continue;
        const auto [rest, bad_end] = std::from_chars(dash + 1, end, range.end, 16);
        if (bad_end != std::errc()) continue;
        std::string_view about(rest, static_cast<std::size_t>(end - rest));
        about = about.substr(0, about.find_last_not_of(' ') + 1);
        if (about == kPrivate) ranges.push_back(range);
    }
    return ranges;
}

std::size_t HugePages::advise_new() {
    std::size_t advised = 0;
#ifdef MADV_HUGEPAGE
    std::vector<Range> now = mapped();
    const auto advise = [&](std::uintptr_t begin, std::uintptr_t end) {
        if (end <= begin || end - begin < least_bytes_) return;
        void *const start = reinterpret_cast<void *>(begin);  // NOLINT(performance-no-int-to-ptr): /proc tells numbers
        if (madvise(start, end - begin, MADV_HUGEPAGE) == 0) advised += end - begin;
    };
    // The kernel joins neighbours, so that what is new can be a part of a range.
    auto known = known_.begin();
    for (const Range &range : now) {
        std::uintptr_t begin = range.begin;
        while (known != known_.end() && known->end <= begin) ++known;
        for (auto old = known; old != known_.end() && old->begin < range.end; ++old) {
            advise(begin, old->begin);
            begin = std::max(begin, old->end);
        }
        advise(begin, range.end);
    }
    known_ = std::move(now);
#endif
    return advised;
}

}  // namespace engram
