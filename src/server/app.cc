#include "server/app.h"

#include <algorithm>
#include <format>

#include "protocol/anthropic/errors.h"
#include "protocol/field.h"
#include "protocol/openai/errors.h"
#include "protocol/openai/wire.h"

namespace engram::server {

using protocol::ApiError;
using protocol::ApiErrorKind;
using protocol::ApiResult;

namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::uint32_t kRetryAfterSeconds = 5;
constexpr int kClientHasGone = 499;  // as others count it, too

// The other end is this machine, and speaks for nobody else: a proxy says whom it speaks for.
bool is_local(const http::HttpRequest &request) {
    const bool loopback = request.peer.starts_with("127.") || request.peer.starts_with("[::1]");
    return loopback && request.header("x-forwarded-for").empty() && request.header("forwarded").empty();
}

ApiError loading_error(const Error &error) {
    ApiError refused = protocol::api_error(error);
    refused.retry_after_s = kRetryAfterSeconds;
    return refused;
}

}  // namespace

Dialect dialect_of(const http::HttpRequest &request) {
    const std::string_view path = request.path;
    if (path.starts_with("/v1/messages") || !request.header("anthropic-version").empty()) return Dialect::anthropic;
    const bool own = path.starts_with("/v1/agents") || path.starts_with("/v1/store") || path.starts_with("/v1/render") ||
                     path.starts_with("/v1/divergence") || path.starts_with("/v1/tokenize") || path.starts_with("/v1/usage") ||
                     path.starts_with("/v1/workflows") || !path.starts_with("/v1/");
    return own ? Dialect::engram : Dialect::openai;
}

http::HttpAnswer json_answer(std::string body, int status) {
    return {.status = status, .headers = {{"content-type", std::string(kJson)}}, .body = std::move(body)};
}

http::HttpAnswer json_answer(const OrderedJson &body, int status) { return json_answer(protocol::openai::dump(body), status); }

http::HttpAnswer error_answer(const http::HttpRequest &request, const ApiError &error) {
    http::HttpAnswer answer;
    if (dialect_of(request) == Dialect::anthropic) {
        const ApiError worded = protocol::anthropic::in_vendors_words(error);
        answer = json_answer(protocol::anthropic::error_body(worded, request.id), protocol::anthropic::error_status(error.kind));
        answer.headers.emplace_back("request-id", request.id);
    } else {  // Engram's own endpoints answer as OpenAI's do
        answer = json_answer(protocol::openai::error_body(error), protocol::http_status(error.kind));
    }
    if (error.retry_after_s > 0) answer.headers.emplace_back("retry-after", std::to_string(error.retry_after_s));
    return answer;
}

http::HttpAnswer refusal_answer(const http::HttpRequest &request, const http::HttpRefusal &refusal) {
    const auto kind = [&] {
        using enum http::HttpRefusalKind;
        switch (refusal.kind) {
            case malformed:
            case headers_too_large: return ApiErrorKind::invalid_request;
            case foreign: return ApiErrorKind::permission;
            case not_found: return ApiErrorKind::not_found;
            case method_not_allowed: return ApiErrorKind::method_not_allowed;
            case too_slow: return ApiErrorKind::timeout;
            case body_too_large: return ApiErrorKind::too_large;
            case internal: return ApiErrorKind::internal;
            case overloaded: return ApiErrorKind::rate_limited;
            case no_room:
            case stopping: return ApiErrorKind::overloaded;
        }
        return ApiErrorKind::internal;
    };
    http::HttpAnswer answer = error_answer(request, {.kind = kind(), .message = refusal.message});
    if (refusal.kind == http::HttpRefusalKind::headers_too_large) answer.status = refusal.status;
    return answer;
}

http::HttpRoute route(App &app, std::string method, std::string path, Endpoint endpoint, bool quick) {
    const std::string pattern = path;
    return {.method = std::move(method),
            .path = std::move(path),
            .handler = [&app, pattern, endpoint = std::move(endpoint)](const http::HttpRequest &request,
                                                                       http::HttpResponder &responder) -> Result<void> {
                const ApiResult<void> done = endpoint(app, request, responder);
                if (!done) responder.send(error_answer(request, done.error()));
                const int status = responder.status();
                app.metrics().answered(pattern, status == 0 ? kClientHasGone : status);
                return {};
            },
            .quick = quick};
}

ApiResult<OrderedJson> body_of(const App &app, const http::HttpRequest &request) {
    return protocol::parse_body(request.body.empty() ? std::string_view("{}") : std::string_view(request.body),
                                app.options().max_body_bytes);
}

