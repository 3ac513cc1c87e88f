// What a prompt becomes, and what is stored: POST /v1/render, /v1/divergence, /v1/tokenize, /v1/detokenize, GET /v1/store.
#include "core/random_name.h"
#include "protocol/anthropic/request.h"
#include "protocol/openai/chat_request.h"
#include "protocol/openai/responses_request.h"
#include "server/app.h"
#include "server/client_headers.h"
#include "server/earlier_responses.h"
#include "server/report.h"

namespace engram::server {
namespace {

using namespace protocol;

constexpr std::size_t kMostTokens = 1U << 20U;

// The body of any request for an answer: a message's with the header anthropic-version, else a response's when it has `input`,
// else a chat completion's. The agent is the path's, where it has one.
ApiResult<ChatRequest> request_of(App &app, const Caller &caller, const http::HttpRequest &request) {
    ENGRAM_ASSIGN(const OrderedJson body, parse_body(request.body, app.options().max_body_bytes));
    ChatRequest chat;
    if (dialect_of(request) == Dialect::anthropic) {
        const auto headers = [&request](std::string_view name) { return request.header(name); };
        ENGRAM_ASSIGN(anthropic::MessagesRequest parsed, anthropic::parse_count_request(body, headers));
        chat = std::move(parsed.chat);
    } else if (body.contains("input")) {
        ENGRAM_ASSIGN(openai::ResponsesRequest parsed,
                      openai::parse_responses_request(body, EarlierResponses(app, caller), random_name("")));
        chat = std::move(parsed.chat);
        take_client_headers(request, chat);
    } else {
        ENGRAM_ASSIGN(openai::ChatCompletionRequest parsed, openai::parse_chat_request(body));
        chat = std::move(parsed.chat);
        take_client_headers(request, chat);
    }
    ENGRAM_TRY(app.check_model(chat.model));
    if (const std::string_view id = request.parameter("id"); !id.empty()) chat.agent = id;
    return chat;
}

ApiResult<void> render(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const ChatRequest chat, request_of(app, caller, request));
    const auto prompt = caller.agents->render(chat);
    if (!prompt) return std::unexpected(api_error(prompt.error()));
    responder.send(json_answer(OrderedJson{{"text", prompt->text},
                                           {"tokens", prompt->tokens},
                                           {"known_tokens", prompt->known_tokens},
                                           {"agent", openai::text_or_null(prompt->agent)},
                                           {"repairs", prompt->repairs}}));
    return {};
}

ApiResult<void> divergence(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const ChatRequest chat, request_of(app, caller, request));
    const auto found = caller.agents->divergence(chat);
    if (!found) return std::unexpected(api_error(found.error()));
    responder.send(json_answer(divergence_json(*found)));
    return {};
}

ApiResult<void> tokenize(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const OrderedJson body, parse_body(request.body, app.options().max_body_bytes));
    ENGRAM_ASSIGN(const std::string text, Field(body)["text"].text());
    responder.send(json_answer(OrderedJson{{"tokens", caller.agents->tokenise(text)}}));
    return {};
}

ApiResult<void> detokenize(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const OrderedJson body, parse_body(request.body, app.options().max_body_bytes));
    const Field list = Field(body)["tokens"];
    ENGRAM_TRY(list.must_be_array(0, kMostTokens));
    std::vector<std::int32_t> tokens;
    for (const Field &token : list.elements()) {
        ENGRAM_ASSIGN(const std::int64_t number, token.whole_number(0, INT32_MAX));
        tokens.push_back(static_cast<std::int32_t>(number));
    }
    const auto text = caller.agents->detokenise(tokens);
    if (!text) return std::unexpected(api_error(text.error()));
    responder.send(json_answer(OrderedJson{{"text", *text}}));
    return {};
}

ApiResult<void> store(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::admin));
    const ManagerStats stats = caller.agents->stats();
    responder.send(json_answer(OrderedJson{
        {"agents", stats.agents},
        {"context", {{"cells", stats.context_cells}, {"used", stats.context_cells_used}, {"agents", stats.hot_agents}}},
        {"memory", {{"bytes", stats.memory_bytes}, {"budget_bytes", stats.memory_budget_bytes}}},
        {"disk", {{"bytes", stats.disk_bytes}, {"budget_bytes", stats.disk_budget_bytes}}},
        {"write_queue_bytes", stats.queue_bytes},
        {"failed_writes", stats.failed_writes},
        {"evictions", stats.evictions},
        {"quarantined_parts", stats.quarantined_parts},
        {"memory_class", stats.memory_class},
        {"memory_class_note", stats.memory_class_note},
        {"fingerprint", stats.fingerprint},
        {"last_error", openai::text_or_null(stats.last_error)}}));
    return {};
}

}  // namespace

std::vector<http::HttpRoute> prompt_routes(App &app) {
    return {route(app, "POST", "/v1/render", render),
            route(app, "POST", "/v1/divergence", divergence),
            route(app, "POST", "/v1/agents/{id}/divergence", divergence),
            route(app, "POST", "/v1/tokenize", tokenize),
            route(app, "POST", "/v1/detokenize", detokenize),
            route(app, "GET", "/v1/store", store)};
}

}  // namespace engram::server
