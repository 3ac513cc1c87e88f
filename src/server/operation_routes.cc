// GET /health/live, /health/ready and /metrics.
#include "server/app.h"
#include "server/openapi.h"

namespace engram::server {
namespace {

using namespace protocol;

ApiResult<void> live(App &, const http::HttpRequest &, http::HttpResponder &responder) {
    responder.send(json_answer(OrderedJson{{"status", "ok"}}));
    return {};
}

// No: it is going down, or another model is being loaded.
ApiResult<void> ready(App &app, const http::HttpRequest &, http::HttpResponder &responder) {
    const std::string_view status = app.stopping() ? "stopping" : app.models().ready() ? "ok" : "loading";
    http::HttpAnswer answer = json_answer(OrderedJson{{"status", status},
                                                      {"model", app.model().name},
                                                      // How many; what they are is for the operator, who finds them in the log.
                                                      {"problems", app.tenants().problems().size()}},
                                          status == "ok" ? 200 : 503);
    if (status != "ok") answer.headers.emplace_back("retry-after", "5");
    responder.send(answer);
    return {};
}

ApiResult<void> metrics(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::admin));
    const AgentManager &agents = caller.model.default_agents();
    responder.send({.status = 200,
                    .headers = {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}},
                    .body = app.metrics().text(agents.stats(), agents.storage_by_tenant(), app.in_flight())});
    return {};
}

ApiResult<void> openapi(App &, const http::HttpRequest &, http::HttpResponder &responder) {
    responder.send(json_answer(openapi_document()));
    return {};
}

}  // namespace

std::vector<http::HttpRoute> operation_routes(App &app) {
    constexpr bool kQuick = true;
    return {route(app, "GET", "/health/live", live, kQuick), route(app, "GET", "/health/ready", ready, kQuick),
            route(app, "GET", "/openapi.json", openapi, kQuick), route(app, "GET", "/metrics", metrics)};
}

}  // namespace engram::server
