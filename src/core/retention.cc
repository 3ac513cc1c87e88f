#include "core/retention.h"

#include <algorithm>
#include <array>

namespace engram {
namespace {

constexpr std::int64_t kMinute = 60'000;

struct Entry {
    Retention retention;
    std::string_view name;
    std::int64_t lasts_ms;
};
constexpr std::array<Entry, 5> kEntries{{
    {Retention::standard, "standard", 0},
    {Retention::five_minutes, "5m", 5 * kMinute},
    {Retention::one_hour, "1h", 60 * kMinute},
    {Retention::one_day, "24h", 24 * 60 * kMinute},
    {Retention::forever, "forever", 0},
}};

}  // namespace

std::string_view retention_name(Retention retention) { return kEntries.at(static_cast<std::size_t>(retention)).name; }

std::optional<Retention> retention_from_name(std::string_view name) {
    const auto found = std::ranges::find(kEntries, name, &Entry::name);
    return found == kEntries.end() ? std::nullopt : std::optional(found->retention);
}

std::int64_t kept_until_ms(Retention retention, std::int64_t last_used_ms) {
    const std::int64_t lasts_ms = kEntries.at(static_cast<std::size_t>(retention)).lasts_ms;
    return lasts_ms == 0 ? 0 : last_used_ms + lasts_ms;
}

}  // namespace engram
