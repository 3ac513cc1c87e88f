#include "server/server.h"

#include <iterator>

#include "agents/paths.h"
#include "http/server.h"
#include "ports/clock.h"
#include "server/app.h"
#include "server/maintenance.h"

namespace engram {

namespace {

constexpr std::int64_t kResponseLifeSeconds = 30LL * 24 * 60 * 60;

std::vector<http::HttpRoute> all_routes(server::App &app) {
    std::vector<http::HttpRoute> routes;
    for (const auto &of_file :
         {server::anthropic_routes, server::openai_routes, server::responses_routes, server::model_routes, server::agent_routes,
          server::run_routes, server::prompt_routes, server::operation_routes, server::usage_routes}) {
        std::ranges::move(of_file(app), std::back_inserter(routes));
    }
    return routes;
}

}  // namespace

class Server::Impl {
  public:
    std::unique_ptr<server::App> app;
    std::unique_ptr<server::Maintenance> maintenance;
    std::unique_ptr<http::HttpServer> http;  // last: its handlers use the app

    Result<void> stop(std::chrono::milliseconds drain) {
        if (http == nullptr) return {};
        app->begin_to_stop();
        http->stop(drain);
        http.reset();
        maintenance.reset();
        const auto model = app->models().use();
        if (!model) return {};  // there is none, so nothing is dirty
        return model->default_agents().save_everything();
    }
};

Result<std::unique_ptr<Server>> Server::start(ServeOptions options) {
    if (options.certificate.empty() != options.private_key.empty()) {
        return fail(ErrorCode::invalid_argument, "HTTPS needs both a certificate and its private key; one of them is missing");
    }
    auto impl = std::make_unique<Impl>();
    options.manager.keep_to_model = true;
    ENGRAM_ASSIGN(auto models, server::ModelHost::open(options.manager, options.model_name));
    server::remove_passing_files(options.manager.home);  // nobody else has the store open now
    ENGRAM_ASSIGN(auto responses, server::ResponseStore::open(options.manager.home / "responses.db"));
    ENGRAM_ASSIGN(auto tenants, Tenants::open(options.manager.home));
    ENGRAM_ASSIGN(auto servers, configured_servers(options.tool_servers, options.manager.home));
    ENGRAM_ASSIGN(auto teams, Teams::open(options.manager.home, std::move(servers)));
    ENGRAM_TRY(responses->remove_older_than(system_clock().wall_ms() / 1000 - kResponseLifeSeconds));
    http::HttpServerOptions web{.host = options.host,
                                .port = options.port,
                                .allow_remote = options.allow_remote,
                                .tls = {},
                                .limits = {},
                                .cors_origins = options.cors_origins,
                                .routes = {},
                                .refuse = server::refusal_answer,
                                .log = options.log};
    if (!options.certificate.empty()) web.tls = {.certificate_file = options.certificate, .key_file = options.private_key};
    web.limits.body_bytes = options.max_body_bytes;
    web.limits.workers = options.max_waiting + options.manager.model.max_running + 32;  // those that ask for no answer too
    impl->app = std::make_unique<server::App>(std::move(options), server::App::Parts{.models = std::move(models),
                                                                                     .responses = std::move(responses),
                                                                                     .tenants = std::move(tenants),
                                                                                     .teams = std::move(teams)});
    server::App &app = *impl->app;
    impl->maintenance = std::make_unique<server::Maintenance>(
        app.models(), app.tenants(),
        server::Maintenance::Options{.every = app.options().maintenance_every, .warn = app.options().warn});
    web.routes = all_routes(app);
    ENGRAM_ASSIGN(impl->http, http::HttpServer::start(std::move(web)));
    return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { static_cast<void>(impl_->stop(std::chrono::milliseconds(0))); }

std::vector<std::pair<std::string, std::string>> Server::routes() const { return impl_->http->routes(); }

std::uint16_t Server::port() const { return impl_->http->port(); }

std::string Server::address() const { return impl_->http->address(); }

Result<void> Server::stop(std::chrono::milliseconds drain) { return impl_->stop(drain); }

}  // namespace engram
