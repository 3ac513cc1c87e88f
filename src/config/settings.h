// Settings: what a user may choose, and where each choice came from.
//
// One table (setting_specs) names every setting once; flags, environment variables, the TOML file, `engram config show` and the
// documentation are all made from it. Precedence: flag, then environment variable, then TOML file, then default. Within one
// source a specific setting (kv-type-k) beats the general one (kv-type).
//
// The TOML file is foreign: it is read up to kMaxConfigBytes, and an unknown key, a wrong type or a value out of range is an
// error that names file and line. Lists are arrays in the file, repeated flags on the command line, and separated by `;` in a
// variable. Relative paths in the file are relative to the file's folder. Sizes: plain bytes, or a number with K, M, G, T (or
// KiB, MiB, ...; powers of 1024) or kB, MB, GB, TB (powers of 1000).
//
// Values only: nothing here makes or changes a file. Immutable after resolve(); any thread may read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engram/error.h"

namespace engram {

inline constexpr std::size_t kMaxConfigBytes = 1 << 20;

enum class SettingKind : std::uint8_t { text, path, choice, whole, number, bytes, texts, paths };
enum class SettingGroup : std::uint8_t { general, model, storage, sampling, server };

std::string_view setting_kind_name(SettingKind kind);     // "text", "path", "whole number", ...
std::string_view setting_group_name(SettingGroup group);  // "general", "model", "storage", "sampling", "server"

struct SettingSpec {
    std::string_view name{};  // the TOML key, and the flag without its dashes
    SettingKind kind = SettingKind::text;
    SettingGroup group = SettingGroup::general;
    std::string_view value_name{};  // how help shows the value: "PATH", "N"
    std::string_view default_text{};
    std::string_view help{};
    double minimum = 0, maximum = 0;                  // of whole, number and bytes; both ends allowed
    std::span<const std::string_view> choices{};      // of choice; an empty text in it means "not set"
    bool in_file = true;                              // false: only as flag or variable
    std::string_view stands_for_1{}, stands_for_2{};  // a general setting: the two it sets; it has no value of its own
    bool is_general() const { return !stands_for_1.empty(); }
    bool is_list() const { return kind == SettingKind::texts || kind == SettingKind::paths; }
};

std::span<const SettingSpec> setting_specs();
const SettingSpec *find_setting(std::string_view name);       // null when there is none
std::string environment_name(const SettingSpec &spec);        // "ENGRAM_GPU_LAYERS"
std::string closest_setting_name(std::string_view mistyped);  // empty when nothing is near

struct Origin {
    enum class Kind : std::uint8_t { built_in, file, environment, flag };
    Kind kind = Kind::built_in;
    std::string where = "default";  // "default", "/path/config.toml:3", "ENGRAM_MODEL", "--model"
};
std::string_view origin_kind_name(Origin::Kind kind);  // "default", "file", "environment", "flag"

using SettingValue = std::variant<std::string, std::int64_t, double, std::vector<std::string>>;

struct Setting {
    const SettingSpec *spec = nullptr;
    SettingValue value;
    Origin origin;
    std::string text() const;  // the value as a user would write it
};

// Checks `text` against the spec. invalid_argument with a sentence that doesn't name the source.
Result<SettingValue> parse_setting(const SettingSpec &spec, std::span<const std::string> texts);

// "512M", "1.5GiB", "4096". invalid_argument.
Result<std::uint64_t> parse_bytes(std::string_view text);

struct SettingSources {
    std::map<std::string, std::vector<std::string>, std::less<>> flags;  // by setting name, as typed
    std::function<std::optional<std::string>(const std::string &)> environment;
};
// Reads the process's own environment.
std::optional<std::string> process_environment(const std::string &name);

class Settings {
  public:
    // invalid_argument (a value, or the file's text), not_found (a file that was asked for), io.
    static Result<Settings> resolve(const SettingSources &sources);

    const Setting &get(std::string_view name) const;            // `name` must be in the table
    std::span<const Setting> all() const { return settings_; }  // in the table's order, general ones left out

    const std::string &text(std::string_view name) const { return std::get<std::string>(get(name).value); }
    std::int64_t whole(std::string_view name) const { return std::get<std::int64_t>(get(name).value); }
    double number(std::string_view name) const { return std::get<double>(get(name).value); }
    const std::vector<std::string> &texts(std::string_view name) const {
        return std::get<std::vector<std::string>>(get(name).value);
    }

    std::filesystem::path home() const { return text("home"); }           // absolute
    std::filesystem::path config_file() const { return text("config"); }  // absolute; may be absent
    bool config_file_read() const { return config_file_read_; }

    // An error about the setting's value, with its source in front.
    std::unexpected<Error> bad(std::string_view name, std::string message) const;

  private:
    Result<void> apply(const SettingSpec &spec, std::span<const std::string> texts, Origin origin);
    Result<void> apply_environment(const SettingSources &sources, bool general);
    Result<void> apply_flags(const SettingSources &sources, bool general);
    Result<void> locate_files(const SettingSources &sources);
    Result<void> apply_file();
    Setting &slot(std::string_view name);

    std::vector<Setting> settings_;
    bool config_file_read_ = false;
};

}  // namespace engram
