#include "server/a2a_routes.h"

#include <format>
#include <memory>
#include <utility>

#include "core/field_hasher.h"
#include "protocol/a2a/read.h"
#include "protocol/a2a/rpc.h"
#include "protocol/field.h"
#include "server/a2a_methods.h"

namespace engram::server {

using namespace protocol::a2a;

namespace {

constexpr int kClientHasGone = 499;

struct Context {
    App &app;
    A2aMethods methods;
    bool test_mode;
};
using ContextPointer = std::shared_ptr<Context>;

// The version that the request says it speaks; empty: none.
std::string_view version_of(const http::HttpRequest &request) {
    const std::string_view header = request.header("a2a-version");
    return header.empty() ? request.query_value("A2A-Version").value_or("") : header;
}

std::optional<std::string> agent_of(const http::HttpRequest &request) {
    const std::string_view agent = request.parameter("id");
    return agent.empty() ? std::nullopt : std::optional(std::string(agent));
}

A2aResult<void> check_content_type(const http::HttpRequest &request) {
    const std::string_view type = request.header("content-type");
    if (type.empty() || type.contains("json") || request.body.empty()) return {};
    return std::unexpected(A2aError(A2aErrorKind::content_type_not_supported,
                                    std::format("Content-Type: \"{}\" isn't read here; send application/json", type)));
}

// Where handlers come together: an error gets the binding's shape, and each answer is counted when it is over.
void serve(const ContextPointer &context, const http::HttpRequest &request, http::HttpResponder &responder,
           const A2aResult<A2aCall> &call, const A2aBinding &binding) {
    const auto answered = [context, route = request.route](int status) {
        context->app.metrics().answered(route, status == 0 ? kClientHasGone : status);
    };
    A2aResult<bool> done =
        call ? context->methods.call(request, responder, *call, answered) : A2aResult<bool>(std::unexpected(call.error()));
    if (!done) responder.send((call ? call->binding : binding).error(done.error()));
    if (!done || *done) answered(responder.status());
}

// --- JSON-RPC ---

A2aResult<A2aCall> rpc_call(const http::HttpRequest &request, App &app, A2aBinding &binding) {
    ENGRAM_TRY(app.principal(request, Scope::chat));  // nobody's JSON is read who has no key
    ENGRAM_TRY(check_content_type(request));
    ENGRAM_ASSIGN(RpcRequest rpc, read_rpc(request.body, app.options().max_body_bytes));
    binding.id = rpc.id;
    ENGRAM_ASSIGN(const MethodCall method, method_call(version_of(request), rpc.method));
    binding.dialect = method.dialect;
    if (method.dialect == WireVersion::v1_0) rpc.params = with_json_names(rpc.params);
    return A2aCall{.method = method.method, .binding = binding, .params = std::move(rpc.params), .agent = agent_of(request)};
}

http::HttpHandler rpc_handler(const ContextPointer &context) {
    return [context](const http::HttpRequest &request, http::HttpResponder &responder) -> Result<void> {
        A2aBinding binding{.rpc = true};
        serve(context, request, responder, rpc_call(request, context->app, binding), binding);
        return {};
    };
}

// --- HTTP+JSON ---

// What the path says, as the methods' parameters.
struct PathNames {
    const char *task = nullptr;
    const char *config = nullptr;
};

// Version 1.0.0 has JSON alone, 1.0.1 a media type of its own that clients should use: they are answered in what they speak.
A2aBinding http_binding(const http::HttpRequest &request) {
    A2aBinding binding;
    constexpr std::string_view kOwn = "application/a2a+json";
    if (request.header("content-type").contains(kOwn) || request.header("accept").contains(kOwn)) binding.media_type = kOwn;
    return binding;
}

A2aResult<OrderedJson> params_of_body(const std::string &body, std::size_t max_bytes) {
    ENGRAM_ASSIGN(OrderedJson params, protocol::parse_body(body, max_bytes));
    return params;
}

A2aResult<A2aCall> http_call(const http::HttpRequest &request, App &app, Method method, const PathNames &names) {
    ENGRAM_TRY(app.principal(request, Scope::chat));
    ENGRAM_ASSIGN(const WireVersion dialect, dialect_of_version(version_of(request)));
    if (dialect != WireVersion::v1_0) {
        return std::unexpected(
            A2aError(A2aErrorKind::version_not_supported,
                     "this binding is spoken in version 1.0 alone: send the header A2A-Version: 1.0 (a request "
                     "without it speaks 0.3, which is answered over JSON-RPC)"));
    }
    ENGRAM_TRY(check_content_type(request));
    ENGRAM_ASSIGN(OrderedJson params, request.body.empty() ? A2aResult<OrderedJson>(params_of_query(request.query))
                                                           : params_of_body(request.body, app.options().max_body_bytes));
    params = with_json_names(params);
    if (names.task != nullptr) params[names.task] = request.parameter("task");
    if (names.config != nullptr) params[names.config] = request.parameter("config");
    A2aBinding binding = http_binding(request);
    auto agent = agent_of(request);
    return A2aCall{.method = method, .binding = std::move(binding), .params = std::move(params), .agent = std::move(agent)};
}

http::HttpHandler http_handler(const ContextPointer &context, Method method, PathNames names) {
    return [=](const http::HttpRequest &request, http::HttpResponder &responder) -> Result<void> {
        serve(context, request, responder, http_call(request, context->app, method, names), http_binding(request));
        return {};
    };
}

// --- cards ---

// Without a version it is a client of 0.3 that asks: it gets its own shape, with the interfaces of 1.0 beside it. The
// compatibility kit says no version either, and wants 1.0's shape alone.
A2aResult<WireVersion> card_dialect(const Context &context, const http::HttpRequest &request) {
    const std::string_view version = version_of(request);
    if (version.empty() && context.test_mode) return WireVersion::v1_0;
    return dialect_of_version(version);
}

http::HttpHandler card_handler(const ContextPointer &context) {
    return [context](const http::HttpRequest &request, http::HttpResponder &responder) -> Result<void> {
        const auto dialect = card_dialect(*context, request);
        const auto card = dialect ? context->methods.card(request, agent_of(request), *dialect, false)
                                  : A2aResult<OrderedJson>(std::unexpected(dialect.error()));
        http::HttpAnswer answer = card ? json_answer(*card) : A2aBinding{}.error(card.error());
        if (card) {
            FieldHasher hasher("engram a2a card");
            hasher.add(std::string_view(answer.body));
            answer.headers.emplace_back("cache-control", "max-age=60");
            answer.headers.emplace_back("etag", std::format("\"{}\"", hasher.finish().hex().substr(0, 32)));
            answer.headers.emplace_back("vary", "A2A-Version, Host, Authorization, X-Api-Key");
        }
        responder.send(answer);
        context->app.metrics().answered(request.route, responder.status());
        return {};
    };
}

void add_binding(std::vector<http::HttpRoute> &routes, const ContextPointer &context, const std::string &base) {
    const auto add = [&](const char *verb, const std::string &path, Method method, PathNames names = {}) {
        routes.push_back({.method = verb, .path = base + path, .handler = http_handler(context, method, names)});
    };
    const std::string task = "/tasks/{task}";
    const std::string hooks = task + "/pushNotificationConfigs";
    routes.push_back({.method = "POST", .path = base, .handler = rpc_handler(context)});
    routes.push_back(
        {.method = "POST", .path = base + "/", .handler = rpc_handler(context)});  // some clients add it to any address
    add("POST", "/message:send", Method::send_message);
    add("POST", "/message:stream", Method::send_streaming_message);
    add("GET", "/tasks", Method::list_tasks);
    add("GET", task, Method::get_task, {.task = "id"});
    add("POST", task + ":cancel", Method::cancel_task, {.task = "id"});
    add("GET", task + ":subscribe", Method::subscribe_to_task, {.task = "id"});
    add("POST", task + ":subscribe", Method::subscribe_to_task, {.task = "id"});
    add("POST", hooks, Method::create_push_config, {.task = "taskId"});
    add("GET", hooks, Method::list_push_configs, {.task = "taskId"});
    add("GET", hooks + "/{config}", Method::get_push_config, {.task = "taskId", .config = "id"});
    add("DELETE", hooks + "/{config}", Method::delete_push_config, {.task = "taskId", .config = "id"});
    add("GET", "/extendedAgentCard", Method::get_extended_card);
}

}  // namespace

std::vector<http::HttpRoute> a2a_routes(App &app, A2aTasks &tasks, bool test_mode) {
    const auto context =
        std::make_shared<Context>(Context{.app = app, .methods = A2aMethods(app, tasks), .test_mode = test_mode});
    const std::string of_agent = "/a2a/agents/{id}";
    const std::string card = "/.well-known/agent-card.json";
    std::vector<http::HttpRoute> routes;
    routes.push_back({.method = "GET", .path = card, .handler = card_handler(context)});
    routes.push_back({.method = "GET", .path = of_agent + card, .handler = card_handler(context)});
    add_binding(routes, context, "/a2a");
    add_binding(routes, context, of_agent);
    return routes;
}

}  // namespace engram::server
