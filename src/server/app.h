// What the endpoints share: who asks, which agents, how an answer and an error get out. Internal to the server. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "chat/bounded_json.h"
#include "engram/agents.h"
#include "http/server.h"
#include "protocol/api_error.h"
#include "server/metrics.h"
#include "server/model_host.h"
#include "server/response_store.h"
#include "server/server.h"
#include "server/workflow_host.h"
#include "teams/teams.h"
#include "tenants/tenants.h"

namespace engram::server {

// Whose shape errors have.
enum class Dialect : std::uint8_t { engram, openai, anthropic };
Dialect dialect_of(const http::HttpRequest &request);

http::HttpAnswer error_answer(const http::HttpRequest &request, const protocol::ApiError &error);
http::HttpAnswer json_answer(std::string body, int status = 200);
http::HttpAnswer json_answer(const OrderedJson &body, int status = 200);
// The transport's own refusals, in the shape that the client understands.
http::HttpAnswer refusal_answer(const http::HttpRequest &request, const http::HttpRefusal &refusal);

// Who asks.
struct Caller {
    std::string tenant;
    Scopes scopes;
    ModelHost::Use model;            // which stays the same as long as the caller is there
    AgentManager *agents = nullptr;  // the tenant's
};

class App {
  public:
    struct Parts {
        std::unique_ptr<ModelHost> models;
        std::unique_ptr<ResponseStore> responses;
        std::unique_ptr<Tenants> tenants;
        std::unique_ptr<Teams> teams;
        std::unique_ptr<workflow::RunStore> runs;
    };
    App(ServeOptions options, Parts parts);

    // Who is behind the request's key; authentication, or permission where the key lacks the scope.
    protocol::ApiResult<Principal> principal(const http::HttpRequest &request, Scope needed);
    // The same, with the model and the tenant's agents. Waits while another model is being loaded; overloaded: there is none.
    protocol::ApiResult<Caller> caller(const http::HttpRequest &request, Scope needed);
    const ServeOptions &options() const { return options_; }
    ModelHost &models() { return *models_; }
    ModelFacts model() const { return models_->facts(); }
    ResponseStore &responses() { return *responses_; }
    Metrics &metrics() { return metrics_; }
    Tenants &tenants() { return *tenants_; }
    Teams &teams() { return *teams_; }
    RunAgent run_agent();  // how agents work for clients that leave it to the server
    WorkflowHost &workflows() { return workflows_; }

    // Of a request: empty names mean the loaded model. model_not_found.
    protocol::ApiResult<void> check_model(std::string_view name) const;
    std::string answer_model(std::string_view asked) const { return asked.empty() ? model().name : std::string(asked); }

    // A place among the requests to the model, and among its tenant's. rate_limited: too many wait, or the tenant's quota is used
    // up.
    class Place {
      public:
        Place(App &app, RequestPlace of_tenant) : app_(&app), of_tenant_(std::move(of_tenant)) {}
        Place(Place &&other) noexcept : app_(std::exchange(other.app_, nullptr)), of_tenant_(std::move(other.of_tenant_)) {}
        Place &operator=(Place &&) = delete;
        ~Place();

      private:
        App *app_;
        RequestPlace of_tenant_;
    };
    protocol::ApiResult<Place> admit(const Caller &caller);
    // no_space when the tenant may have no more agents, and one of this id would be made. Empty: of any.
    protocol::ApiResult<void> check_agent_quota(const Caller &caller, std::string_view id = {});
    // The same for several at once: those of them that don't exist would be made.
    protocol::ApiResult<void> check_agent_quota(const Caller &caller, std::span<const AgentSpec> wanted);
    std::uint32_t in_flight() const { return asked_; }

    bool stopping() const { return stopping_; }
    void begin_to_stop() { stopping_ = true; }

  private:
    protocol::ApiResult<void> check_more_agents(const Caller &caller, std::uint64_t more);

    const ServeOptions options_;
    const std::unique_ptr<ModelHost> models_;
    const std::unique_ptr<ResponseStore> responses_;
    const std::unique_ptr<Tenants> tenants_;
    const std::unique_ptr<Teams> teams_;
    WorkflowHost workflows_;
    Metrics metrics_;
    std::atomic<std::uint32_t> asked_ = 0;  // requests to the model that run or wait
    std::atomic<bool> stopping_ = false;
};

// The error of a library call in the protocol's shape.
template <typename T>
protocol::ApiResult<T> api(Result<T> result) {
    if (!result) return std::unexpected(protocol::api_error(result.error()));
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        return std::move(*result);
    }
}
// A body of JSON; of an empty one, an empty object.
protocol::ApiResult<OrderedJson> body_of(const App &app, const http::HttpRequest &request);

// A route's handler: errors as values get the client's shape.
using Endpoint = std::function<protocol::ApiResult<void>(App &, const http::HttpRequest &, http::HttpResponder &)>;
http::HttpRoute route(App &app, std::string method, std::string path, Endpoint endpoint, bool quick = false);

// One request to the model, in a protocol's words.
struct ChatCall {
    ChatRequest chat;
    bool stream = false;
    std::string ping;                                             // a frame that says nothing
    std::function<std::string(const ChatEvent &)> take;           // its frames, when it streams
    std::function<std::string()> end;                             // frames behind the last event
    std::function<std::string(const protocol::ApiError &)> fail;  // a frame, when the stream broke off
    std::function<protocol::ApiResult<std::string>()> whole;      // the body, when it doesn't stream
    // Given: the client wants to know what became of its prompt; the frame of it, when it streams (report.h).
    std::function<std::string(const OrderedJson &report)> report;
};
// Admits it, answers it, and counts what it used (delivery.h).
protocol::ApiResult<void> answer(App &app, const Caller &caller, ChatCall call, const http::HttpRequest &request,
                                 http::HttpResponder &responder);

// Agents' files on their way in or out that a crash left in the home folder.
void remove_passing_files(const std::filesystem::path &home);

// The routes of each file.
std::vector<http::HttpRoute> anthropic_routes(App &app);
std::vector<http::HttpRoute> openai_routes(App &app);
std::vector<http::HttpRoute> responses_routes(App &app);
std::vector<http::HttpRoute> model_routes(App &app);
std::vector<http::HttpRoute> agent_routes(App &app);
std::vector<http::HttpRoute> run_routes(App &app);
std::vector<http::HttpRoute> mcp_routes(App &app);
std::vector<http::HttpRoute> prompt_routes(App &app);
std::vector<http::HttpRoute> operation_routes(App &app);
std::vector<http::HttpRoute> usage_routes(App &app);
std::vector<http::HttpRoute> workflow_routes(App &app);

}  // namespace engram::server
