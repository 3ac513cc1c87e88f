// Data that comes with the program: the model and the suite that it takes when none is given.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace engram {

// Where data files lie: ../share/engram beside the folder of the running executable, in an installation as in a build tree.
std::optional<std::filesystem::path> installed_folder();

// The file of that name in it, when it is there.
std::optional<std::filesystem::path> installed_file(std::string_view name);

inline constexpr std::string_view kInstalledModel = "engram-nano.gguf";
inline constexpr std::string_view kInstalledSuite = "suite.json";

}  // namespace engram
