#include "bench/machine.h"

#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <format>
#include <fstream>
#include <sstream>
#include <utility>

namespace engram::bench {

namespace {

// The first value of this key in a file of lines "key : value".
std::string value_in(const char *file, std::string_view key) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        const std::size_t colon = line.find(':');
        if (!line.starts_with(key) || colon == std::string::npos) continue;
        const std::size_t first = line.find_first_not_of(" \t", colon + 1);
        return first == std::string::npos ? std::string() : line.substr(first);
    }
    return {};
}

}  // namespace

std::string memory_text(std::string_view memory) {
    double kib = 0;
    const auto [end, error] = std::from_chars(memory.data(), memory.data() + memory.size(), kib);
    if (error != std::errc() || std::string_view(end, memory.data() + memory.size()) != " kB") return std::string(memory);
    return std::format("{:.1f} GiB", kib / (1024 * 1024));
}

std::string vector_instructions(std::string_view flags) {
    std::istringstream words{std::string(flags)};
    std::string found;
    for (std::string word; words >> word;) {
        const bool matters =
            word == "avx2" || word.starts_with("avx_vnni") || word.starts_with("avx512") || word.starts_with("amx");
        if (matters) found += (found.empty() ? "" : " ") + word;
    }
    return found;
}

std::string file_system_of(const std::filesystem::path &folder) {
    // linux/magic.h has them; some systems' headers lack the newer ones.
    static constexpr std::array<std::pair<std::uint64_t, std::string_view>, 8> kNames{{{0xEF53, "ext4"},
                                                                                       {0x58465342, "xfs"},
                                                                                       {0x9123683E, "btrfs"},
                                                                                       {0x01021994, "tmpfs"},
                                                                                       {0x794C7630, "overlay"},
                                                                                       {0x2FC12FC1, "zfs"},
                                                                                       {0x6969, "nfs"},
                                                                                       {0xF2F52010, "f2fs"}}};
    std::error_code ignored;
    std::filesystem::path there = std::filesystem::absolute(folder, ignored);
    while (!std::filesystem::exists(there, ignored) && there.has_relative_path()) there = there.parent_path();
    struct statfs system{};
    if (::statfs(there.c_str(), &system) != 0) return "unknown";
    const auto magic = static_cast<std::uint64_t>(system.f_type) & 0xFFFFFFFFU;
    const auto known = std::ranges::find(kNames, magic, &std::pair<std::uint64_t, std::string_view>::first);
    return known != kNames.end() ? std::string(known->second) : std::format("{:#x}", magic);
}

OrderedJson machine_json(const std::filesystem::path &home) {
    OrderedJson json{{"processor", value_in("/proc/cpuinfo", "model name")},
                     {"processors", ::sysconf(_SC_NPROCESSORS_ONLN)},
                     {"instructions", vector_instructions(value_in("/proc/cpuinfo", "flags"))},
                     {"memory", memory_text(value_in("/proc/meminfo", "MemTotal"))}};
    utsname system{};
    if (::uname(&system) == 0) json["kernel"] = std::format("{} {}", system.sysname, system.release);
    json["file_system"] = file_system_of(home);
    return json;
}

}  // namespace engram::bench
