#include "protocol/anthropic/models.h"

#include <algorithm>
#include <charconv>
#include <format>

#include "chat/bounded_json.h"

namespace engram::protocol::anthropic {
namespace {

constexpr std::uint32_t kMaxLimit = 1000;

OrderedJson supported(bool yes) { return {{"supported", yes}}; }

OrderedJson capabilities(const ModelCard &model) {
    const OrderedJson no = supported(false);
    return {{"batch", no},
            {"citations", no},
            {"code_execution", no},
            {"context_management",
             {{"clear_thinking_20251015", no}, {"clear_tool_uses_20250919", no}, {"compact_20260112", no}, {"supported", false}}},
            {"effort", {{"high", no}, {"low", no}, {"max", no}, {"medium", no}, {"supported", false}, {"xhigh", no}}},
            {"image_input", no},
            {"pdf_input", no},
            {"server_tools", {{"code_execution", no}, {"supported", false}, {"web_search", no}}},
            {"structured_outputs", supported(true)},
            {"thinking",
             {{"supported", model.thinks},
              {"types",
               {{"adaptive", supported(model.thinks)},
                {"between_tools", supported(true)},
                {"disabled", supported(true)},
                {"enabled", supported(model.thinks)}}}}}};
}

OrderedJson info(const ModelCard &model) {
    const auto count = [](std::uint64_t n) { return n == 0 ? OrderedJson() : OrderedJson(n); };
    return {{"type", "model"},
            {"id", model.id},
            {"display_name", model.display_name.empty() ? model.id : model.display_name},
            {"created_at", model.created_at.empty() ? "1970-01-01T00:00:00Z" : model.created_at},
            {"lifecycle", "active"},
            {"deprecated_at", nullptr},
            {"retires_at", nullptr},
            {"line", nullptr},
            {"max_input_tokens", count(model.max_input_tokens)},
            {"max_tokens", count(model.max_output_tokens)},
            {"capabilities", capabilities(model)}};
}

std::string text_of(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

}  // namespace

ApiResult<Paging> read_paging(const Lookup &parameters) {
    Paging paging;
    paging.before_id = parameters("before_id");
    paging.after_id = parameters("after_id");
    if (!paging.before_id.empty() && !paging.after_id.empty()) {
        return wrong_field("before_id", "before_id: can't be given together with after_id");
    }
    const std::string limit(parameters("limit"));
    if (limit.empty()) return paging;
    const char *const end = limit.data() + limit.size();
    const auto [stopped, error] = std::from_chars(limit.data(), end, paging.limit);
    if (error != std::errc() || stopped != end || paging.limit < 1 || paging.limit > kMaxLimit) {
        return wrong_field("limit", std::format("limit: must be a whole number from 1 to {}", kMaxLimit));
    }
    return paging;
}

std::string model_info(const ModelCard &model) { return text_of(info(model)); }

ApiResult<std::string> model_list(std::span<const ModelCard> models, const Paging &paging) {
    std::size_t begin = 0, end = models.size();
    const bool backwards = !paging.before_id.empty();
    if (const std::string &cursor = backwards ? paging.before_id : paging.after_id; !cursor.empty()) {
        const auto found = std::ranges::find(models, cursor, &ModelCard::id);
        const std::string name = backwards ? "before_id" : "after_id";
        if (found == models.end()) return wrong_field(name, std::format("{}: there is no model \"{}\"", name, cursor));
        const auto at = static_cast<std::size_t>(found - models.begin());
        (backwards ? end : begin) = backwards ? at : at + 1;
    }
    const bool has_more = end - begin > paging.limit;
    if (has_more) (backwards ? begin : end) = backwards ? end - paging.limit : begin + paging.limit;
    const auto page = models.subspan(begin, end - begin);
    OrderedJson data = OrderedJson::array();
    for (const ModelCard &model : page) data.push_back(info(model));
    OrderedJson list{{"data", std::move(data)}, {"has_more", has_more}, {"first_id", nullptr}, {"last_id", nullptr}};
    if (!page.empty()) {
        list["first_id"] = page.front().id;
        list["last_id"] = page.back().id;
    }
    return text_of(list);
}

}  // namespace engram::protocol::anthropic
