// GET /v1/models and /v1/models/{id}, in the shape of whoever asks; POST /v1/models/load.
#include <array>
#include <chrono>
#include <format>

#include "protocol/anthropic/models.h"
#include "protocol/field.h"
#include "protocol/openai/models.h"
#include "server/app.h"

namespace engram::server {
namespace {

using namespace protocol;

anthropic::ModelCard anthropic_card(const App &app) {
    const ModelFacts model = app.model();
    const std::chrono::sys_seconds created{std::chrono::seconds(model.created_s)};
    return {.id = model.name,
            .display_name = {},
            .created_at = std::format("{:%FT%TZ}", created),
            .max_input_tokens = model.context_tokens,
            .max_output_tokens = model.context_tokens};
}

openai::ModelCard openai_card(const App &app) {
    const ModelFacts model = app.model();
    return {.id = model.name, .created_s = model.created_s, .context_tokens = static_cast<std::uint32_t>(model.context_tokens)};
}

ApiResult<void> list(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_TRY(app.caller(request, Scope::chat));
    if (dialect_of(request) == Dialect::anthropic) {
        ENGRAM_ASSIGN(const anthropic::Paging paging, anthropic::read_paging([&](std::string_view name) {
                          return request.query_value(name).value_or(std::string_view());
                      }));
        ENGRAM_ASSIGN(std::string page, anthropic::model_list(std::array{anthropic_card(app)}, paging));
        responder.send(json_answer(std::move(page)));
        return {};
    }
    responder.send(json_answer(openai::model_list_json(std::array{openai_card(app)})));
    return {};
}

ApiResult<void> retrieve(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_TRY(app.caller(request, Scope::chat));
    const std::string_view id = request.parameter("id");
    ENGRAM_TRY(app.check_model(id));
    if (dialect_of(request) == Dialect::anthropic) {
        responder.send(json_answer(anthropic::model_info(anthropic_card(app))));
    } else {
        responder.send(json_answer(openai::model_json(openai_card(app))));
    }
    return {};
}

ApiResult<void> load(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    constexpr std::int64_t kMostTokens = 1 << 24, kMostSeconds = 600;
    ENGRAM_TRY(app.principal(request, Scope::admin));
    ENGRAM_ASSIGN(const OrderedJson json, parse_body(request.body, app.options().max_body_bytes));
    const Field body(json);
    ModelHost::Change change;
    ENGRAM_ASSIGN(change.file, body["path"].text_that_is_not_empty());
    ENGRAM_ASSIGN(change.name, body["name"].text_or(""));
    ENGRAM_ASSIGN(const std::int64_t tokens, body["context_tokens"].whole_number_or(0, 1, kMostTokens));
    change.context_tokens = static_cast<std::uint32_t>(tokens);
    ENGRAM_ASSIGN(const std::int64_t patience, body["wait_seconds"].whole_number_or(30, 0, kMostSeconds));
    change.patience = std::chrono::seconds(patience);
    const auto done = app.models().change(change);
    if (!done) {
        ApiError error = api_error(done.error());
        // Whatever is wrong with the file is the request's: it named it.
        if (done.error().code != ErrorCode::locked)
            error = {.kind = ApiErrorKind::invalid_request, .message = error.message, .param = "path"};
        return std::unexpected(error);
    }
    const ModelFacts model = app.model();
    responder.send(json_answer(OrderedJson{{"id", model.name},
                                           {"path", model.file.string()},
                                           {"context_tokens", model.context_tokens},
                                           {"fingerprint", model.fingerprint}}));
    return {};
}

}  // namespace

std::vector<http::HttpRoute> model_routes(App &app) {
    return {route(app, "GET", "/v1/models", list), route(app, "GET", "/v1/models/{id}", retrieve),
            route(app, "POST", "/v1/models/load", load)};
}

}  // namespace engram::server
