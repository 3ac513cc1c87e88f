// What a prompt becomes, and what is stored: POST /v1/render, /v1/tokenize, /v1/detokenize, GET /v1/store.
#include "protocol/openai/chat_request.h"
#include "server/app.h"
#include "server/client_headers.h"

namespace engram::server {
namespace {

using namespace protocol;

constexpr std::size_t kMostTokens = 1U << 20U;

// The body of a chat completion: its messages and tools.
ApiResult<void> render(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const OrderedJson body, parse_body(request.body, app.options().max_body_bytes));
    ENGRAM_ASSIGN(openai::ChatCompletionRequest parsed, openai::parse_chat_request(body));
    ENGRAM_TRY(app.check_model(parsed.chat.model));
    take_client_headers(request, parsed.chat);
    const auto prompt = caller.agents->render(parsed.chat);
    if (!prompt) return std::unexpected(api_error(prompt.error()));
    responder.send(json_answer(OrderedJson{{"text", prompt->text},
                                           {"tokens", prompt->tokens},
                                           {"known_tokens", prompt->known_tokens},
                                           {"agent", openai::text_or_null(prompt->agent)},
                                           {"repairs", prompt->repairs}}));
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
    return {route(app, "POST", "/v1/render", render), route(app, "POST", "/v1/tokenize", tokenize),
            route(app, "POST", "/v1/detokenize", detokenize), route(app, "GET", "/v1/store", store)};
}

}  // namespace engram::server
