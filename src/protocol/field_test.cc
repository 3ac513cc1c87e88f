#include "protocol/field.h"

#include <gtest/gtest.h>

namespace engram::protocol {
namespace {

OrderedJson body(std::string_view text) {
    auto json = parse_body(text, 1 << 20);
    EXPECT_TRUE(json.has_value()) << text;
    return json.value_or(OrderedJson::object());
}

std::string message(const ApiError &error) {
    EXPECT_EQ(error.kind, ApiErrorKind::invalid_request);
    return error.param + "|" + error.message;
}

TEST(FieldTest, ReadsWhatIsThere) {
    const OrderedJson json = body(R"({"model":"m","n":3,"t":0.5,"on":true,"list":[{"role":"user"},{"role":"x"}],"none":null})");
    const Field field(json);
    EXPECT_EQ(field["model"].text(), "m");
    EXPECT_EQ(field["n"].whole_number(0, 5), 3);
    EXPECT_EQ(field["t"].number(0, 1), 0.5);
    EXPECT_EQ(field["on"].boolean(), true);
    EXPECT_EQ(field["list"].elements().at(1)["role"].text(), "x");
    EXPECT_EQ(field["list"].elements().at(1)["role"].place(), "list[1].role");
    EXPECT_EQ(field["list"].compact(), R"([{"role":"user"},{"role":"x"}])");
    EXPECT_FALSE(field["none"].present());
    EXPECT_FALSE(field["absent"].present());
    EXPECT_EQ(field["absent"].text_or("d"), "d");
    EXPECT_EQ(field["none"].whole_number_or(7, 0, 9), 7);
    EXPECT_EQ(field["absent"].boolean_or(true), true);
    EXPECT_EQ(field["absent"].number_or(0.25, 0, 1), 0.25);
}

TEST(FieldTest, SaysWhichFieldIsWrong) {
    const OrderedJson json = body(R"({"a":{"b":[1,"x",2.5]},"e":"","big":18446744073709551615,"f":5.0})");
    const Field field(json);
    const std::vector<Field> list = field["a"]["b"].elements();
    EXPECT_EQ(message(list[0].text().error()), "a.b[0]|a.b[0]: must be a string");
    EXPECT_EQ(message(list[1].whole_number(0, 1).error()), "a.b[1]|a.b[1]: must be a whole number from 0 to 1");
    EXPECT_EQ(message(list[2].whole_number(0, 9).error()), "a.b[2]|a.b[2]: must be a whole number from 0 to 9");
    EXPECT_EQ(message(list[2].number(0, 1).error()), "a.b[2]|a.b[2]: must be a number from 0 to 1");
    EXPECT_EQ(message(field["c"].text().error()), "c|c: is missing");
    EXPECT_EQ(message(field["e"].text_that_is_not_empty().error()), "e|e: must not be empty");
    EXPECT_EQ(message(field["a"].boolean().error()), "a|a: must be true or false");
    EXPECT_EQ(message(field["a"].must_be_array(1, 2).error()), "a|a: must be an array");
    EXPECT_EQ(message(field["a"]["b"].must_be_array(4, 9).error()), "a.b|a.b: must have at least 4 elements");
    EXPECT_EQ(message(field["a"]["b"].must_be_array(0, 2).error()), "a.b|a.b: must have at most 2 elements");
    EXPECT_FALSE(field["big"].whole_number(0, INT64_MAX).has_value());
    EXPECT_EQ(field["f"].whole_number(0, 9), 5);
    EXPECT_FALSE(field["a"].text_or("d").has_value());
}

TEST(FieldTest, BodiesThatAreNone) {
    for (const std::string_view text : {"", "{", "[]", "\"x\"", "{\"a\":1}{", "nul"}) {
        EXPECT_EQ(parse_body(text, 1 << 20).error().kind, ApiErrorKind::invalid_request) << text;
    }
    EXPECT_EQ(parse_body(std::string(5000, '['), 1 << 20).error().kind, ApiErrorKind::invalid_request);
    EXPECT_EQ(parse_body(R"({"a":1})", 3).error().kind, ApiErrorKind::invalid_request);
}

TEST(ApiErrorTest, EachKindHasAStatus) {
    EXPECT_EQ(http_status(api_error({.code = ErrorCode::not_found}).kind), 404);
    EXPECT_EQ(http_status(api_error({.code = ErrorCode::invalid_argument}).kind), 400);
    EXPECT_EQ(http_status(api_error({.code = ErrorCode::already_exists}).kind), 409);
    EXPECT_EQ(http_status(api_error({.code = ErrorCode::internal}).kind), 500);
    EXPECT_EQ(http_status(ApiErrorKind::rate_limited), 429);
    EXPECT_EQ(http_status(ApiErrorKind::overloaded), 503);
}

}  // namespace
}  // namespace engram::protocol
