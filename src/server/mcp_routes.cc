// MCP over HTTP: /mcp, "streamable HTTP" in both eras of the protocol. An answer is one JSON object, unless something is to be
// said before it: then it is a stream of server-sent events, whose last one is the answer.
#include <chrono>
#include <memory>
#include <stop_token>
#include <utility>

#include "protocol/openai/wire.h"
#include "server/app.h"
#include "server/mcp_agents.h"
#include "server/mcp_fixtures.h"
#include "server/mcp_sessions.h"
#include "server/run_account.h"

namespace engram::server {

using namespace protocol;
namespace mcp = protocol::mcp;

namespace {

constexpr std::string_view kSessionHeader = "mcp-session-id";
constexpr std::string_view kVersionHeader = "mcp-protocol-version";

struct Endpoints {
    std::unique_ptr<McpOffer> offer;
    McpServer server;
    McpSessions sessions;

    explicit Endpoints(bool fixtures) : offer(fixtures ? make_mcp_fixtures() : std::make_unique<McpAgents>()), server(*offer) {}
};

// What is wrong with a message, or with how it came.
http::HttpAnswer rpc_answer(const std::optional<RpcId> &id, const RpcError &error, int status) {
    return json_answer(mcp::write_message(RpcResponse{.id = id, .outcome = std::unexpected(error)}), status);
}

// One answer on its way: a stream from the first message on that goes ahead of it.
class McpDelivery {
  public:
    explicit McpDelivery(http::HttpResponder &responder) : responder_(responder) {}

    void send(const RpcMessage &message) {
        if (!std::exchange(begun_, true)) {
            responder_.start(200, {{"content-type", "text/event-stream; charset=utf-8"},
                                   {"cache-control", "no-cache"},
                                   {"x-accel-buffering", "no"}});
        }
        responder_.write(openai::sse_frame(rpc_json(message), "message"));
    }
    void finish(const std::optional<RpcResponse> &response, int status, http::HttpFields headers) {
        if (begun_) {
            if (response) send(*response);
            responder_.end();
        } else if (!response) {  // cancelled: nobody reads it
            responder_.send({.status = 202, .headers = std::move(headers), .body = {}});
        } else {
            http::HttpAnswer whole = json_answer(mcp::write_message(*response), status);
            for (auto &field : headers) whole.headers.push_back(std::move(field));
            responder_.send(whole);
        }
    }

