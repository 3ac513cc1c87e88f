#include "registry/habit_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>

namespace engram {
namespace {

static_assert(std::endian::native == std::endian::little, "habits hold little-endian numbers");

constexpr std::uint32_t kVersion = 1;

template <typename T>
void append(std::vector<std::byte> &out, const T &value) {
    const auto raw = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
    out.insert(out.end(), raw.begin(), raw.end());
}

// Takes values off the front; once there weren't enough bytes, `ok` stays false.
struct Reader {
    std::span<const std::byte> bytes;
    bool ok = true;

    std::span<const std::byte> take(std::size_t n) {
        ok = ok && n <= bytes.size();
        if (!ok) return {};
        const auto taken = bytes.first(n);
        bytes = bytes.subspan(n);
        return taken;
    }
    template <typename T>
    T value() {
        T value{};
        if (const auto raw = take(sizeof value); ok) std::memcpy(&value, raw.data(), sizeof value);
        return value;
    }
    double count() {  // of what was counted, or of time
        const auto number = value<double>();
        ok = ok && std::isfinite(number) && number >= 0;
        return number;
    }
};

}  // namespace

std::vector<std::byte> encode_habit(const TurnHabit &habit) {
    std::vector<std::byte> out;
    append(out, kVersion);
    append(out, habit.last_began_ms);
    for (const double number : {habit.followed, habit.intervals, habit.interval_ms, habit.deviation_ms}) append(out, number);
    append(out, static_cast<std::uint32_t>(habit.followers.size()));
    for (const TurnHabit::Follower &follower : habit.followers) {
        append(out, static_cast<std::uint32_t>(follower.agent.size()));
        std::ranges::copy(std::as_bytes(std::span(follower.agent)), std::back_inserter(out));
        for (const double count : follower.gaps) append(out, count);
    }
    return out;
}

std::optional<TurnHabit> decode_habit(std::span<const std::byte> bytes) {
    Reader reader{.bytes = bytes};
    if (reader.value<std::uint32_t>() != kVersion) return std::nullopt;
    TurnHabit habit;
    habit.last_began_ms = reader.value<std::int64_t>();
    for (double *number : {&habit.followed, &habit.intervals, &habit.interval_ms, &habit.deviation_ms}) *number = reader.count();
    const auto n_followers = reader.value<std::uint32_t>();
    if (!reader.ok || n_followers > kMostFollowers) return std::nullopt;
    for (std::uint32_t i = 0; i < n_followers; ++i) {
        TurnHabit::Follower follower;
        const auto name = reader.take(reader.value<std::uint32_t>());
        follower.agent.assign(reinterpret_cast<const char *>(name.data()), name.size());
        for (double &count : follower.gaps) count = reader.count();
        habit.followers.push_back(std::move(follower));
    }
    if (!reader.ok || !reader.bytes.empty()) return std::nullopt;
    return habit;
}

}  // namespace engram
