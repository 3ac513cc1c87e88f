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

// The model is loaded before the server listens; what is left is that it is going down.
ApiResult<void> ready(App &app, const http::HttpRequest &, http::HttpResponder &responder) {
    const bool stopping = app.stopping();
    http::HttpAnswer answer =
        json_answer(OrderedJson{{"status", stopping ? "stopping" : "ok"}, {"model", app.model_name()}}, stopping ? 503 : 200);
    if (stopping) answer.headers.emplace_back("retry-after", "5");
    responder.send(answer);
    return {};
}

ApiResult<void> metrics(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_TRY(app.caller(request, Scope::admin));
    responder.send({.status = 200,
                    .headers = {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}},
                    .body = app.metrics().text(app.default_agents().stats(), app.in_flight())});
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
