#include "workflow/definition_reader.h"

#include <algorithm>
#include <charconv>

namespace engram::workflow {
namespace {

constexpr std::size_t kMostComplaints = 100;
constexpr std::size_t kShown = 80;  // bytes of the user's own words

}  // namespace

void Complaints::add(int line, std::string_view sentence) {
    if (lines_.size() < kMostComplaints) lines_.emplace_back(line, sentence);
}

Error Complaints::error() const {
    std::vector<std::pair<int, std::string>> sorted = lines_;
    std::ranges::stable_sort(sorted, {}, [](const auto &entry) { return entry.first; });
    std::string text;
    for (const auto &[line, sentence] : sorted)
        text += std::format("{}{}:{}: {}", text.empty() ? "" : "\n", file_, line, sentence);
    return {.code = ErrorCode::invalid_argument, .message = std::move(text)};
}

bool MapReader::only(std::initializer_list<std::string_view> known) const {
    if (map_.kind != YamlValue::Kind::map) {
        complain(map_.line, std::format("must be a map, not {}", yaml_kind_name(map_.kind)));
        return false;
    }
    for (const YamlMember &member : map_.members) {
        if (!std::ranges::contains(known, member.key)) {
            complain(member.line, std::format("there is no member \"{}\"", member.key.substr(0, kShown)));
        }
    }
    return true;
}

const YamlValue *MapReader::find(std::string_view key) const {
    const YamlValue *value = map_.find(key);
    return value == nullptr || value->kind == YamlValue::Kind::null ? nullptr : value;
}

int MapReader::line_of(std::string_view key) const {
    const auto found = std::ranges::find(map_.members, key, &YamlMember::key);
    return found == map_.members.end() ? map_.line : found->line;
}

void MapReader::wrong(std::string_view key, std::string_view must) const {
    complain(line_of(key), std::format("{} must be {}", key, must));
}

std::optional<std::string> MapReader::text(std::string_view key) const {
    const YamlValue *value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->kind == YamlValue::Kind::scalar) return value->text;
    wrong(key, std::format("a text, not {}", yaml_kind_name(value->kind)));
    return std::nullopt;
}

std::vector<std::string> MapReader::texts(std::string_view key) const {
    std::vector<std::string> texts;
    const YamlValue *value = find(key);
    if (value == nullptr) return texts;
    if (value->kind != YamlValue::Kind::list) {
        wrong(key, std::format("a list of texts, not {}", yaml_kind_name(value->kind)));
        return texts;
    }
    for (const YamlValue &item : value->items) {
        if (item.kind == YamlValue::Kind::scalar) {
            texts.push_back(item.text);
        } else {
            complain(item.line, std::format("{} must be a list of texts; there is {} in it", key, yaml_kind_name(item.kind)));
        }
    }
    return texts;
}

std::optional<std::int64_t> MapReader::whole(std::string_view key, std::int64_t least, std::int64_t most) const {
    const YamlValue *value = find(key);
    if (value == nullptr) return std::nullopt;
    const OrderedJson json = yaml_json(*value);
    if (json.is_number_integer() && json.get<std::int64_t>() >= least && json.get<std::int64_t>() <= most) {
        return json.get<std::int64_t>();
    }
    wrong(key, std::format("a whole number from {} to {}", least, most));
    return std::nullopt;
}

std::optional<double> MapReader::number(std::string_view key, double least, double most) const {
    const YamlValue *value = find(key);
    if (value == nullptr) return std::nullopt;
    const OrderedJson json = yaml_json(*value);
    if (json.is_number() && json.get<double>() >= least && json.get<double>() <= most) return json.get<double>();
    wrong(key, std::format("a number from {} to {}", least, most));
    return std::nullopt;
}

std::optional<std::chrono::milliseconds> MapReader::time(std::string_view key) const {
    const std::optional<std::string> text = this->text(key);
    if (!text) return std::nullopt;
    const auto time = time_of(*text);
    if (!time) wrong(key, "a time such as 500ms, 30s, 10m or 2h");
    return time;
}

std::optional<Expression> MapReader::expression(std::string_view key) const {
    const std::optional<std::string> text = this->text(key);
    if (!text) return std::nullopt;
    auto parsed = Expression::parse(*text);
    if (parsed) return std::move(*parsed);
    complain(find(key)->line, std::format("{}: {}", key, parsed.error().message));
    return std::nullopt;
}

std::optional<Template> MapReader::text_template(std::string_view key) const {
    const std::optional<std::string> text = this->text(key);
    if (!text) return std::nullopt;
    auto parsed = Template::parse(*text);
    if (parsed) return std::move(*parsed);
    complain(find(key)->line, std::format("{}: {}", key, parsed.error().message));
    return std::nullopt;
}

std::optional<std::chrono::milliseconds> time_of(std::string_view text) {
    constexpr std::int64_t kMost = 30LL * 24 * 60 * 60 * 1000;
    std::int64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (read.ec != std::errc() || number <= 0 || number > kMost) return std::nullopt;
    const std::string_view unit = text.substr(static_cast<std::size_t>(read.ptr - text.data()));
    std::int64_t factor = 0;
    if (unit == "ms") factor = 1;
    if (unit == "s") factor = 1000;
    if (unit == "m") factor = 60'000;
    if (unit == "h") factor = 3'600'000;
    if (factor == 0 || number > kMost / factor) return std::nullopt;
    return std::chrono::milliseconds(number * factor);
}

bool is_name(std::string_view text) {
    constexpr std::size_t kMost = 48;
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const auto further = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
    return !text.empty() && text.size() <= kMost && letter(text.front()) && std::ranges::all_of(text, further);
}

}  // namespace engram::workflow
