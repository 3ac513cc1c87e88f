// What is asked about stored responses: GET and DELETE /v1/responses/{id}, GET …/input_items, POST /v1/responses/input_tokens.
// A stored response itself is answered as it was (ResponsesAnswer::response). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chat/bounded_json.h"
#include "protocol/api_error.h"

namespace engram::protocol::openai {

OrderedJson deleted_response_json(std::string_view id);
OrderedJson input_tokens_json(std::uint64_t tokens);

// not_found, as it is told for an id that isn't stored (any more), or belongs to somebody else.
ApiError no_such_response(std::string_view id);

// The query of a list: order, limit and after, each empty when absent.
struct ItemListQuery {
    bool ascending = false;
    std::size_t limit = 20;
    std::string after;  // an item's id: the page begins behind it
};
ApiResult<ItemListQuery> parse_item_list_query(std::string_view order, std::string_view limit, std::string_view after);

// One page of the items (ResponsesRequest::input_items, in the order of the input). invalid_request: there is no item `after`.
ApiResult<OrderedJson> input_item_list_json(const OrderedJson &items, const ItemListQuery &query);

}  // namespace engram::protocol::openai
