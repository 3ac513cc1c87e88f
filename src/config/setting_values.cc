// Texts into values: one place for flags, variables and the TOML file.
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <format>

#include "config/settings.h"

namespace engram {
namespace {

std::string lower(std::string_view text) {
    std::string result(text);
    for (char &c : result) {
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return result;
}

// The whole text as a finite number, or nothing.
std::optional<double> parse_double(std::string_view text) {
    double value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
        return std::nullopt;
    }
    return value;
}

std::string plain_number(double value) {
    return std::abs(value) < 1e15 && value == std::floor(value) ? std::format("{}", static_cast<std::int64_t>(value))
                                                                : std::format("{}", value);
}

std::unexpected<Error> out_of_range(const SettingSpec &spec, std::string_view text) {
    return fail(ErrorCode::invalid_argument, std::format("{} is out of range: it must lie between {} and {}", text,
                                                         plain_number(spec.minimum), plain_number(spec.maximum)));
}

Result<SettingValue> parse_whole(const SettingSpec &spec, const std::string &text) {
    std::int64_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end != text.data() + text.size() || (error != std::errc{} && error != std::errc::result_out_of_range) || text.empty()) {
        return fail(ErrorCode::invalid_argument, std::format("\"{}\" isn't a whole number", text));
    }
    if (error != std::errc{} || static_cast<double>(value) < spec.minimum || static_cast<double>(value) > spec.maximum) {
        return out_of_range(spec, text);
    }
    return value;
}

Result<SettingValue> parse_number(const SettingSpec &spec, const std::string &text) {
    auto value = parse_double(text);
    if (!value) {
        return fail(ErrorCode::invalid_argument, std::format("\"{}\" isn't a number", text));
    }
    if (*value < spec.minimum || *value > spec.maximum) {
        return out_of_range(spec, text);
    }
    return *value;
}

Result<SettingValue> parse_choice(const SettingSpec &spec, const std::string &text) {
    if (std::ranges::find(spec.choices, text) != spec.choices.end()) {
        return text;
    }
    std::string known;
    for (std::string_view choice : spec.choices) {
        if (!choice.empty()) {
            known += known.empty() ? "" : ", ";
            known += choice;
        }
    }
    return fail(ErrorCode::invalid_argument, std::format("\"{}\" isn't one of {}", text, known));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) {
        row[j] = j;
    }
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            std::size_t above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
            diagonal = above;
        }
    }
    return row[b.size()];
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
    std::size_t digits = text.find_first_not_of("0123456789.");
    std::string_view amount = text.substr(0, digits);
    std::string_view unit = digits == std::string_view::npos ? std::string_view{} : text.substr(digits);
    while (!unit.empty() && unit.front() == ' ') {
        unit.remove_prefix(1);
    }
    auto value = parse_double(amount);
    auto bad = [&] {
        return fail(ErrorCode::invalid_argument, std::format("\"{}\" isn't a size such as 4096, 512M, 16G or 1.5GiB", text));
    };
    if (!value) {
        return bad();
    }
    std::string suffix = lower(unit);
    double factor = 1;
    if (!suffix.empty() && suffix != "b") {
        constexpr std::string_view kUnits = "kmgt";
        std::size_t power = kUnits.find(suffix[0]);
        std::string rest = suffix.substr(1);
        if (power == std::string_view::npos || (!rest.empty() && rest != "ib" && rest != "b")) {
            return bad();
        }
        factor = std::pow(rest == "b" ? 1000.0 : 1024.0, static_cast<double>(power + 1));
    }
    if (*value * factor > static_cast<double>(1ULL << 62)) {
        return fail(ErrorCode::invalid_argument, std::format("\"{}\" is too large a size", text));
    }
    if (factor == 1 && *value != std::floor(*value)) {
        return bad();
    }
    return static_cast<std::uint64_t>(*value * factor);
}

Result<SettingValue> parse_setting(const SettingSpec &spec, std::span<const std::string> texts) {
    if (spec.is_list()) {
        return std::vector<std::string>(texts.begin(), texts.end());
    }
    std::string text = texts.empty() ? std::string() : texts.back();
    switch (spec.kind) {
        case SettingKind::whole: return parse_whole(spec, text);
        case SettingKind::number: return parse_number(spec, text);
        case SettingKind::choice: return parse_choice(spec, text);
        case SettingKind::bytes: {
            ENGRAM_ASSIGN(std::uint64_t bytes, parse_bytes(text));
            if (static_cast<double>(bytes) < spec.minimum || static_cast<double>(bytes) > spec.maximum) {
                return out_of_range(spec, text);
            }
            return static_cast<std::int64_t>(bytes);
        }
        default:
            if (text.find('\0') != std::string::npos) {
                return fail(ErrorCode::invalid_argument, "the text holds a zero byte");
            }
            return text;
    }
}

std::string Setting::text() const {
    if (const auto *text = std::get_if<std::string>(&value)) {
        return *text;
    }
    if (const auto *number = std::get_if<double>(&value)) {
        return std::format("{}", *number);
    }
    if (const auto *list = std::get_if<std::vector<std::string>>(&value)) {
        std::string joined;
        for (const std::string &item : *list) {
            joined += (joined.empty() ? "" : ";") + item;
        }
        return joined;
    }
    std::int64_t whole = std::get<std::int64_t>(value);
    if (spec->kind == SettingKind::bytes && whole != 0) {
        constexpr std::array<std::pair<int, char>, 4> kUnits{{{40, 'T'}, {30, 'G'}, {20, 'M'}, {10, 'K'}}};
        for (auto [shift, unit] : kUnits) {
            if (whole % (1LL << shift) == 0) {
                return std::format("{}{}", whole >> shift, unit);
            }
        }
    }
    return std::format("{}", whole);
}

std::string closest_setting_name(std::string_view mistyped) {
    std::string best;
    std::size_t best_distance = 4;  // farther names would only confuse
    for (const SettingSpec &spec : setting_specs()) {
        std::size_t distance = edit_distance(mistyped.substr(0, 64), spec.name);
        if (distance < best_distance && distance < spec.name.size()) {
            best_distance = distance;
            best = spec.name;
        }
    }
    return best;
}

std::string_view setting_kind_name(SettingKind kind) {
    constexpr std::array<std::string_view, 8> kNames{"text",   "path", "choice",        "whole number",
                                                     "number", "size", "list of texts", "list of paths"};
    return kNames.at(static_cast<std::size_t>(kind));
}

std::string_view setting_group_name(SettingGroup group) {
    constexpr std::array<std::string_view, 5> kNames{"general", "model", "storage", "sampling", "server"};
    return kNames.at(static_cast<std::size_t>(group));
}

std::string_view origin_kind_name(Origin::Kind kind) {
    constexpr std::array<std::string_view, 4> kNames{"default", "file", "environment", "flag"};
    return kNames.at(static_cast<std::size_t>(kind));
}

}  // namespace engram
