// POST /v1/messages and /v1/messages/count_tokens.
#include "core/random_name.h"
#include "protocol/anthropic/answer.h"
#include "protocol/anthropic/errors.h"
#include "protocol/anthropic/request.h"
#include "protocol/openai/wire.h"
#include "server/app.h"
#include "server/report.h"

namespace engram::server {
namespace {

using namespace protocol;
using namespace protocol::anthropic;

Lookup headers_of(const http::HttpRequest &request) {
    return [&request](std::string_view name) { return request.header(name); };
}

ApiResult<void> messages(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const OrderedJson body, parse_body(request.body, app.options().max_body_bytes));
    ENGRAM_ASSIGN(MessagesRequest parsed, parse_messages_request(body, headers_of(request), app.options().sampling));
    ENGRAM_TRY(app.check_model(parsed.chat.model));
    parsed.chat.call_id_prefix = "toolu_";
    parsed.shape.model = app.answer_model(parsed.chat.model);
    const auto mode = parsed.stream ? MessageAnswer::Mode::stream : MessageAnswer::Mode::whole;
    const auto message = std::make_shared<MessageAnswer>(random_name("msg_"), request.id, parsed.shape, mode);
    ChatCall call{.chat = std::move(parsed.chat),
                  .stream = parsed.stream,
                  .ping = ping_frame(),
                  .take = [message](const ChatEvent &event) { return message->on(event); },
                  .end = [] { return std::string(); },
                  .fail = [&request](const ApiError &error) { return error_frame(in_vendors_words(error), request.id); },
                  .whole = [message] { return message->message(); },
                  .report = {}};
    ENGRAM_ASSIGN(const bool report, wants_report(request, body));
    if (report) {
        call.report = [](const OrderedJson &told) { return openai::sse_frame({{"type", "engram"}, {"engram", told}}, "engram"); };
    }
    return answer(app, caller, std::move(call), request, responder);
}

ApiResult<void> count_tokens(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const OrderedJson body, parse_body(request.body, app.options().max_body_bytes));
    ENGRAM_ASSIGN(MessagesRequest parsed, parse_count_request(body, headers_of(request)));
    ENGRAM_TRY(app.check_model(parsed.chat.model));
    const auto prompt = caller.agents->render(parsed.chat);
    if (!prompt) return std::unexpected(api_error(prompt.error()));
    responder.send(json_answer(token_count(prompt->tokens.size(), parsed.shape)));
    return {};
}

}  // namespace

std::vector<http::HttpRoute> anthropic_routes(App &app) {
    return {route(app, "POST", "/v1/messages", messages), route(app, "POST", "/v1/messages/count_tokens", count_tokens)};
}

}  // namespace engram::server
