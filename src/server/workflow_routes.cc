// Workflows over HTTP: /v1/workflows and what is below it.
#include <limits>
#include <ranges>

#include "protocol/field.h"
#include "protocol/openai/wire.h"
#include "server/app.h"
#include "server/own_requests.h"
#include "server/workflow_host.h"
#include "workflow/definition.h"

namespace engram::server {
namespace {

using namespace protocol;
using openai::sse_frame;
using workflow::Event;
using workflow::RunKey;
using workflow::RunRow;

constexpr std::int64_t kListed = 1000;
constexpr std::chrono::seconds kPingEvery{3};
constexpr std::uint32_t kRetryAfterSeconds = 5;

template <typename T>
ApiResult<T> api(Result<T> result) {
    if (!result) return std::unexpected(api_error(result.error()));
    return std::move(*result);
}

RunKey key_of(const Principal &principal, const http::HttpRequest &request) {
    return {.tenant = principal.tenant, .id = std::string(request.parameter("id"))};
}

ApiResult<OrderedJson> whole_json(App &app, const RunKey &key) {
    ENGRAM_ASSIGN(const RunRow run, api(app.workflows().store().get(key)));
    ENGRAM_ASSIGN(const std::vector<workflow::StepRow> steps, api(app.workflows().store().steps(key)));
    OrderedJson json = workflow::run_json(run);
    json["steps"] = OrderedJson::array();
    for (const workflow::StepRow &step : steps) json["steps"].push_back(workflow::step_json(step));
    return json;
}

void write_event(const Event &event, http::HttpResponder &responder) {
    responder.write(sse_frame(workflow::event_json(event), workflow::event_kind_name(event.kind)));
}

// What comes in this process, until the run ends here, or the client has gone; without what has been told, up to `told_seq`.
void follow(WorkflowHost::Live &live, std::int64_t told_seq, const http::HttpRequest &request, http::HttpResponder &responder) {
    std::size_t told = 0;
    for (;;) {
        std::vector<Event> news;
        bool ended = false;
        {
            std::unique_lock lock(live.mutex);
            live.changed.wait_for(lock, request.stop, kPingEvery, [&] { return live.events.size() > told || live.ended; });
            news.assign(live.events.begin() + static_cast<std::ptrdiff_t>(told), live.events.end());
            told = live.events.size();
            ended = live.ended;
        }
        for (const Event &event : news) {
            if (event.seq == 0 || event.seq > told_seq) write_event(event, responder);
        }
        if (ended || request.stop.stop_requested()) return;
        if (news.empty()) responder.write(openai::kSsePing);
    }
}

// What has happened before this process, then what happens; at the end the run.
ApiResult<void> stream(App &app, const RunKey &key, const http::HttpRequest &request, http::HttpResponder &responder) {
    auto live = app.workflows().live(key);
    if (live && live->has_ended()) live.reset();  // all that it says is stored, but for the pieces of text
    ENGRAM_ASSIGN(const std::vector<Event> stored, api(app.workflows().store().events(key, 0)));
    std::int64_t first_live = std::numeric_limits<std::int64_t>::max();
    if (live) {
        const std::scoped_lock lock(live->mutex);
        for (const Event &event : live->events) {
            if (event.seq > 0) first_live = std::min(first_live, event.seq);
        }
    }
    responder.set_tenant(key.tenant);
    responder.start(200, {{"content-type", "text/event-stream; charset=utf-8"}, {"cache-control", "no-cache"}});
    std::int64_t told = 0;
    for (const Event &event : stored) {
        if (event.seq >= first_live) break;
        write_event(event, responder);
        told = event.seq;
    }
    if (live) follow(*live, told, request, responder);
    const auto run = whole_json(app, key);
    if (run) responder.write(sse_frame(*run, "end"));
    responder.end();
    return {};
}

ApiResult<void> answer_with(App &app, const RunRow &run, bool streams, const http::HttpRequest &request,
                            http::HttpResponder &responder) {
    if (streams) return stream(app, run.key, request, responder);
    responder.send(json_answer(workflow::run_json(run), 202));
    return {};
}

// Whether the tenant has room for the agents that would be made, and for a request. The place goes back at once: the run's turns
// take their own, and a client that listens to the run must not keep them from it.
ApiResult<void> may_run(App &app, const Caller &caller, const workflow::Definition &definition) {
    ENGRAM_TRY(app.check_agent_quota(caller, definition.agents));
    ENGRAM_TRY(app.admit(caller));
    return {};
}

// Too many runs are like too many requests: there is room when one has ended.
ApiResult<RunRow> started(Result<RunRow> run) {
    const bool too_many = !run && run.error().code == ErrorCode::over_budget;
    auto row = api(std::move(run));
    if (too_many) {
        row.error().kind = ApiErrorKind::rate_limited;
        row.error().retry_after_s = kRetryAfterSeconds;
    }
    return row;
}

ApiResult<void> begin(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, parse_body(request.body, app.options().max_body_bytes));
    ENGRAM_ASSIGN(OwnWorkflowRun asked, read_workflow_run(Field(json)));
    const workflow::NewRun run{.tenant = caller.tenant,
                               .file = std::move(asked.file),
                               .definition = std::move(asked.definition),
                               .inputs = std::move(asked.inputs)};
    ENGRAM_ASSIGN(const workflow::Definition definition, api(workflow::parse_definition(run.definition, run.file)));
    ENGRAM_TRY(may_run(app, caller, definition));
    ENGRAM_ASSIGN(const RunRow begun, started(app.workflows().begin(run)));
    return answer_with(app, begun, asked.stream, request, responder);
}

ApiResult<void> validate(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_TRY(app.principal(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, parse_body(request.body, app.options().max_body_bytes));
    const Field body(json);
    ENGRAM_ASSIGN(const std::string definition, body["definition"].text_that_is_not_empty());
    ENGRAM_ASSIGN(const std::string file, body["file"].text_or("definition"));
    const auto parsed = workflow::parse_definition(definition, file);
    OrderedJson complaints = OrderedJson::array();
    if (!parsed) {
        for (const auto line : std::views::split(parsed.error().message, '\n')) complaints.push_back(std::string_view(line));
    }
    responder.send(json_answer(OrderedJson{{"valid", parsed.has_value()}, {"complaints", std::move(complaints)}}));
    return {};
}

ApiResult<void> list(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Principal principal, app.principal(request, Scope::agents));
    ENGRAM_ASSIGN(const std::vector<RunRow> runs,
                  api(app.workflows().store().list(principal.tenant, static_cast<std::size_t>(kListed))));
    OrderedJson json = OrderedJson::array();
    for (const RunRow &run : runs) json.push_back(workflow::run_json(run));
    responder.send(json_answer(OrderedJson{{"runs", std::move(json)}}));
    return {};
}

ApiResult<void> get(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Principal principal, app.principal(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, whole_json(app, key_of(principal, request)));
    responder.send(json_answer(json));
    return {};
}

ApiResult<void> events(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Principal principal, app.principal(request, Scope::agents));
    const RunKey key = key_of(principal, request);
    ENGRAM_TRY(api(app.workflows().store().get(key)));
    return stream(app, key, request, responder);
}

