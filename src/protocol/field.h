// Reading a request's JSON: each value knows its place, so that an error names the field that is wrong.
//
//     const Field body(json);
//     ENGRAM_ASSIGN(const std::string model, body["model"].text());
//     for (const Field &message : body["messages"].elements()) …      // "messages[2]"
//
// A Field refers to a JSON value that must outlive it. A member that is missing, and one that is null, read alike: absent. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bounded_json.h"
#include "protocol/api_error.h"

namespace engram::protocol {

class Field {
  public:
    explicit Field(const OrderedJson &value, std::string place = {}) : value_(&value), place_(std::move(place)) {}

    const std::string &place() const { return place_; }  // "messages[2].content"; empty for the body itself
    bool present() const { return value_ != nullptr && !value_->is_null(); }
    bool is_object() const { return value_ != nullptr && value_->is_object(); }
    bool is_array() const { return value_ != nullptr && value_->is_array(); }
    bool is_text() const { return value_ != nullptr && value_->is_string(); }
    bool is_boolean() const { return value_ != nullptr && value_->is_boolean(); }
    bool is_number() const { return value_ != nullptr && value_->is_number(); }

    // A member of an object; absent when this is none.
    Field operator[](std::string_view name) const;
    // Of an array, in order; empty when this is none.
    std::vector<Field> elements() const;

    // Each of these fails with invalid_request, naming the place, when the value is absent or of another type.
    ApiResult<std::string> text() const;
    ApiResult<std::string> text_that_is_not_empty() const;
    ApiResult<bool> boolean() const;
    ApiResult<std::int64_t> whole_number(std::int64_t least, std::int64_t most) const;
    ApiResult<double> number(double least, double most) const;
    ApiResult<void> must_be_object() const;
    ApiResult<void> must_be_array(std::size_t least, std::size_t most) const;

    // The same, with a value for what is absent.
    ApiResult<std::string> text_or(std::string otherwise) const;
    ApiResult<bool> boolean_or(bool otherwise) const;
    ApiResult<std::int64_t> whole_number_or(std::int64_t otherwise, std::int64_t least, std::int64_t most) const;
    ApiResult<double> number_or(double otherwise, double least, double most) const;

    const OrderedJson &json() const;  // null when absent
    std::string compact() const { return json().dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

    // An error about this field: `message` is the sentence's end, "must be …".
    std::unexpected<ApiError> wrong(std::string_view message) const;

  private:
    Field(const OrderedJson *value, std::string place) : value_(value), place_(std::move(place)) {}

    const OrderedJson *value_;  // null: absent
    std::string place_;
};

// The body of a request. invalid_request when it is no JSON object, or too deep or wide (chat/bounded_json.h).
ApiResult<OrderedJson> parse_body(std::string_view body, std::size_t max_bytes);

}  // namespace engram::protocol
