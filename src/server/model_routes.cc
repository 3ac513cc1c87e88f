// GET /v1/models and /v1/models/{id}, in the shape of whoever asks.
#include <array>
#include <chrono>
#include <format>

#include "protocol/anthropic/models.h"
#include "protocol/openai/models.h"
#include "server/app.h"

namespace engram::server {
namespace {

using namespace protocol;

anthropic::ModelCard anthropic_card(const App &app) {
    const std::chrono::sys_seconds created{std::chrono::seconds(app.model_created_s())};
    return {.id = app.model_name(),
            .display_name = {},
            .created_at = std::format("{:%FT%TZ}", created),
            .max_input_tokens = app.context_tokens(),
            .max_output_tokens = app.context_tokens()};
}

openai::ModelCard openai_card(const App &app) {
    return {.id = app.model_name(),
            .created_s = app.model_created_s(),
            .context_tokens = static_cast<std::uint32_t>(app.context_tokens())};
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

}  // namespace

std::vector<http::HttpRoute> model_routes(App &app) {
    return {route(app, "GET", "/v1/models", list), route(app, "GET", "/v1/models/{id}", retrieve)};
}

}  // namespace engram::server
