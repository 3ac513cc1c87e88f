#include "protocol/openai/responses_stored.h"

#include <gtest/gtest.h>

#include "protocol/openai/errors.h"
#include "protocol/openai/testing/wire_samples.h"
#include "protocol/openai/wire.h"

namespace engram::protocol::openai {
namespace {

std::string page(std::string_view order, std::string_view limit, std::string_view after) {
    const OrderedJson items = json_of(R"([{"id":"a"},{"id":"b"},{"id":"c"}])");
    const auto query = parse_item_list_query(order, limit, after);
    if (!query) return query.error().message;
    const auto list = input_item_list_json(items, *query);
    return list ? dump(*list) : list.error().message;
}

TEST(ResponsesStoredTest, PagesOfItems) {
    EXPECT_EQ(page("", "", ""),
              R"({"object":"list","data":[{"id":"c"},{"id":"b"},{"id":"a"}],"first_id":"c","last_id":"a","has_more":false})");
    EXPECT_EQ(page("asc", "2", ""),
              R"({"object":"list","data":[{"id":"a"},{"id":"b"}],"first_id":"a","last_id":"b","has_more":true})");
    EXPECT_EQ(page("asc", "2", "b"), R"({"object":"list","data":[{"id":"c"}],"first_id":"c","last_id":"c","has_more":false})");
    EXPECT_EQ(page("desc", "1", "a"), R"({"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false})");
    EXPECT_EQ(page("down", "", ""), R"(order: must be "asc" or "desc")");
    EXPECT_EQ(page("", "0", ""), "limit: must be a whole number from 1 to 100");
    EXPECT_EQ(page("", "9x", ""), "limit: must be a whole number from 1 to 100");
    EXPECT_EQ(page("", "", "z"), "after: there is no item \"z\"");
}

TEST(ResponsesStoredTest, SmallAnswers) {
    EXPECT_EQ(dump(deleted_response_json("resp_1")), R"({"id":"resp_1","object":"response","deleted":true})");
    EXPECT_EQ(dump(input_tokens_json(7)), R"({"object":"response.input_tokens","input_tokens":7})");
    EXPECT_EQ(
        error_body(no_such_response("resp_1")),
        R"({"error":{"message":"Response with id 'resp_1' not found.","type":"invalid_request_error","param":"response_id","code":"not_found"}})");
}

}  // namespace
}  // namespace engram::protocol::openai
