// What was used: the numbers, and tables of them as JSON and CSV. Values only.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "engram/error.h"

namespace engram {

// Sums stop at their type's largest value.
struct Usage {
    std::uint64_t requests = 0;
    std::uint64_t computed_tokens = 0;      // of prompts
    std::uint64_t reused_tokens = 0;        // of prompts
    std::uint64_t generated_tokens = 0;     // of answers
    std::uint64_t stored_byte_seconds = 0;  // bytes on disk, times how long they were there

    Usage &operator+=(const Usage &more);
    double stored_byte_hours() const { return static_cast<double>(stored_byte_seconds) / 3600; }
    bool operator==(const Usage &) const = default;
};

struct UsageRow {
    std::string day;     // "2026-01-31", UTC; empty: all days
    std::string tenant;  // empty: all tenants
    std::string agent;   // empty: all agents, or none (a request that belongs to no agent)
    Usage usage;
    bool operator==(const UsageRow &) const = default;
};

// What the rows of a table stand for. An agent's id means something only together with its tenant, so that `agent` has both.
struct UsageColumns {
    bool day = true, tenant = true, agent = true;
    // "day", "tenant", "agent", or several with commas between. invalid_argument.
    static Result<UsageColumns> parse(std::string_view text);
    bool operator==(const UsageColumns &) const = default;
};

// A list of objects with the columns that were asked for and the numbers.
nlohmann::ordered_json usage_json(std::span<const UsageRow> rows, const UsageColumns &columns);

// A heading and a line for each row, ended by a line feed; the same names as in the JSON. Names need no quoting: they hold
// letters, digits and . _ - only.
std::string usage_csv(std::span<const UsageRow> rows, const UsageColumns &columns);

// The UTC day of a moment, as in UsageRow.
std::string day_of(std::int64_t unix_ms);
Result<void> validate_day(std::string_view text);  // invalid_argument: not a day such as 2026-01-31

}  // namespace engram
