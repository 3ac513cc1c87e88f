#include "chat/gbnf_number.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <format>
#include <string_view>

namespace engram {
namespace {

constexpr double kLargest = 999'999'999'999'999;
constexpr double kScale = 1e6;  // of a fraction
constexpr std::uint64_t kLargestFraction = 999'999;

void add_way(std::string &ways, std::string_view way) {
    if (!ways.empty()) ways += " | ";
    ways += way;
}

std::string digits(std::size_t least, std::size_t most) { return most == 0 ? "" : std::format(" [0-9]{{{},{}}}", least, most); }

// All texts of digits from `low` to `high`, which are equally long. A fraction may be shorter: zeros follow then.
std::string digits_between(std::string_view low, std::string_view high, bool at_low, bool at_high, bool fraction) {
    const std::size_t rest = low.size() - 1;
    std::string ways;
    const char first = at_low ? low.front() : '0';
    const char last = at_high ? high.front() : '9';
    char free_first = 0;
    char free_last = 0;
    for (char digit = first; digit <= last; ++digit) {
        const bool still_low = at_low && digit == low.front();
        const bool still_high = at_high && digit == high.front();
        if (!still_low && !still_high) {
            free_first = free_first == 0 ? digit : free_first;
            free_last = digit;
            continue;
        }
        std::string way = std::format("\"{}\"", digit);
        if (rest > 0) {
            const bool may_end = fraction && (!still_low || low.substr(1).find_first_not_of('0') == std::string_view::npos);
            way += std::format(" ({}){}", digits_between(low.substr(1), high.substr(1), still_low, still_high, fraction),
                               may_end ? "?" : "");
        }
        add_way(ways, way);
    }
    if (free_first != 0) add_way(ways, std::format("[{}-{}]{}", free_first, free_last, digits(fraction ? 0 : rest, rest)));
    return ways;
}

std::string whole_between(std::uint64_t low, std::uint64_t high) {
    std::string ways;
    for (std::uint64_t decade = 1; decade <= high || decade == 1; decade *= 10) {
        const std::uint64_t from = std::max(low, decade == 1 ? 0 : decade);
        const std::uint64_t to = std::min(high, decade * 10 - 1);
        if (from <= to) add_way(ways, digits_between(std::to_string(from), std::to_string(to), true, true, false));
    }
    return ways;
}

std::string fraction_between(std::uint64_t low, std::uint64_t high) {
    return digits_between(std::format("{:06}", low), std::format("{:06}", high), true, true, true);
}

// Of numbers that aren't negative.
struct Magnitudes {
    double least = 0, most = kLargest;
    bool above_least = false, below_most = false;
};

std::string whole(Magnitudes range) {
    range.most = std::min(range.most, kLargest);
    double from = std::ceil(range.least);
    double to = std::floor(range.most);
    if (range.above_least && from == range.least) from += 1;
    if (range.below_most && to == range.most) to -= 1;
    return from > to ? "" : whole_between(static_cast<std::uint64_t>(from), static_cast<std::uint64_t>(to));
}

// A fraction in millionths, rounded up or down unless it is one exactly.
std::uint64_t millionths(double fraction, bool up, bool strictly) {
    const double scaled = fraction * kScale;
    const double nearest = std::round(scaled);
    const bool exact = std::abs(scaled - nearest) < 1e-3;
    double result = exact ? nearest : up ? std::ceil(scaled) : std::floor(scaled);
    if (exact && strictly) result += up ? 1 : -1;
    return result < 0 ? kLargestFraction + 1 : static_cast<std::uint64_t>(result);
}

std::string with_fraction(Magnitudes range) {
    range.most = std::min(range.most, kLargest);
    std::string ways;
    const double first = std::floor(range.least);
    const double last = std::floor(range.most);
    const std::uint64_t low = millionths(range.least - first, true, range.above_least);
    const std::uint64_t high = millionths(range.most - last, false, range.below_most);
    const auto add = [&ways](double integer, std::uint64_t from, std::uint64_t to) {
        if (from <= to && to <= kLargestFraction) {
            add_way(ways, std::format("\"{}.\" ({})", static_cast<std::uint64_t>(integer), fraction_between(from, to)));
        }
    };
    if (range.least > range.most) return ways;
    if (first == last) {
        add(first, low, high);
        return ways;
    }
    add(first, low, kLargestFraction);
    if (last - first > 1) {
        const std::string between = whole_between(static_cast<std::uint64_t>(first) + 1, static_cast<std::uint64_t>(last) - 1);
        add_way(ways, std::format("({}) \".\" [0-9]{{1,6}}", between));
    }
    add(last, 0, high);
    return ways;
}

std::string signed_ways(const NumberBounds &bounds, std::string (*magnitudes)(Magnitudes)) {
    std::string ways;
    const double least = bounds.least.value_or(-kLargest);
    const double most = bounds.most.value_or(kLargest);
    if (least < 0) {
        const bool to_zero = most >= 0;
        const std::string negative = magnitudes({.least = to_zero ? 0 : -most,
                                                 .most = -least,
                                                 .above_least = to_zero || bounds.below_most,
                                                 .below_most = bounds.above_least});
        if (!negative.empty()) add_way(ways, std::format("\"-\" ({})", negative));
    }
    if (most >= 0) {
        const bool from_zero = least < 0;
        const std::string positive = magnitudes({.least = from_zero ? 0 : least,
                                                 .most = most,
                                                 .above_least = !from_zero && bounds.above_least,
                                                 .below_most = bounds.below_most});
        if (!positive.empty()) add_way(ways, positive);
    }
    return ways;
}

}  // namespace

std::string gbnf_integer(const NumberBounds &bounds) {
    if (!bounds.least && !bounds.most) return R"("-"? ("0" | [1-9] [0-9]{0,14}))";
    return signed_ways(bounds, whole);
}

std::string gbnf_number(const NumberBounds &bounds) {
    if (!bounds.least && !bounds.most) return R"("-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?)";
    std::string ways = signed_ways(bounds, whole);
    const std::string fractions = signed_ways(bounds, with_fraction);
    if (!fractions.empty()) add_way(ways, fractions);
    return ways;
}

}  // namespace engram
