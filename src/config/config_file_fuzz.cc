// Fuzz entry of the settings' file: settings that exist, in the order of the file, or an error that names the file; and each
// value is taken or refused with a sentence.
#include <algorithm>

#include "config/config_file.h"
#include "core/testing/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace engram;
    using fuzz::require;
    const auto entries = parse_config(fuzz::text_of(data, size), "config.toml");
    if (!entries) {
        require(entries.error().message.starts_with("config.toml"));
        return 0;
    }
    require(std::ranges::is_sorted(*entries, {}, &ConfigEntry::line));
    for (const ConfigEntry &entry : *entries) {
        require(entry.spec != nullptr && entry.spec->in_file);
        const auto value = parse_setting(*entry.spec, entry.texts);
        require(value.has_value() || !value.error().message.empty());
    }
    return 0;
}
