#include "tenants/usage.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <format>
#include <limits>
#include <nlohmann/json.hpp>
#include <ranges>

namespace engram {
namespace {

std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
    return a > std::numeric_limits<std::uint64_t>::max() - b ? std::numeric_limits<std::uint64_t>::max() : a + b;
}

// The whole text as a number of digits only.
bool parse_digits(std::string_view text, unsigned &value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

Usage &Usage::operator+=(const Usage &more) {
    requests = sum(requests, more.requests);
    computed_tokens = sum(computed_tokens, more.computed_tokens);
    reused_tokens = sum(reused_tokens, more.reused_tokens);
    generated_tokens = sum(generated_tokens, more.generated_tokens);
    stored_byte_seconds = sum(stored_byte_seconds, more.stored_byte_seconds);
    return *this;
}

Result<UsageColumns> UsageColumns::parse(std::string_view text) {
    UsageColumns columns{.day = false, .tenant = false, .agent = false};
    for (const auto piece : std::views::split(text, ',')) {
        const std::string_view name(piece.begin(), piece.end());
        if (name == "day") {
            columns.day = true;
        } else if (name == "tenant") {
            columns.tenant = true;
        } else if (name == "agent") {
            columns.tenant = columns.agent = true;
        } else {
            return fail(ErrorCode::invalid_argument,
                        std::format("\"{}\" isn't day, tenant or agent, or several of them with commas between", text));
        }
    }
    if (columns == UsageColumns{.day = false, .tenant = false, .agent = false}) {
        return fail(ErrorCode::invalid_argument, "usage is counted by day, tenant or agent; nothing was given");
    }
    return columns;
}

nlohmann::ordered_json usage_json(std::span<const UsageRow> rows, const UsageColumns &columns) {
    auto list = nlohmann::ordered_json::array();
    for (const UsageRow &row : rows) {
        auto &object = list.emplace_back(nlohmann::ordered_json::object());
        if (columns.day) object["day"] = row.day;
        if (columns.tenant) object["tenant"] = row.tenant;
        if (columns.agent) object["agent"] = row.agent;
        object["requests"] = row.usage.requests;
        object["computed_tokens"] = row.usage.computed_tokens;
        object["reused_tokens"] = row.usage.reused_tokens;
        object["generated_tokens"] = row.usage.generated_tokens;
        object["stored_byte_hours"] = row.usage.stored_byte_hours();
    }
    return list;
}

std::string usage_csv(std::span<const UsageRow> rows, const UsageColumns &columns) {
    const auto names = [&columns](std::string_view day, std::string_view tenant, std::string_view agent) {
        std::string text;
        if (columns.day) text += std::format("{},", day);
        if (columns.tenant) text += std::format("{},", tenant);
        if (columns.agent) text += std::format("{},", agent);
        return text;
    };
    std::string text =
        names("day", "tenant", "agent") + "requests,computed_tokens,reused_tokens,generated_tokens,stored_byte_hours\n";
    for (const UsageRow &row : rows) {
        const Usage &usage = row.usage;
        text += std::format("{}{},{},{},{},{}\n", names(row.day, row.tenant, row.agent), usage.requests, usage.computed_tokens,
                            usage.reused_tokens, usage.generated_tokens, usage.stored_byte_hours());
    }
    return text;
}

std::string day_of(std::int64_t unix_ms) {
    const auto day = std::chrono::floor<std::chrono::days>(
        std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(unix_ms)));
    return std::format("{:%F}", day);
}

Result<void> validate_day(std::string_view text) {
    unsigned year = 0;
    unsigned month = 0;
    unsigned day = 0;
    const bool digits = text.size() == 10 && text[4] == '-' && text[7] == '-' && parse_digits(text.substr(0, 4), year) &&
                        parse_digits(text.substr(5, 2), month) && parse_digits(text.substr(8, 2), day);
    const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)), std::chrono::month(month),
                                           std::chrono::day(day)};
    if (digits && date.ok()) return {};
    return fail(ErrorCode::invalid_argument, std::format("\"{}\" isn't a day such as 2026-01-31", text));
}

}  // namespace engram
