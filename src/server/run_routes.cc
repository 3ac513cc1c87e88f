// POST /v1/agents/{id}/run: an agent acts, with the tools of configured servers, its colleagues and its team's notes.
// POST /v1/agents/{id}/delegate: it gives work to a colleague. GET /v1/tools.
#include <algorithm>
#include <chrono>

#include "protocol/openai/request_fields.h"
#include "protocol/openai/wire.h"
#include "server/app.h"
#include "server/run_account.h"
#include "teams/run_json.h"
#include "teams/tool_name.h"

namespace engram::server {
namespace {

using namespace protocol;
using openai::sse_frame;

constexpr std::int64_t kMostSteps = 1000;
constexpr std::int64_t kMostSeconds = 24LL * 60 * 60;
constexpr std::int64_t kMostTokens = 1LL << 40;

ApiResult<RunLimits> read_limits(const Field &limits) {
    RunLimits read;
    if (!limits.present()) return read;
    ENGRAM_TRY(limits.must_be_object());
    ENGRAM_ASSIGN(const std::int64_t steps, limits["steps"].whole_number_or(read.steps, 1, kMostSteps));
    ENGRAM_ASSIGN(
        const std::int64_t seconds,
        limits["seconds"].whole_number_or(std::chrono::duration_cast<std::chrono::seconds>(read.time).count(), 1, kMostSeconds));
    ENGRAM_ASSIGN(const std::int64_t tokens, limits["tokens"].whole_number_or(0, 0, kMostTokens));
    ENGRAM_ASSIGN(const std::int64_t result_tokens, limits["result_tokens"].whole_number_or(read.result_tokens, 16, 1'000'000));
    ENGRAM_ASSIGN(const std::int64_t depth, limits["depth"].whole_number_or(read.depth, 1, 64));
    return RunLimits{.steps = static_cast<std::uint32_t>(steps),
                     .time = std::chrono::seconds(seconds),
                     .tokens = static_cast<std::uint64_t>(tokens),
                     .result_tokens = static_cast<std::uint32_t>(result_tokens),
                     .depth = static_cast<std::uint32_t>(depth)};
}

ApiResult<RunRequest> read_run(const App &app, const Field &body) {
    constexpr std::int64_t kMostAnswer = 1 << 24;
    RunRequest run;
    if (body["prompt"].present()) {
        ENGRAM_ASSIGN(const std::string prompt, body["prompt"].text_that_is_not_empty());
        run.messages = {{.role = "user", .content = prompt}};
    }
    const Field approvals = body["approvals"];
    if (approvals.present()) {
        ENGRAM_TRY(approvals.must_be_object());
        for (const auto &[id, decision] : approvals.json().items()) {
            ENGRAM_ASSIGN(const std::string word, approvals[id].text());
            if (word != "allow" && word != "deny") return approvals[id].wrong("must be \"allow\" or \"deny\"");
            run.approvals.emplace(id, word == "allow");
        }
    }
    ENGRAM_ASSIGN(const std::int64_t most, body["max_tokens"].whole_number_or(run.max_tokens, 1, kMostAnswer));
    run.max_tokens = static_cast<std::uint32_t>(most);
    ENGRAM_ASSIGN(run.sampling, openai::sampling_of(body, app.options().sampling));
    ENGRAM_ASSIGN(run.sampling.grammar, body["grammar"].text_or(""));
    ENGRAM_ASSIGN(run.thinks, body["thinks"].boolean_or(false));
    ENGRAM_ASSIGN(const std::int64_t priority, body["priority"].whole_number_or(0, -1000, 1000));
    run.priority = static_cast<std::int32_t>(priority);
    ENGRAM_ASSIGN(run.limits, read_limits(body["limits"]));
    if (body["schema"].present()) {
        ENGRAM_TRY(body["schema"].must_be_object());
        run.format = AnswerFormat::json_schema;
        run.schema = body["schema"].json().dump();
    }
    return run;
}

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

ApiResult<RunRequest> read_delegation(const App &, const Field &body) {
    RunRequest run;
    ENGRAM_ASSIGN(run.delegate_to, body["to"].text_that_is_not_empty());
    ENGRAM_ASSIGN(const std::string task, body["task"].text_that_is_not_empty());
    run.messages = {{.role = "user", .content = task}};
    ENGRAM_ASSIGN(run.limits, read_limits(body["limits"]));
    return run;
}

using ReadRun = ApiResult<RunRequest>(const App &, const Field &);
ApiResult<void> run_agent(App &app, const http::HttpRequest &request, http::HttpResponder &responder, ReadRun &read) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, body_of(app, request));
    const Field body(json);
    ENGRAM_ASSIGN(RunRequest run, read(app, body));
    ENGRAM_ASSIGN(const bool stream, body["stream"].boolean_or(false));
    run.agent = request.parameter("id");
    ENGRAM_TRY(api(caller.agents->get(run.agent)));
    ENGRAM_ASSIGN(const App::Place place, app.admit(caller));
    responder.set_tenant(caller.tenant);
    if (stream) return stream_run(app, caller, run, request, responder);
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
    const auto with = [](ReadRun &read) -> Endpoint {
        return [&read](App &of, const http::HttpRequest &request, http::HttpResponder &responder) {
            return run_agent(of, request, responder, read);
        };
    };
    return {
        route(app, "POST", "/v1/agents/{id}/run", with(read_run)),
        route(app, "POST", "/v1/agents/{id}/delegate", with(read_delegation)),
        route(app, "GET", "/v1/tools", tools),
    };
}

}  // namespace engram::server
