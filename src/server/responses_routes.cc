// OpenAI's Responses: POST /v1/responses, what is stored of it, and its count of tokens.
#include "core/random_name.h"
#include "ports/clock.h"
#include "protocol/openai/responses_answer.h"
#include "protocol/openai/responses_request.h"
#include "protocol/openai/responses_stored.h"
#include "server/app.h"
#include "server/client_headers.h"
#include "server/delivery.h"
#include "server/earlier_responses.h"
#include "server/report.h"

namespace engram::server {
namespace {

using namespace protocol;
using namespace protocol::openai;

constexpr std::string_view kIdPrefix = "resp_";

ApiResult<StoredResponse> stored_response(App &app, const Caller &caller, std::string_view id) {
    auto stored = app.responses().find(caller.tenant, id);
    if (!stored) return std::unexpected(api_error(stored.error()));
    if (!*stored) return std::unexpected(no_such_response(id));
    return std::move(**stored);
}

ApiResult<void> create(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const OrderedJson body, parse_body(request.body, app.options().max_body_bytes));
    AnswerHead head = answer_head(app, kIdPrefix, {});
    const std::string suffix = head.id.substr(kIdPrefix.size());
    ENGRAM_ASSIGN(ResponsesRequest parsed,
                  parse_responses_request(body, EarlierResponses(app, caller), suffix, app.options().sampling));
    ENGRAM_TRY(app.check_model(parsed.chat.model));
    head.model = app.answer_model(parsed.chat.model);
    take_client_headers(request, parsed.chat);
    if (!parsed.chat.agent.empty()) ENGRAM_TRY(app.check_agent_quota(caller, parsed.chat.agent));
    if (parsed.store) parsed.chat.answer_id = head.id;
    ENGRAM_ASSIGN(const App::Place place, app.admit(caller));
    ResponsesAnswer answer(head, parsed, suffix);
    Delivery::Form form{.stream = parsed.stream, .ping = std::string(kSsePing), .account = parsed.chat.agent};
    ENGRAM_ASSIGN(const bool report, wants_report(request, body));
    if (report) {
        form.divergence = divergence_of(caller, parsed.chat);
        form.report = [](const OrderedJson &told) {
            return sse_frame({{"type", "engram.report"}, {"engram", told}}, "engram.report");
        };
    }
    Delivery delivery(app, caller, request, responder, std::move(form));
    bool begun = false;
    const auto take = [&](const ChatEvent &event) {
        std::string frames = std::exchange(begun, true) ? std::string() : answer.begin();
        return frames + answer.frames(event);
    };
    const auto done = caller.agents->chat(parsed.chat, [&](const ChatEvent &event) { delivery.take(event, take); }, request.stop);
    if (!done) {
        const ApiError error = api_error(done.error());
        return delivery.fail(error, [&] { return answer.fail(error); });
    }
    const std::int64_t now = system_clock().wall_ms() / 1000;
    std::string last = answer.end(now);
    if (parsed.store) {
        // Before the client learns the id that it may come back with.
        const auto kept = app.responses().put(caller.tenant, {.id = head.id,
                                                              .created_s = head.created_s,
                                                              .instruction_messages = parsed.instruction_messages,
                                                              .response = dump(answer.response()),
                                                              .input_items = dump(parsed.input_items)});
        if (!kept) {
            const ApiError error = api_error(kept.error());
            return delivery.fail(error, [&] { return answer.fail(error); });
        }
    }
    return delivery.finish([&] { return std::move(last); }, [&]() -> ApiResult<std::string> { return dump(answer.response()); });
}

ApiResult<void> retrieve(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const StoredResponse stored, stored_response(app, caller, request.parameter("id")));
    responder.send(json_answer(stored.response));
    return {};
}

ApiResult<void> remove(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    const std::string_view id = request.parameter("id");
    const auto removed = app.responses().remove(caller.tenant, id);
    if (!removed) return std::unexpected(api_error(removed.error()));
    if (!*removed) return std::unexpected(no_such_response(id));
    responder.send(json_answer(deleted_response_json(id)));
    return {};
}

ApiResult<void> input_items(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    const auto query = [&](std::string_view name) { return request.query_value(name).value_or(std::string_view()); };
    ENGRAM_ASSIGN(const ItemListQuery page, parse_item_list_query(query("order"), query("limit"), query("after")));
    ENGRAM_ASSIGN(const StoredResponse stored, stored_response(app, caller, request.parameter("id")));
    const auto items = parse_bounded_json(stored.input_items, stored.input_items.size() + 1);
    if (!items) return std::unexpected(api_error(items.error()));
    ENGRAM_ASSIGN(const OrderedJson list, input_item_list_json(*items, page));
    responder.send(json_answer(list));
    return {};
}

ApiResult<void> input_tokens(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const OrderedJson body, parse_body(request.body, app.options().max_body_bytes));
    ENGRAM_ASSIGN(ResponsesRequest parsed, parse_responses_request(body, EarlierResponses(app, caller), random_name("")));
    ENGRAM_TRY(app.check_model(parsed.chat.model));
    take_client_headers(request, parsed.chat);
    const auto prompt = caller.agents->render(parsed.chat);
    if (!prompt) return std::unexpected(api_error(prompt.error()));
    responder.send(json_answer(input_tokens_json(prompt->tokens.size())));
    return {};
}

}  // namespace

std::vector<http::HttpRoute> responses_routes(App &app) {
    return {route(app, "POST", "/v1/responses", create), route(app, "POST", "/v1/responses/input_tokens", input_tokens),
            route(app, "GET", "/v1/responses/{id}", retrieve), route(app, "DELETE", "/v1/responses/{id}", remove),
            route(app, "GET", "/v1/responses/{id}/input_items", input_items)};
}

}  // namespace engram::server
