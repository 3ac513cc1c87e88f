#include "config/json_entries.h"

#include <algorithm>
#include <cstdlib>
#include <format>
#include <fstream>
#include <iterator>

namespace engram {
namespace {

constexpr std::size_t kMaxEntries = 64;
constexpr std::size_t kMaxName = 64;
constexpr std::int64_t kMaxTimeMs = 24LL * 60 * 60 * 1000;

bool is_name(std::string_view name) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    };
    return !name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, allowed);
}

}  // namespace

Environment process_environment() {
    return [](const std::string &name) -> std::optional<std::string> {
        const char *value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): nobody sets variables
        if (value == nullptr) return std::nullopt;
        return value;
    };
}

JsonEntry::JsonEntry(std::string_view file, std::string_view group, std::string name, const OrderedJson &json,
                     const Environment &environment)
    : name_(std::move(name)), place_(std::format("{}: {}.{}", file, group, name_)), json_(json), environment_(environment) {}

std::unexpected<Error> JsonEntry::wrong(std::string_view member, std::string_view what) const {
    return fail(ErrorCode::invalid_argument, std::format("{}{}{} {}", place_, member.empty() ? "" : ".", member, what));
}

const OrderedJson *JsonEntry::find(const char *member) const {
    const auto found = json_.find(member);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
}

Result<std::string> JsonEntry::text(const char *member) const {
    const OrderedJson *found = find(member);
    if (found == nullptr) return std::string();
    return expanded(*found, member);
}

Result<std::vector<std::string>> JsonEntry::texts(const char *member) const {
    std::vector<std::string> list;
    const OrderedJson *found = find(member);
    if (found == nullptr) return list;
    if (!found->is_array()) return wrong(member, "must be a list of texts");
    for (const OrderedJson &item : *found) {
        ENGRAM_ASSIGN(std::string one, expanded(item, std::format("{}[{}]", member, list.size())));
        list.push_back(std::move(one));
    }
    return list;
}

Result<std::map<std::string, std::string>> JsonEntry::text_map(const char *member) const {
    std::map<std::string, std::string> map;
    const OrderedJson *found = find(member);
    if (found == nullptr) return map;
    if (!found->is_object()) return wrong(member, "must be an object of texts");
    for (const auto &[key, value] : found->items()) {
        ENGRAM_ASSIGN(map[key], expanded(value, std::format("{}.{}", member, key)));
    }
    return map;
}

Result<bool> JsonEntry::boolean(const char *member) const {
    const OrderedJson *found = find(member);
    if (found == nullptr) return false;
    if (!found->is_boolean()) return wrong(member, "must be true or false");
    return found->get<bool>();
}

Result<std::chrono::milliseconds> JsonEntry::milliseconds(const char *member, std::chrono::milliseconds otherwise) const {
    const OrderedJson *found = find(member);
    if (found == nullptr) return otherwise;
    const bool fits = found->is_number_integer() && *found >= 1 && *found <= kMaxTimeMs;
    if (!fits) return wrong(member, "must be milliseconds, a whole number from 1 to a day's");
    return std::chrono::milliseconds(found->get<std::int64_t>());
}

// ${NAME} and ${NAME:-otherwise} replaced; a lonely "$" or "${" stays.
Result<std::string> JsonEntry::expanded(const OrderedJson &json, std::string_view member) const {
    if (!json.is_string()) return wrong(member, "must be a text");
    const auto &text = json.get_ref<const std::string &>();
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t open = text.find("${", at);
        const std::size_t close = open == std::string::npos ? open : text.find('}', open);
        if (close == std::string::npos) return result + text.substr(at);
        result += text.substr(at, open - at);
        const std::string inside = text.substr(open + 2, close - open - 2);
        const std::size_t otherwise = inside.find(":-");
        const std::string variable = inside.substr(0, otherwise);
        const std::optional<std::string> value = environment_(variable);
        if (!value && otherwise == std::string::npos) {
            return wrong(member,
                         std::format("names ${{{0}}}, and there is no such variable in the environment; set it, or give a "
                                     "value to fall back on: ${{{0}:-value}}",
                                     variable));
        }
        result += value ? *value : inside.substr(otherwise + 2);
        at = close + 1;
    }
    return result;
}

Result<std::string> read_entries_file(const std::filesystem::path &file) {
    std::error_code error;
    const auto size = std::filesystem::file_size(file, error);
    if (error) {
        return fail(error == std::errc::no_such_file_or_directory ? ErrorCode::not_found : ErrorCode::io,
                    std::format("can't read {}: {}", file.string(), error.message()));
    }
    if (size > kMaxEntriesFileBytes) {
        return fail(ErrorCode::invalid_argument, std::format("{} has more than {} bytes", file.string(), kMaxEntriesFileBytes));
    }
    std::ifstream stream(file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(stream), {}};
    if (!stream) return fail(ErrorCode::io, std::format("can't read {}", file.string()));
    return text;
}

Result<bool> for_each_entry(std::string_view json, std::string_view file, std::string_view group, const Environment &environment,
                            const std::function<Result<void>(const JsonEntry &)> &take) {
    auto parsed = parse_bounded_json(json, kMaxEntriesFileBytes);
    if (!parsed) return std::unexpected(std::move(parsed.error()).within(file));
    if (!parsed->is_object()) return fail(ErrorCode::invalid_argument, std::format("{}: it must be an object", file));
    const auto list = parsed->find(group);
    if (list == parsed->end()) return false;
    if (!list->is_object()) return fail(ErrorCode::invalid_argument, std::format("{}: \"{}\" must be an object", file, group));
    if (list->size() > kMaxEntries) {
        return fail(ErrorCode::invalid_argument,
                    std::format("{}: {} has {} entries; at most {} are possible", file, group, list->size(), kMaxEntries));
    }
    for (const auto &[key, value] : list->items()) {
        if (!is_name(key)) {
            return fail(ErrorCode::invalid_argument,
                        std::format("{}: {}: \"{}\" can't be a name, which has 1 to {} letters, digits, '-' and '_'", file, group,
                                    key.substr(0, 80), kMaxName));
        }
        const JsonEntry entry(file, group, key, value, environment);
        if (!value.is_object()) return entry.wrong("", "must be an object");
        ENGRAM_ASSIGN(const bool disabled, entry.boolean("disabled"));
        if (!disabled) ENGRAM_TRY(take(entry));
    }
    return true;
}

}  // namespace engram
