// Where things lie under ENGRAM_HOME.
#pragma once

#include <filesystem>

namespace engram {

inline std::filesystem::path store_path(const std::filesystem::path &home) { return home / "store"; }
inline std::filesystem::path registry_path(const std::filesystem::path &home) { return home / "registry.db"; }

}  // namespace engram
