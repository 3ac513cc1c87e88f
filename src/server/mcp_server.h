// An MCP server, whatever it offers and however its messages travel: requests in, answers out.
//
//     McpAgents offer;                       // or the fixtures of the protocol's conformance tests
//     McpServer server(offer);
//     auto response = server.answer(request, call);
//
// It speaks both eras of the protocol (protocol/mcp/wire.h). Thread-safe: any number of requests are answered at the same time,
// each on its caller's thread. Internal to the server.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "engram/agents.h"
#include "engram/teams.h"
#include "protocol/api_error.h"
#include "protocol/field.h"
#include "protocol/mcp/wire.h"
#include "server/mcp_session.h"

namespace engram::server {

// Who asks: the tenant's agents, and what its requests may cost.
struct McpCaller {
    AgentManager *agents = nullptr;
    // Runs an agent: admitted and counted.
    std::function<protocol::ApiResult<RunResult>(const RunRequest &, const RunSink &, std::stop_token)> run;
    // Whether one more agent may be made.
    std::function<protocol::ApiResult<void>()> may_create;
};

// A request's surroundings.
struct McpCall {
    McpCaller caller;
    protocol::mcp::CallMeta meta;
    McpSession *session = nullptr;                           // none: a request of the new era over HTTP
    std::function<void(const protocol::RpcMessage &)> send;  // to the client, ahead of the answer
    std::stop_token stop;

    void progress(const protocol::mcp::Progress &progress) const;            // when the client wants it
    void log(protocol::mcp::LogLevel level, const OrderedJson &data) const;  // likewise
    bool client_can(std::string_view capability) const;
    // A question to the client, within its request (older era). kRpcInvalidRequest: there is no such way here.
    protocol::RpcResult<OrderedJson> ask(std::string method, OrderedJson params) const;
};

using McpResult = protocol::RpcResult<OrderedJson>;

// What a server has. Each method gets the request's parameters, and gives the result's members. Thread-safe.
class McpOffer {
  public:
    virtual ~McpOffer() = default;
    virtual OrderedJson capabilities() const = 0;
    virtual std::string instructions() const = 0;

    virtual McpResult list_tools(const McpCall &call, const OrderedJson &params) = 0;
    // Arguments that are wrong are a result that says so (isError): a model can mend them. An unknown tool is an error.
    virtual McpResult call_tool(const McpCall &call, const OrderedJson &params) = 0;
    virtual McpResult list_resources(const McpCall &call, const OrderedJson &params) = 0;
    virtual McpResult list_resource_templates(const McpCall &call, const OrderedJson &params) = 0;
    virtual McpResult read_resource(const McpCall &call, const OrderedJson &params) = 0;
    virtual McpResult list_prompts(const McpCall &call, const OrderedJson &params) = 0;
    virtual McpResult get_prompt(const McpCall &call, const OrderedJson &params) = 0;
    virtual McpResult complete(const McpCall &call, const OrderedJson &params) = 0;
};

class McpServer {
  public:
    explicit McpServer(McpOffer &offer) : offer_(offer) {}

    // nullopt: it was cancelled meanwhile (McpCall::stop), so that nobody waits for the answer.
    std::optional<protocol::RpcResponse> answer(const protocol::RpcRequest &request, const McpCall &call);
    // What came in a session beside requests: cancellations, and answers to our questions.
    static void take(const protocol::RpcNotification &notification, McpSession &session);

  private:
    McpResult dispatch(const protocol::RpcRequest &request, const McpCall &call);
    McpResult initialize(const OrderedJson &params, const McpCall &call) const;
    McpResult discover() const;

    McpOffer &offer_;
};

// The error that a place in a request's parameters is wrong, as the protocol has it.
std::unexpected<protocol::RpcError> invalid_params(const protocol::ApiError &error);

}  // namespace engram::server