  private:
    http::HttpResponder &responder_;
    bool begun_ = false;
};

McpCaller mcp_caller(App &app, const Caller &caller) {
    const auto run = [&app, &caller](const RunRequest &request, const RunSink &sink,
                                     std::stop_token stop) -> ApiResult<RunResult> {
        ENGRAM_ASSIGN(const App::Place place, app.admit(caller));
        const RunAgent runs = app.run_agent();
        RunAccount account(app, caller.tenant);
        const RunSink counting = [&](const RunEvent &event) {
            account.take(event);
            sink(event);
        };
        RunRequest sampled = request;
        sampled.sampling = app.options().sampling;
        auto result = runs(*caller.agents, sampled, counting, std::move(stop));
        if (!result) return std::unexpected(api_error(result.error()));
        return std::move(*result);
    };
    return {.agents = caller.agents, .run = run, .may_create = [&app, &caller] { return app.check_agent_quota(caller); }};
}

// The new era says by the status, too, what kind of error it is.
int stateless_status(const std::optional<RpcResponse> &response) {
    if (!response || response->outcome) return 200;
    switch (response->outcome.error().code) {
        case kRpcMethodNotFound: return 404;
        case mcp::kMissingCapability: return 400;
        default: return 200;
    }
}

RpcResult<mcp::CallMeta> stateless_meta(const RpcRequest &call, const http::HttpRequest &request) {
    auto meta = mcp::read_stateless_meta(call.params);
    if (!meta && meta.error().code == kRpcInvalidParams) return meta;
    ENGRAM_TRY(mcp::check_headers(
        call,
        {.version = request.header(kVersionHeader), .method = request.header("mcp-method"), .name = request.header("mcp-name")}));
    return meta;
}

// A message that came, and the way back.
struct Post {
    App &app;
    Endpoints &endpoints;
    const http::HttpRequest &request;
    const Caller &caller;
    http::HttpResponder &responder;
};

void post_stateless(const Post &post, const RpcMessage &message) {
    const auto *asked = std::get_if<RpcRequest>(&message);
    if (asked == nullptr) {  // none is defined; a client that closes the connection cancels
        post.responder.send({.status = 202, .headers = {}, .body = {}});
        return;
    }
    auto meta = stateless_meta(*asked, post.request);
    if (!meta) {
        post.responder.send(rpc_answer(asked->id, meta.error(), 400));
        return;
    }
    McpDelivery delivery(post.responder);
    const McpCall call{.caller = mcp_caller(post.app, post.caller),
                       .meta = std::move(*meta),
                       .send = [&](const RpcMessage &ahead) { delivery.send(ahead); },
                       .stop = post.request.stop};
    const auto response = post.endpoints.server.answer(*asked, call);
    delivery.finish(response, stateless_status(response), {});
}

// The request's session: the one that its header names, or a new one.
struct InSession {
    std::shared_ptr<McpSession> session;
    bool fresh = false;
};

std::expected<InSession, http::HttpAnswer> session_of(Endpoints &endpoints, const RpcMessage &message,
                                                      const http::HttpRequest &request, const std::string &tenant) {
    const auto *asked = std::get_if<RpcRequest>(&message);
    const std::optional<RpcId> id = asked == nullptr ? std::nullopt : std::optional(asked->id);
    const auto refuse = [&](std::string why, int status) {
        return std::unexpected(rpc_answer(id, {.code = kRpcInvalidRequest, .message = std::move(why)}, status));
    };
    const std::string_view named = request.header(kSessionHeader);
    if (asked != nullptr && asked->method == "initialize") {
        return InSession{.session = std::make_shared<McpSession>(), .fresh = true};
    }
    if (named.empty()) return refuse("the header Mcp-Session-Id is missing; a session begins with initialize", 400);
    auto session = endpoints.sessions.find(named, tenant, std::chrono::steady_clock::now());
    if (session == nullptr) return refuse("there is no such session (any more): begin another one with initialize", 404);
    return InSession{.session = std::move(session)};
}

void post_in_session(const Post &post, const RpcMessage &message) {
    const auto in = session_of(post.endpoints, message, post.request, post.caller.tenant);
    if (!in) {
        post.responder.send(in.error());
        return;
    }
    McpSession &session = *in->session;
    const auto *asked = std::get_if<RpcRequest>(&message);
    if (asked == nullptr) {
        if (const auto *said = std::get_if<RpcNotification>(&message)) McpServer::take(*said, session);
        if (const auto *answered = std::get_if<RpcResponse>(&message)) session.answered(*answered);
        post.responder.send({.status = 202, .headers = {}, .body = {}});
        return;
    }
    auto meta = mcp::read_session_meta(asked->params);
    if (!meta) {
        post.responder.send(rpc_answer(asked->id, meta.error(), 400));
        return;
    }
    std::stop_source stop;
    auto under = session.begin(asked->id, stop);
    if (under == nullptr) {
        post.responder.send(rpc_answer(asked->id, {.code = kRpcInvalidRequest, .message = McpSession::kNotBegun}, 400));
        return;
    }
    const std::stop_callback gone(post.request.stop, [&] { stop.request_stop(); });
    McpDelivery delivery(post.responder);
    const McpCall call{.caller = mcp_caller(post.app, post.caller),
                       .meta = std::move(*meta),
                       .session = &session,
                       .send = [&](const RpcMessage &ahead) { delivery.send(ahead); },
                       .stop = stop.get_token()};
    const auto response = post.endpoints.server.answer(*asked, call);
    under.reset();
    http::HttpFields headers;
    if (in->fresh && response && response->outcome) {
        headers.emplace_back(kSessionHeader,
                             post.endpoints.sessions.add(post.caller.tenant, in->session, std::chrono::steady_clock::now()));
    }
    delivery.finish(response, 200, std::move(headers));
}

ApiResult<void> take(Endpoints &endpoints, App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    responder.set_tenant(caller.tenant);
    const auto message = read_rpc(request.body, app.options().max_body_bytes);
    if (!message) {
        responder.send(rpc_answer(message.error().id, message.error().error, 400));
        return {};
    }
    const bool stateless = mcp::era_of(*message, request.header(kVersionHeader)) == mcp::Era::stateless;
    (stateless ? post_stateless : post_in_session)({app, endpoints, request, caller, responder}, *message);
    return {};
}

ApiResult<void> end_session(Endpoints &endpoints, App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Principal principal, app.principal(request, Scope::agents));
    const std::string_view named = request.header(kSessionHeader);
    if (named.empty()) {
        return std::unexpected(ApiError{.kind = ApiErrorKind::method_not_allowed,
                                        .message = "DELETE ends a session: the header Mcp-Session-Id is missing"});
    }
    if (!endpoints.sessions.remove(named, principal.tenant)) {
        return std::unexpected(ApiError{.kind = ApiErrorKind::not_found, .message = "there is no such session (any more)"});
    }
    responder.send({.status = 204, .headers = {}, .body = {}});
    return {};
}

}  // namespace

std::vector<http::HttpRoute> mcp_routes(App &app) {
    const auto endpoints = std::make_shared<Endpoints>(app.options().mcp_fixtures);
    const auto with = [&](auto answer) -> Endpoint {
        return [endpoints, answer](App &of, const http::HttpRequest &request, http::HttpResponder &responder) {
            return answer(*endpoints, of, request, responder);
        };
    };
    return {route(app, "POST", "/mcp", with(take)), route(app, "DELETE", "/mcp", with(end_session))};
}

}  // namespace engram::server
