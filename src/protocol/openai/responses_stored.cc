#include "protocol/openai/responses_stored.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <vector>

namespace engram::protocol::openai {
namespace {

constexpr std::size_t kMaxLimit = 100;

}  // namespace

OrderedJson deleted_response_json(std::string_view id) { return {{"id", id}, {"object", "response"}, {"deleted", true}}; }

OrderedJson input_tokens_json(std::uint64_t tokens) { return {{"object", "response.input_tokens"}, {"input_tokens", tokens}}; }

ApiError no_such_response(std::string_view id) {
    return {
        .kind = ApiErrorKind::not_found, .message = std::format("Response with id '{}' not found.", id), .param = "response_id"};
}

ApiResult<ItemListQuery> parse_item_list_query(std::string_view order, std::string_view limit, std::string_view after) {
    ItemListQuery query{.after = std::string(after)};
    if (!order.empty() && order != "asc" && order != "desc") return wrong_field("order", R"(order: must be "asc" or "desc")");
    query.ascending = order == "asc";
    if (limit.empty()) return query;
    const auto [end, error] = std::from_chars(limit.data(), limit.data() + limit.size(), query.limit);
    if (error != std::errc() || end != limit.data() + limit.size() || query.limit < 1 || query.limit > kMaxLimit) {
        return wrong_field("limit", std::format("limit: must be a whole number from 1 to {}", kMaxLimit));
    }
    return query;
}

ApiResult<OrderedJson> input_item_list_json(const OrderedJson &items, const ItemListQuery &query) {
    std::vector<OrderedJson> list(items.begin(), items.end());
    if (!query.ascending) std::ranges::reverse(list);
    auto first = list.begin();
    if (!query.after.empty()) {
        first = std::ranges::find_if(list, [&](const OrderedJson &item) { return item.value("id", "") == query.after; });
        if (first == list.end()) return wrong_field("after", std::format("after: there is no item \"{}\"", query.after));
        ++first;
    }
    const auto rest = static_cast<std::size_t>(list.end() - first);
    const auto last = first + static_cast<std::ptrdiff_t>(std::min(rest, query.limit));
    OrderedJson data = OrderedJson::array();
    std::for_each(first, last, [&](const OrderedJson &item) { data.push_back(item); });
    const OrderedJson first_id = data.empty() ? OrderedJson() : data.front()["id"];
    const OrderedJson last_id = data.empty() ? OrderedJson() : data.back()["id"];
    return OrderedJson({{"object", "list"},
                        {"data", std::move(data)},
                        {"first_id", first_id},
                        {"last_id", last_id},
                        {"has_more", last != list.end()}});
}

}  // namespace engram::protocol::openai
