#include "config/installed_file.h"

#include <system_error>

#ifdef __APPLE__
#include <mach-o/dyld.h>

#include <string>
#endif

namespace engram {
namespace {

std::filesystem::path executable() {
    std::error_code error;
#ifdef __APPLE__
    std::uint32_t size = 0;
    _NSGetExecutablePath(nullptr, &size);
    std::string path(size, '\0');
    if (_NSGetExecutablePath(path.data(), &size) != 0) return {};
    return std::filesystem::canonical(path.c_str(), error);
#else
    return std::filesystem::read_symlink("/proc/self/exe", error);
#endif
}

}  // namespace

std::optional<std::filesystem::path> installed_folder() {
    const std::filesystem::path program = executable();
    if (program.empty()) return std::nullopt;
    return program.parent_path().parent_path() / "share" / "engram";
}

std::optional<std::filesystem::path> installed_file(std::string_view name) {
    const auto folder = installed_folder();
    std::error_code error;
    if (!folder || !std::filesystem::is_regular_file(*folder / name, error)) return std::nullopt;
    return *folder / name;
}

}  // namespace engram
