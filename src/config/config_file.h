// The TOML file: its text into texts of settings, each with its line. Foreign bytes: bounded and fully checked.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace engram {

struct ConfigEntry {
    const SettingSpec *spec = nullptr;
    std::vector<std::string> texts;  // one, or those of a list
    std::size_t line = 0;
};

// `name` is put before the line number in messages. invalid_argument: not TOML, an unknown key, a value of a wrong type, or a
// size above kMaxConfigBytes.
Result<std::vector<ConfigEntry>> parse_config(std::string_view toml, std::string_view name);

// The file's text. not_found, io, invalid_argument (larger than kMaxConfigBytes).
Result<std::string> read_bounded_file(const std::filesystem::path &path, std::size_t max_bytes);

}  // namespace engram
