// GET /v1/usage: what was used, from the ledger, and what is stored now.
#include "server/app.h"

namespace engram::server {
namespace {

using namespace protocol;

ApiResult<UsageQuery> read_query(const Caller &caller, const http::HttpRequest &request) {
    const auto asked = [&](std::string_view name) { return std::string(request.query_value(name).value_or("")); };
    UsageQuery query{.from_day = asked("from"), .to_day = asked("to"), .tenant = asked("tenant")};
    if (!caller.scopes.has(Scope::admin)) {
        if (!query.tenant.empty() && query.tenant != caller.tenant) {
            return std::unexpected(ApiError{.kind = ApiErrorKind::permission,
                                            .message = "only a key with scope admin is shown what other tenants used"});
        }
        query.tenant = caller.tenant;
    }
    const auto columns = UsageColumns::parse(request.query_value("by").value_or("day"));
    if (!columns) return wrong_field("by", columns.error().message);
    query.columns = *columns;
    return query;
}

OrderedJson stored_json(const std::vector<TenantStorage> &tenants, const std::string &tenant) {
    const auto limit = [](const std::optional<std::uint64_t> &bytes) { return bytes ? OrderedJson(*bytes) : OrderedJson(); };
    OrderedJson list = OrderedJson::array();
    for (const TenantStorage &storage : tenants) {
        if (storage.tenant.empty() || (!tenant.empty() && storage.tenant != tenant)) continue;
        list.push_back({{"tenant", storage.tenant},
                        {"disk", {{"bytes", storage.disk_bytes}, {"limit_bytes", limit(storage.limits.disk_bytes)}}},
                        {"memory", {{"bytes", storage.memory_bytes}, {"limit_bytes", limit(storage.limits.memory_bytes)}}},
                        {"refused_parts", storage.refused_parts},
                        {"evicted_parts", storage.evicted_parts}});
    }
    return list;
}

ApiResult<void> usage(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const UsageQuery query, read_query(caller, request));
    const std::string_view format = request.query_value("format").value_or("json");
    if (format != "json" && format != "csv") return wrong_field("format", "format must be json or csv");
    const auto rows = app.tenants().usage(query);
    if (!rows) return std::unexpected(api_error(rows.error()));
    if (format == "csv") {
        responder.send(
            {.status = 200, .headers = {{"content-type", "text/csv; charset=utf-8"}}, .body = usage_csv(*rows, query.columns)});
    } else {
        responder.send(json_answer(OrderedJson{{"usage", usage_json(*rows, query.columns)},
                                               {"stored", stored_json(caller.agents->storage_by_tenant(), query.tenant)}}));
    }
    return {};
}

}  // namespace

std::vector<http::HttpRoute> usage_routes(App &app) { return {route(app, "GET", "/v1/usage", usage)}; }

}  // namespace engram::server
