#include "cli/settings_help.h"

#include <format>

#include "cli/humanise.h"
#include "config/settings.h"

namespace engram::cli {
namespace {

constexpr std::array kGroups{SettingGroup::general, SettingGroup::model, SettingGroup::storage, SettingGroup::sampling,
                             SettingGroup::server};

std::string_view valid_with(SettingGroup group) {
    if (group == SettingGroup::sampling) return " (flags of run, chat, serve and mcp)";
    return group == SettingGroup::server ? " (flags of serve)" : "";
}

std::string quoted(std::string_view text) {
    std::string result = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') {
            result += '\\';
        }
        result += c;
    }
    return result + "\"";
}

std::string toml_default(const SettingSpec &spec) {
    if (spec.is_list()) {
        return "[]";
    }
    const bool bare = spec.kind == SettingKind::whole || spec.kind == SettingKind::number;
    return bare ? std::string(spec.default_text) : quoted(spec.default_text);
}

}  // namespace

std::string settings_text() {
    std::string text =
        "Each setting is a flag, a variable and a key of the settings file (`engram config path`). A flag beats a variable, a "
        "variable\n"
        "beats the file. `engram config show` says which value is in force and where it came from.\n";
    for (SettingGroup group : kGroups) {
        Table table({"", "", "", ""});
        for (const SettingSpec &spec : setting_specs()) {
            if (spec.group == group) {
                table.add({std::format("  --{} {}", spec.name, spec.value_name), environment_name(spec),
                           spec.default_text.empty() ? "-" : std::string(spec.default_text), std::string(spec.help)});
            }
        }
        text += std::format("\n{} settings{}\n{}", setting_group_name(group), valid_with(group), table.text());
    }
    return text;
}

std::string config_template() {
    std::string text =
        "# Settings of Engram. A flag (--context) or a variable (ENGRAM_CONTEXT) beats what stands here.\n"
        "# Sizes: 512M, 16G, 1.5GiB, or plain bytes. Relative paths are relative to this file's folder.\n";
    for (SettingGroup group : kGroups) {
        text += std::format("\n# --- {} ---\n", setting_group_name(group));
        for (const SettingSpec &spec : setting_specs()) {
            if (spec.group == group && spec.in_file && spec.name != "home") {
                text += std::format("\n# {}\n#{} = {}\n", spec.help, spec.name, toml_default(spec));
            }
        }
    }
    return text;
}

}  // namespace engram::cli
