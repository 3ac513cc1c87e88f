#include "server/server.h"

#include <algorithm>
#include <iterator>

#include "agents/paths.h"
#include "http/server.h"
#include "ports/clock.h"
#include "server/a2a_routes.h"
#include "server/a2a_tasks.h"
#include "server/app.h"
#include "server/maintenance.h"

namespace engram {

namespace {

std::vector<http::HttpRoute> all_routes(server::App &app) {
    std::vector<http::HttpRoute> routes;
    for (const auto &of_file : {server::anthropic_routes, server::openai_routes, server::responses_routes, server::model_routes,
                                server::agent_routes, server::run_routes, server::mcp_routes, server::prompt_routes,
                                server::operation_routes, server::usage_routes, server::workflow_routes}) {
        std::ranges::move(of_file(app), std::back_inserter(routes));
    }
    return routes;
}

Result<std::unique_ptr<server::A2aTasks>> start_a2a(server::App &app) {
    const ServeOptions &options = app.options();
    ENGRAM_ASSIGN(auto store, server::A2aTaskStore::open(options.manager.home / "tasks.db"));
    auto push = std::make_unique<server::A2aPush>(
        *store, server::A2aPush::Options{.allow_private = options.a2a_private_hooks, .warn = options.warn});
    return server::A2aTasks::start({.app = app,
                                    .store = std::move(store),
                                    .push = std::move(push),
                                    .run = app.run_agent(),
                                    .test_mode = options.a2a_test_mode});
}

}  // namespace

class Server::Impl {
  public:
    std::unique_ptr<server::App> app;
    std::unique_ptr<server::Maintenance> maintenance;
    std::unique_ptr<server::A2aTasks> a2a;
    std::unique_ptr<http::HttpServer> http;  // last: its handlers use the app

    Result<void> stop(std::chrono::milliseconds drain) {
        if (http == nullptr) return {};
        app->begin_to_stop();
        const auto until = std::chrono::steady_clock::now() + drain;
        app->workflows().stop();  // those who listen have heard the end; runs go on with the next process
        a2a->stop(drain);         // first: a task goes on without a client, and clients wait for tasks
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        // What tasks answered when they were ended has to get out, too.
        http->stop(std::max(left, std::min(drain, std::chrono::milliseconds(1000))));
        http.reset();
        a2a.reset();
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
    ENGRAM_ASSIGN(auto runs, workflow::RunStore::open(options.manager.home / "workflows.db"));
    ENGRAM_TRY(responses->remove_old(system_clock().wall_ms() / 1000));
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
                                                                                     .teams = std::move(teams),
                                                                                     .runs = std::move(runs)});
    server::App &app = *impl->app;
    impl->maintenance = std::make_unique<server::Maintenance>(
        app.models(), app.tenants(),
        server::Maintenance::Options{.every = app.options().maintenance_every, .warn = app.options().warn});
    ENGRAM_ASSIGN(impl->a2a, start_a2a(app));
    web.routes = all_routes(app);
    std::ranges::move(server::a2a_routes(app, *impl->a2a, app.options().a2a_test_mode), std::back_inserter(web.routes));
    ENGRAM_ASSIGN(impl->http, http::HttpServer::start(std::move(web)));
    if (app.options().resume_workflows) app.workflows().resume_unfinished();
    return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { static_cast<void>(impl_->stop(std::chrono::milliseconds(0))); }

std::vector<std::pair<std::string, std::string>> Server::routes() const { return impl_->http->routes(); }

std::uint16_t Server::port() const { return impl_->http->port(); }

std::string Server::address() const { return impl_->http->address(); }

Result<void> Server::stop(std::chrono::milliseconds drain) { return impl_->stop(drain); }

}  // namespace engram
