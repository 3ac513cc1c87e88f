#include "chat/bounded_json.h"

#include <array>
#include <format>
#include <string>

namespace engram {
namespace {

// Each member is compared with those before it in its object: so many comparisons for a whole text, most of a second.
constexpr std::size_t kMaxJsonComparisons = 12'000'000;

// Of a whole text, with objects and lists: "{}," has three bytes, what is made of it some fifty.
constexpr std::size_t kMaxJsonValues = 1'000'000;

// Thrown through the parser, from its callback. No std::exception: it must not be mistaken for one of the parser's.
struct LimitExceeded {
    const char *what;
};

}  // namespace

Result<OrderedJson> parse_bounded_json(std::string_view text, std::size_t max_bytes) {
    if (text.size() > max_bytes) {
        return fail(ErrorCode::invalid_argument, std::format("it has {} bytes, at most {} are read", text.size(), max_bytes));
    }
    std::array<std::size_t, kMaxJsonDepth + 1> members{};
    std::size_t comparisons = 0;
    std::size_t values = 0;
    const auto check = [&](int depth, OrderedJson::parse_event_t event, const OrderedJson &) {
        const auto level = static_cast<std::size_t>(depth);
        using enum OrderedJson::parse_event_t;
        if ((event == object_start || event == array_start) && level >= kMaxJsonDepth) {
            throw LimitExceeded{"it is nested too deeply"};
        }
        if (event == object_start || event == array_start || event == value) {
            if (++values > kMaxJsonValues) throw LimitExceeded{"it has too many values"};
        }
        if (event == object_start) members.at(level + 1) = 0;
        if (event != key) return true;
        comparisons += members.at(level);
        if (++members.at(level) > kMaxJsonMembers) throw LimitExceeded{"an object in it has too many members"};
        if (comparisons > kMaxJsonComparisons) throw LimitExceeded{"its objects have too many members in all"};
        return true;
    };
    try {
        return OrderedJson::parse(text, check);
    } catch (const LimitExceeded &limit) {
        return fail(ErrorCode::invalid_argument, limit.what);
    } catch (const OrderedJson::parse_error &error) {
        return fail(ErrorCode::invalid_argument, std::format("it is not JSON (at byte {})", error.byte));
    } catch (const OrderedJson::exception &) {
        return fail(ErrorCode::invalid_argument, "it is not JSON (a number in it is out of range)");
    }
}

}  // namespace engram
