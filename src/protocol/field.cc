#include "protocol/field.h"

#include <cmath>
#include <format>
#include <utility>

namespace engram::protocol {

Field Field::operator[](std::string_view name) const {
    std::string place = place_.empty() ? std::string(name) : std::format("{}.{}", place_, name);
    if (!is_object()) return {nullptr, std::move(place)};
    const auto found = value_->find(name);
    return {found == value_->end() ? nullptr : &*found, std::move(place)};
}

std::vector<Field> Field::elements() const {
    std::vector<Field> list;
    if (!is_array()) return list;
    for (std::size_t i = 0; i < value_->size(); ++i) list.push_back(Field((*value_)[i], std::format("{}[{}]", place_, i)));
    return list;
}

const OrderedJson &Field::json() const {
    static const OrderedJson kNull;
    return value_ == nullptr ? kNull : *value_;
}

std::unexpected<ApiError> Field::wrong(std::string_view message) const {
    return wrong_field(place_, std::format("{}: {}", place_.empty() ? "the body" : place_, message));
}

ApiResult<std::string> Field::text() const {
    if (!present()) return wrong("is missing");
    if (!is_text()) return wrong("must be a string");
    return value_->get<std::string>();
}

ApiResult<std::string> Field::text_that_is_not_empty() const {
    ENGRAM_ASSIGN(std::string value, text());
    if (value.empty()) return wrong("must not be empty");
    return value;
}

ApiResult<bool> Field::boolean() const {
    if (!present()) return wrong("is missing");
    if (!is_boolean()) return wrong("must be true or false");
    return value_->get<bool>();
}

ApiResult<std::int64_t> Field::whole_number(std::int64_t least, std::int64_t most) const {
    if (!present()) return wrong("is missing");
    const auto refused = [&] { return wrong(std::format("must be a whole number from {} to {}", least, most)); };
    if (!value_->is_number()) return refused();
    if (value_->is_number_unsigned() && value_->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) return refused();
    if (value_->is_number_float()) {  // 5.0 is what some languages write for 5
        const auto value = value_->get<double>();
        if (!(std::abs(value) < 9.0e15) || value != std::floor(value)) return refused();
    }
    const auto value = value_->get<std::int64_t>();
    if (value < least || value > most) return refused();
    return value;
}

ApiResult<double> Field::number(double least, double most) const {
    if (!present()) return wrong("is missing");
    const double value = value_->is_number() ? value_->get<double>() : std::nan("");
    if (!(value >= least && value <= most)) return wrong(std::format("must be a number from {} to {}", least, most));
    return value;
}

ApiResult<void> Field::must_be_object() const {
    if (!present()) return wrong("is missing");
    if (!is_object()) return wrong("must be an object");
    return {};
}

ApiResult<void> Field::must_be_array(std::size_t least, std::size_t most) const {
    if (!present()) return wrong("is missing");
    if (!is_array()) return wrong("must be an array");
    if (value_->size() < least) return wrong(std::format("must have at least {} element{}", least, least == 1 ? "" : "s"));
    if (value_->size() > most) return wrong(std::format("must have at most {} elements", most));
    return {};
}

ApiResult<std::string> Field::text_or(std::string otherwise) const {
    return present() ? text() : ApiResult<std::string>(std::move(otherwise));
}

ApiResult<bool> Field::boolean_or(bool otherwise) const { return present() ? boolean() : ApiResult<bool>(otherwise); }

ApiResult<std::int64_t> Field::whole_number_or(std::int64_t otherwise, std::int64_t least, std::int64_t most) const {
    return present() ? whole_number(least, most) : ApiResult<std::int64_t>(otherwise);
}

ApiResult<double> Field::number_or(double otherwise, double least, double most) const {
    return present() ? number(least, most) : ApiResult<double>(otherwise);
}

ApiResult<OrderedJson> parse_body(std::string_view body, std::size_t max_bytes) {
    auto json = parse_bounded_json(body, max_bytes);
    if (!json) return wrong_field("", std::format("the request's body can't be read: {}", json.error().message));
    if (!json->is_object()) return wrong_field("", "the request's body must be a JSON object");
    return std::move(*json);
}

}  // namespace engram::protocol