App::App(ServeOptions options, Parts parts)
    : options_(std::move(options)),
      models_(std::move(parts.models)),
      responses_(std::move(parts.responses)),
      tenants_(std::move(parts.tenants)),
      teams_(std::move(parts.teams)),
      workflows_(std::move(parts.runs), *models_, *tenants_, {.run_agent = run_agent(), .warn = options_.warn}) {}

RunAgent App::run_agent() { return options_.run ? options_.run : teams_->run_agent(); }

ApiResult<Principal> App::principal(const http::HttpRequest &request, Scope needed) {
    auto principal = tenants_->authenticate(
        {.x_api_key = request.header("x-api-key"), .authorization = request.header("authorization"), .local = is_local(request)});
    if (!principal) {
        metrics_.refused("key");
        return std::unexpected(ApiError{.kind = ApiErrorKind::authentication, .message = std::string(kKeyRefused)});
    }
    if (!principal->scopes.has(needed)) {
        Scopes wanted;
        wanted.add(needed);
        return std::unexpected(
            ApiError{.kind = ApiErrorKind::permission,
                     .message = std::format("this key's scopes ({}) don't include {}", principal->scopes.text(), wanted.text())});
    }
    // While there are no keys, whoever is on this machine is the tenant that the program was started for.
    if (principal->key_id.empty()) principal->tenant = options_.manager.tenant;
    return std::move(*principal);
}

ApiResult<Caller> App::caller(const http::HttpRequest &request, Scope needed) {
    ENGRAM_ASSIGN(const Principal principal, this->principal(request, needed));
    auto model = models_->use(request.stop);
    if (!model) return std::unexpected(loading_error(model.error()));
    const auto agents = model->agents_of(principal.tenant);
    if (!agents) return std::unexpected(protocol::api_error(agents.error()));
    return Caller{.tenant = principal.tenant, .scopes = principal.scopes, .model = std::move(*model), .agents = *agents};
}

ApiResult<void> App::check_agent_quota(const Caller &caller, std::string_view id) {
    const bool exists = !id.empty() && caller.agents->get(id);
    return check_more_agents(caller, exists ? 0 : 1);
}

ApiResult<void> App::check_agent_quota(const Caller &caller, std::span<const AgentSpec> wanted) {
    const auto is_new = [&](const AgentSpec &spec) { return !caller.agents->get(spec.id); };
    return check_more_agents(caller, static_cast<std::uint64_t>(std::ranges::count_if(wanted, is_new)));
}

ApiResult<void> App::check_more_agents(const Caller &caller, std::uint64_t more) {
    const Quota quota = tenants_->quota(caller.tenant);
    if (!quota.agents || more == 0) return {};
    const auto agents = caller.agents->list();
    if (!agents) return std::unexpected(protocol::api_error(agents.error()));
    const auto named = std::ranges::count(*agents, false, &AgentInfo::conversation);
    const auto allowed = check_agents(quota, caller.tenant, static_cast<std::uint64_t>(named), more);
    if (!allowed) return std::unexpected(protocol::api_error(allowed.error()));
    return {};
}

ApiResult<void> App::check_model(std::string_view name) const {
    const std::string loaded = model().name;
    const auto is = [&](std::string_view other) { return other == name || other == "*"; };
    if (name.empty() || name == loaded || std::ranges::any_of(options_.aliases, is)) return {};
    return std::unexpected(
        ApiError{.kind = ApiErrorKind::model_not_found,
                 .message = std::format("The model `{}` does not exist here; this server has `{}`.", name, loaded),
                 .param = "model"});
}

App::Place::~Place() {
    if (app_ != nullptr) --app_->asked_;
}

ApiResult<App::Place> App::admit(const Caller &caller) {
    if (stopping_) {
        metrics_.refused("stopping");
        return std::unexpected(ApiError{
            .kind = ApiErrorKind::overloaded, .message = "the server is shutting down", .retry_after_s = kRetryAfterSeconds});
    }
    RequestAdmission admission = tenants_->admit(caller.tenant);
    if (!admission.granted()) {
        metrics_.refused("quota");
        return std::unexpected(
            ApiError{.kind = ApiErrorKind::rate_limited, .message = admission.reason, .retry_after_s = admission.retry_after_s});
    }
    const std::uint32_t most = options_.max_waiting + options_.manager.model.max_running;
    if (++asked_ > most) {
        --asked_;
        metrics_.refused("queue");
        return std::unexpected(
            ApiError{.kind = ApiErrorKind::rate_limited,
                     .message = std::format("{} requests run or wait already: come back in a few seconds", most),
                     .retry_after_s = kRetryAfterSeconds});
    }
    return Place(*this, std::move(admission.place));
}

}  // namespace engram::server
