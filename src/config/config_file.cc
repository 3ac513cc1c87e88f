#include "config/config_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <format>
#include <memory>

#include "config/toml.h"

namespace engram {
namespace {

std::string_view wanted_name(const SettingSpec &spec) {
    switch (spec.kind) {
        case SettingKind::whole: return "a whole number";
        case SettingKind::number: return "a number";
        case SettingKind::bytes: return "a size: a whole number of bytes, or a text such as \"512M\"";
        case SettingKind::texts:
        case SettingKind::paths: return "a text or a list of texts";
        default: return "a text";
    }
}

// The node's value as a flag would have it; nothing when its type doesn't fit the setting.
std::optional<std::vector<std::string>> texts_of(const SettingSpec &spec, const toml::node &node) {
    if (const toml::array *array = node.as_array(); array != nullptr && spec.is_list()) {
        std::vector<std::string> texts;
        for (const toml::node &item : *array) {
            const auto *text = item.as_string();
            if (text == nullptr) {
                return std::nullopt;
            }
            texts.push_back(text->get());
        }
        return texts;
    }
    if (const auto *text = node.as_string()) {
        const bool takes_text = spec.kind != SettingKind::whole && spec.kind != SettingKind::number;
        return takes_text ? std::optional(std::vector{text->get()}) : std::nullopt;
    }
    if (const auto *whole = node.as_integer()) {
        const bool takes_whole =
            spec.kind == SettingKind::whole || spec.kind == SettingKind::number || spec.kind == SettingKind::bytes;
        return takes_whole ? std::optional(std::vector{std::format("{}", whole->get())}) : std::nullopt;
    }
    if (const auto *number = node.as_floating_point(); number != nullptr && spec.kind == SettingKind::number) {
        return std::vector{std::format("{}", number->get())};
    }
    return std::nullopt;
}

std::unexpected<Error> at(std::string_view name, std::size_t line, std::string_view message) {
    return fail(ErrorCode::invalid_argument, std::format("{}:{}: {}", name, line, message));
}

Result<ConfigEntry> entry_of(std::string_view name, const toml::key &key, const toml::node &node) {
    const std::size_t line = key.source().begin.line;
    const SettingSpec *spec = find_setting(key.str());
    if (spec == nullptr) {
        std::string near = closest_setting_name(key.str());
        std::string hint = near.empty() ? "; `engram config show` lists them" : std::format("; did you mean {}?", near);
        return at(name, line, std::format("there is no setting \"{}\"{}", key.str().substr(0, 80), hint));
    }
    if (!spec->in_file) {
        return at(name, line,
                  std::format("{} can only be given as a flag (--{}) or variable ({})", spec->name, spec->name,
                              environment_name(*spec)));
    }
    auto texts = texts_of(*spec, node);
    if (!texts) {
        return at(name, line, std::format("{} must be {}, not {}", spec->name, wanted_name(*spec), type_name(node.type())));
    }
    return ConfigEntry{.spec = spec, .texts = std::move(*texts), .line = line};
}

}  // namespace

Result<std::vector<ConfigEntry>> parse_config(std::string_view toml, std::string_view name) {
    if (toml.size() > kMaxConfigBytes) {
        return fail(ErrorCode::invalid_argument, std::format("{}: larger than {} bytes", name, kMaxConfigBytes));
    }
    toml::parse_result parsed = toml::parse(toml);
    if (parsed.failed()) {
        return at(name, parsed.error().source().begin.line, std::format("not valid TOML: {}", parsed.error().description()));
    }
    std::vector<ConfigEntry> entries;
    for (auto &&[key, node] : parsed.table()) {
        ENGRAM_ASSIGN(ConfigEntry entry, entry_of(name, key, node));
        entries.push_back(std::move(entry));
    }
    // In the order of the file, so that the first mistake is the one that is reported.
    std::ranges::stable_sort(entries, {}, &ConfigEntry::line);
    return entries;
}

Result<std::string> read_bounded_file(const std::filesystem::path &path, std::size_t max_bytes) {
    std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
    if (file == nullptr) {
        const int reason = errno;
        return fail(reason == ENOENT ? ErrorCode::not_found : ErrorCode::io,
                    std::format("can't open {}: {}", path.string(), std::strerror(reason)));
    }
    std::string text;
    std::array<char, 16384> piece{};
    while (std::feof(file.get()) == 0 && std::ferror(file.get()) == 0) {
        const std::size_t n = std::fread(piece.data(), 1, piece.size(), file.get());
        text.append(piece.data(), n);
        if (text.size() > max_bytes) {
            return fail(ErrorCode::invalid_argument, std::format("{} is larger than {} bytes", path.string(), max_bytes));
        }
    }
    if (std::ferror(file.get()) != 0) {
        return fail(ErrorCode::io, std::format("can't read {}: {}", path.string(), std::strerror(errno)));
    }
    return text;
}

}  // namespace engram
