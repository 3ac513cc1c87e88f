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

// Reads a text without keeping anything of it, until a limit is passed. That is a pass of its own: nlohmann's parser with a
// callback looks through the whole list around each object that ends, for what the callback threw away.
class Limits {
  public:
    // NOLINTBEGIN(readability-identifier-naming): the parser looks for these names
    using number_integer_t = OrderedJson::number_integer_t;
    using number_unsigned_t = OrderedJson::number_unsigned_t;
    using number_float_t = OrderedJson::number_float_t;
    using string_t = OrderedJson::string_t;
    using binary_t = OrderedJson::binary_t;
    // NOLINTEND(readability-identifier-naming)

    const char *exceeded() const { return exceeded_; }  // the end of a sentence; nullptr: none

    bool null() { return value(); }
    bool boolean(bool /*value*/) { return value(); }
    bool number_integer(number_integer_t /*value*/) { return value(); }
    bool number_unsigned(number_unsigned_t /*value*/) { return value(); }
    bool number_float(number_float_t /*value*/, const string_t & /*text*/) { return value(); }
    bool string(string_t & /*value*/) { return value(); }
    bool binary(binary_t & /*value*/) { return value(); }
    bool start_object(std::size_t /*elements*/) {
        if (!begin()) return false;
        members_.at(depth_) = 0;
        return true;
    }
    bool start_array(std::size_t /*elements*/) { return begin(); }
    bool end_object() { return end(); }
    bool end_array() { return end(); }
    bool key(string_t & /*name*/) {
        comparisons_ += members_.at(depth_);
        if (++members_.at(depth_) > kMaxJsonMembers) return stop("an object in it has too many members");
        return comparisons_ <= kMaxJsonComparisons || stop("its objects have too many members in all");
    }
    static bool parse_error(std::size_t /*place*/, const std::string & /*token*/, const OrderedJson::exception & /*error*/) {
        return false;  // whoever reads it afterwards says so
    }

  private:
    bool stop(const char *why) {
        exceeded_ = why;
        return false;
    }
    bool value() { return ++n_values_ <= kMaxJsonValues || stop("it has too many values"); }
    bool begin() {
        if (depth_ == kMaxJsonDepth) return stop("it is nested too deeply");
        ++depth_;
        return value();
    }
    bool end() {
        --depth_;
        return true;
    }

    std::array<std::size_t, kMaxJsonDepth + 1> members_{};  // of the objects that are open, by depth
    std::size_t depth_ = 0, comparisons_ = 0, n_values_ = 0;
    const char *exceeded_ = nullptr;
};

}  // namespace

Result<OrderedJson> parse_bounded_json(std::string_view text, std::size_t max_bytes) {
    if (text.size() > max_bytes) {
        return fail(ErrorCode::invalid_argument, std::format("it has {} bytes, at most {} are read", text.size(), max_bytes));
    }
    Limits limits;
    static_cast<void>(OrderedJson::sax_parse(text, &limits));
    if (limits.exceeded() != nullptr) return fail(ErrorCode::invalid_argument, limits.exceeded());
    try {
        return OrderedJson::parse(text);
    } catch (const OrderedJson::parse_error &error) {
        return fail(ErrorCode::invalid_argument, std::format("it is not JSON (at byte {})", error.byte));
    } catch (const OrderedJson::exception &) {
        return fail(ErrorCode::invalid_argument, "it is not JSON (a number in it is out of range)");
    }
}

}  // namespace engram
