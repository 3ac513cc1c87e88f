#include "config/settings.h"

#include <algorithm>
#include <cassert>
#include <cctype>
#include <cstdlib>
#include <format>

#include "config/config_file.h"

namespace engram {
namespace {

// "~" and "~/x" by HOME; a relative path by `base`, or by the working folder when `base` is empty. Empty stays empty.
std::string absolute_path(const std::string &text, const std::filesystem::path &base, const SettingSources &sources) {
    if (text.empty()) {
        return text;
    }
    std::filesystem::path path = text;
    if (text == "~" || text.starts_with("~/")) {
        const std::string home = sources.environment("HOME").value_or("/");
        path = std::filesystem::path(home) / (text.size() > 2 ? text.substr(2) : "");
    } else if (path.is_relative()) {
        std::error_code error;
        path = (base.empty() ? std::filesystem::current_path(error) : base) / path;
    }
    return path.lexically_normal().string();
}

std::vector<std::string> split_list(const std::string &text) {
    std::vector<std::string> items;
    for (std::size_t begin = 0; begin <= text.size() && !text.empty();) {
        std::size_t end = std::min(text.find(';', begin), text.size());
        if (end > begin) {
            items.push_back(text.substr(begin, end - begin));
        }
        begin = end + 1;
    }
    return items;
}

}  // namespace

const SettingSpec *find_setting(std::string_view name) {
    auto specs = setting_specs();
    auto found = std::ranges::find(specs, name, &SettingSpec::name);
    return found == specs.end() ? nullptr : &*found;
}

std::string environment_name(const SettingSpec &spec) {
    std::string name = "ENGRAM_";
    for (char c : spec.name) {
        name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    return name;
}

std::optional<std::string> process_environment(const std::string &name) {
    const char *value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): read before any thread is started
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

Setting &Settings::slot(std::string_view name) {
    auto found = std::ranges::find(settings_, name, [](const Setting &setting) { return setting.spec->name; });
    assert(found != settings_.end());
    return *found;
}

const Setting &Settings::get(std::string_view name) const { return const_cast<Settings *>(this)->slot(name); }

std::unexpected<Error> Settings::bad(std::string_view name, std::string message) const {
    const Setting &setting = get(name);
    std::string where = setting.origin.where;
    if (setting.origin.kind == Origin::Kind::built_in || setting.origin.kind == Origin::Kind::file) {
        where += std::format(": {}", name);
    }
    return fail(ErrorCode::invalid_argument, std::format("{}: {}", where, message));
}

Result<void> Settings::apply(const SettingSpec &spec, std::span<const std::string> texts, Origin origin) {
    auto value = parse_setting(spec, texts);
    if (!value) {
        std::string where = origin.where;
        if (origin.kind == Origin::Kind::file) {
            where += std::format(": {}", spec.name);
        }
        return std::unexpected(std::move(value.error()).within(where));
    }
    for (std::string_view name : {spec.stands_for_1, spec.stands_for_2}) {
        if (!name.empty()) {
            slot(name).value = *value;
            slot(name).origin = origin;
        }
    }
    if (!spec.is_general()) {
        slot(spec.name).value = std::move(*value);
        slot(spec.name).origin = std::move(origin);
    }
    return {};
}

Result<void> Settings::apply_environment(const SettingSources &sources, bool general) {
    for (const SettingSpec &spec : setting_specs()) {
        if (spec.is_general() != general) {
            continue;
        }
        const std::string name = environment_name(spec);
        auto text = sources.environment(name);
        if (!text || text->empty()) {
            continue;  // an empty variable is as good as none, as with most programs
        }
        std::vector<std::string> texts = spec.is_list() ? split_list(*text) : std::vector{*text};
        if (spec.kind == SettingKind::path || spec.kind == SettingKind::paths) {
            std::ranges::transform(texts, texts.begin(),
                                   [&](const std::string &item) { return absolute_path(item, {}, sources); });
        }
        ENGRAM_TRY(apply(spec, texts, {.kind = Origin::Kind::environment, .where = name}));
    }
    return {};
}

Result<void> Settings::apply_flags(const SettingSources &sources, bool general) {
    for (const SettingSpec &spec : setting_specs()) {
        auto flag = sources.flags.find(spec.name);
        if (spec.is_general() != general || flag == sources.flags.end() || flag->second.empty()) {
            continue;
        }
        std::vector<std::string> texts = flag->second;
        if (spec.kind == SettingKind::path || spec.kind == SettingKind::paths) {
            std::ranges::transform(texts, texts.begin(),
                                   [&](const std::string &item) { return absolute_path(item, {}, sources); });
        }
        ENGRAM_TRY(apply(spec, texts, {.kind = Origin::Kind::flag, .where = std::format("--{}", spec.name)}));
    }
    return {};
}

// Home and config file come first: they say where the other settings are.
Result<void> Settings::locate_files(const SettingSources &sources) {
    for (std::string_view name : {"home", "config"}) {
        const SettingSpec &spec = *find_setting(name);
        std::string text(spec.default_text);
        Origin origin;
        if (auto variable = sources.environment(environment_name(spec)); variable && !variable->empty()) {
            text = *variable;
            origin = {.kind = Origin::Kind::environment, .where = environment_name(spec)};
        }
        if (auto flag = sources.flags.find(name); flag != sources.flags.end() && !flag->second.empty()) {
            text = flag->second.back();
            origin = {.kind = Origin::Kind::flag, .where = std::format("--{}", name)};
            if (text.empty()) {
                return fail(ErrorCode::invalid_argument, std::format("--{}: the path is empty", name));
            }
        }
        slot(name).value = absolute_path(text, {}, sources);
        slot(name).origin = std::move(origin);
    }
    if (text("config").empty()) {
        slot("config").value = (home() / "config.toml").string();
    }
    return {};
}

Result<void> Settings::apply_file() {
    const Origin config_origin = get("config").origin;
    const std::filesystem::path file = config_file();
    auto text = read_bounded_file(file, kMaxConfigBytes);
    if (!text) {
        const bool asked_for = config_origin.kind != Origin::Kind::built_in;
        const bool absent = text.error().code == ErrorCode::not_found;
        if (absent && !asked_for) {
            return {};
        }
        return std::unexpected(asked_for ? std::move(text.error()).within(config_origin.where) : std::move(text.error()));
    }
    config_file_read_ = true;
    ENGRAM_ASSIGN(std::vector<ConfigEntry> entries, parse_config(*text, file.string()));
    std::ranges::stable_partition(entries, [](const ConfigEntry &entry) { return entry.spec->is_general(); });
    const SettingSources environment{.flags = {}, .environment = process_environment};
    for (ConfigEntry &entry : entries) {
        Origin origin{.kind = Origin::Kind::file, .where = std::format("{}:{}", file.string(), entry.line)};
        if (entry.spec->name == "home" && config_origin.kind == Origin::Kind::built_in) {
            return fail(ErrorCode::invalid_argument,
                        std::format("{}: home can't be set in the file that is found through it; use ENGRAM_HOME or --home",
                                    origin.where));
        }
        if (entry.spec->kind == SettingKind::path || entry.spec->kind == SettingKind::paths) {
            std::ranges::transform(entry.texts, entry.texts.begin(),
                                   [&](const std::string &item) { return absolute_path(item, file.parent_path(), environment); });
        }
        ENGRAM_TRY(apply(*entry.spec, entry.texts, std::move(origin)));
    }
    return {};
}

Result<Settings> Settings::resolve(const SettingSources &sources) {
    Settings settings;
    for (const SettingSpec &spec : setting_specs()) {
        if (spec.is_general()) {
            continue;
        }
        std::vector<std::string> texts =
            spec.is_list() ? std::vector<std::string>{} : std::vector{std::string(spec.default_text)};
        ENGRAM_ASSIGN(SettingValue value, parse_setting(spec, texts));
        settings.settings_.push_back({.spec = &spec, .value = std::move(value), .origin = {}});
    }
    ENGRAM_TRY(settings.locate_files(sources));
    const Setting config = settings.get("config");
    ENGRAM_TRY(settings.apply_file());
    for (bool general : {true, false}) {
        ENGRAM_TRY(settings.apply_environment(sources, general));
    }
    for (bool general : {true, false}) {
        ENGRAM_TRY(settings.apply_flags(sources, general));
    }
    settings.slot("config") = config;
    return settings;
}

}  // namespace engram