ApiResult<void> resume(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(
        const OrderedJson json,
        parse_body(request.body.empty() ? std::string_view("{}") : std::string_view(request.body), app.options().max_body_bytes));
    ENGRAM_ASSIGN(const bool streams, Field(json)["stream"].boolean_or(false));
    const RunKey key{.tenant = caller.tenant, .id = std::string(request.parameter("id"))};
    ENGRAM_ASSIGN(const RunRow earlier, api(app.workflows().store().get(key)));
    ENGRAM_ASSIGN(const workflow::Definition definition, api(workflow::parse_definition(earlier.definition, earlier.file)));
    ENGRAM_TRY(may_run(app, caller, definition));
    ENGRAM_ASSIGN(const RunRow run, started(app.workflows().resume(key)));
    return answer_with(app, run, streams, request, responder);
}

ApiResult<void> approve(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Principal principal, app.principal(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, parse_body(request.body, app.options().max_body_bytes));
    const Field body(json);
    workflow::Decision decision;
    ENGRAM_ASSIGN(decision.node, body["node"].text_that_is_not_empty());
    ENGRAM_ASSIGN(decision.item, body["item"].whole_number_or(workflow::kWholeNode, 0, workflow::kMaxItems));
    ENGRAM_ASSIGN(decision.allow, body["allow"].boolean());
    const RunKey key = key_of(principal, request);
    ENGRAM_TRY(started(app.workflows().decide(key, decision)));
    ENGRAM_ASSIGN(const OrderedJson run, whole_json(app, key));
    responder.send(json_answer(run, 202));
    return {};
}

ApiResult<void> cancel(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Principal principal, app.principal(request, Scope::agents));
    const RunKey key = key_of(principal, request);
    if (const auto asked = app.workflows().cancel(key); !asked) return std::unexpected(api_error(asked.error()));
    ENGRAM_ASSIGN(const OrderedJson json, whole_json(app, key));
    responder.send(json_answer(json, 202));
    return {};
}

}  // namespace

std::vector<http::HttpRoute> workflow_routes(App &app) {
    const std::string one = "/v1/workflows/{id}";
    return {route(app, "POST", "/v1/workflows", begin),    route(app, "POST", "/v1/workflows/validate", validate),
            route(app, "GET", "/v1/workflows", list),      route(app, "GET", one, get),
            route(app, "GET", one + "/events", events),    route(app, "POST", one + "/resume", resume),
            route(app, "POST", one + "/approve", approve), route(app, "POST", one + "/cancel", cancel)};
}

}  // namespace engram::server
