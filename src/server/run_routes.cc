// POST /v1/agents/{id}/run: an agent acts, with the tools of configured servers, its colleagues and its team's notes.
// POST /v1/agents/{id}/delegate: it gives work to a colleague. GET /v1/tools.
#include "protocol/openai/wire.h"
#include "server/app.h"
#include "server/own_requests.h"
#include "server/run_account.h"
#include "teams/run_json.h"
#include "teams/tool_name.h"

namespace engram::server {
namespace {

using namespace protocol;
using openai::sse_frame;

ApiResult<void> stream_run(App &app, const Caller &caller, const RunRequest &run, const http::HttpRequest &request,
                           http::HttpResponder &responder) {
    bool begun = false;
    const auto send = [&](std::string_view event, const OrderedJson &data) {
        if (!std::exchange(begun, true))
            responder.start(200, {{"content-type", "text/event-stream; charset=utf-8"}, {"cache-control", "no-cache"}});
        responder.write(sse_frame(data, event));
    };
    RunAccount account(app, caller.tenant);
    const auto result = app.teams().runner().run(
        *caller.agents, run,
        [&](const RunEvent &event) {
            account.take(event);
            const auto [name, data] = run_event_json(event);
            if (!name.empty()) send(name, data);
        },
        request.stop);
    if (!result && !begun) return std::unexpected(api_error(result.error()));
    if (result) {
        send("done", run_json(run.agent, *result));
    } else {
        send("error", {{"code", error_code_name(result.error().code)}, {"message", result.error().message}});
    }
    responder.end();
    return {};
}

using ReadRun = ApiResult<OwnRun>(const App &, const Field &);
ApiResult<void> run_agent(App &app, const http::HttpRequest &request, http::HttpResponder &responder, ReadRun &read) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, body_of(app, request));
    ENGRAM_ASSIGN(OwnRun asked, read(app, Field(json)));
    RunRequest &run = asked.request;
    run.agent = request.parameter("id");
    ENGRAM_TRY(api(caller.agents->get(run.agent)));
    ENGRAM_ASSIGN(const App::Place place, app.admit(caller));
    responder.set_tenant(caller.tenant);
    if (asked.stream) return stream_run(app, caller, run, request, responder);
    RunAccount account(app, caller.tenant);
    ENGRAM_ASSIGN(
        const RunResult result,
        api(app.teams().runner().run(*caller.agents, run, [&](const RunEvent &event) { account.take(event); }, request.stop)));
    responder.send(json_answer(run_json(run.agent, result)));
    return {};
}

// What the configured servers have, asked anew: only those that the tenant may use.
ApiResult<void> tools(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    OrderedJson servers = OrderedJson::array();
    for (const ToolServers::Look &look : app.teams().tool_servers().look(caller.tenant, request.stop)) {
        OrderedJson list = OrderedJson::array();
        for (const mcp::Tool &tool : look.tools) {
            list.push_back({{"name", look.server + "/" + tool.name},
                            {"model_name", model_tool_name(look.server, tool.name)},
                            {"description", tool.description}});
        }
        servers.push_back({{"name", look.server},
                           {"version", look.version},
                           {"tools", std::move(list)},
                           {"trouble", look.trouble.empty() ? OrderedJson(nullptr) : OrderedJson(look.trouble)}});
    }
    OrderedJson agents = OrderedJson::array();
    for (const RemoteAgents::Look &look : app.teams().remote_agents().look(caller.tenant, request.stop)) {
        agents.push_back({{"name", look.name},
                          {"url", look.url},
                          {"description", look.description},
                          {"trouble", look.trouble.empty() ? OrderedJson(nullptr) : OrderedJson(look.trouble)}});
    }
    responder.send(json_answer(OrderedJson{{"servers", std::move(servers)}, {"agents", std::move(agents)}}));
    return {};
}

}  // namespace

std::vector<http::HttpRoute> run_routes(App &app) {
    const auto with = [](ReadRun *read) -> Endpoint {
        return [read](App &of, const http::HttpRequest &request, http::HttpResponder &responder) {
            return run_agent(of, request, responder, *read);
        };
    };
    return {
        route(app, "POST", "/v1/agents/{id}/run",
              with([](const App &of, const Field &body) { return read_run(body, of.options().sampling); })),
        route(app, "POST", "/v1/agents/{id}/delegate",
              with([](const App &, const Field &body) { return read_delegation(body); })),
        route(app, "GET", "/v1/tools", tools),
    };
}

}  // namespace engram::server
