// Short ways to start a server in a test.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <format>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "http/server.h"
#include "http/testing/client.h"

namespace engram::http {

inline HttpRoute make_route(std::string method, std::string path, HttpHandler handler, bool quick = false) {
    return {.method = std::move(method), .path = std::move(path), .handler = std::move(handler), .quick = quick};
}

inline HttpHandler answer_with(std::string body) {
    return [body = std::move(body)](const HttpRequest &, HttpResponder &responder) -> Result<void> {
        responder.send({.headers = {{"Content-Type", "text/plain"}}, .body = body});
        return {};
    };
}

// "<kind> <path>: <message>", in two shapes, as two protocols would have them.
inline HttpAnswer test_refusal(const HttpRequest &request, const HttpRefusal &refusal) {
    const char *shape = request.path.starts_with("/b/") ? "B" : "A";
    return {.status = refusal.status,
            .headers = {{"Content-Type", "application/x-test"}},
            .body = std::format("{} {} {}: {}", shape, static_cast<int>(refusal.kind), request.path, refusal.message)};
}

inline std::unique_ptr<HttpServer> start_server(std::vector<HttpRoute> routes, HttpServerOptions options = {}) {
    options.routes = std::move(routes);
    if (!options.refuse) options.refuse = test_refusal;
    auto server = HttpServer::start(std::move(options));
    if (!server) {
        ADD_FAILURE() << server.error().message;
        return nullptr;
    }
    return std::move(*server);
}

// Waits for something that happens soon, without saying how soon.
inline bool eventually(const std::function<bool()> &condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

}  // namespace engram::http
