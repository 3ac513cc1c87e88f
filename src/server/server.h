// The daemon: agents behind the protocols that clients already speak.
//
//     auto server = engram::Server::start({.manager = {.home = "/var/lib/me", .model = {.path = "model.gguf"}}});
//     std::puts((*server)->address().c_str());     // http://127.0.0.1:8000
//
//     POST /v1/messages, /v1/messages/count_tokens                     Anthropic's Messages
//     POST /v1/chat/completions, /v1/completions, /v1/responses        OpenAI's
//     GET  /v1/models, /v1/models/{id}                                 either's, by the header anthropic-version
//          /v1/agents…, /v1/tools, /v1/render, /v1/tokenize, /v1/store, /v1/usage Engram's own
//          /v1/workflows…                                              runs of workflows
//          /a2a…, /a2a/agents/{id}…, /.well-known/agent-card.json      A2A (Agent2Agent)
//     POST, DELETE /mcp                                                MCP: agents as tools, resources and prompts
//     GET  /health/live, /health/ready, /metrics
//
// Every answer of a model carries headers x-engram-agent, -prompt-tokens, -cached-tokens, -tier and -restore-ms, and, where a
// prefix that was committed could not be used, -miss; a streamed one those of its first choice. `x-engram-agent` in a request
// names the agent that is to answer it.
//
// Threads: start, stop and the destructor belong to one thread; everything else is the server's own.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engram/agents.h"
#include "engram/error.h"
#include "engram/sampling.h"
#include "engram/teams.h"

namespace engram {

struct ServeOptions {
    ManagerOptions manager;
    std::string host = "127.0.0.1";
    std::uint16_t port = 8000;          // 0: any free one
    bool allow_remote = false;          // addresses beyond this machine; every request then needs a key
    std::filesystem::path certificate;  // PEM; both or neither: HTTPS
    std::filesystem::path private_key;  // PEM
    std::vector<std::string> cors_origins;
    std::string model_name;                  // by which clients ask for it; empty: the file's name without its ending
    std::vector<std::string> aliases;        // other names for it; "*": any name is taken
    Sampling sampling{.temperature = 1.0F};  // of requests that say nothing about it
    std::uint32_t max_waiting = 256;         // requests to the model beyond those that run; more are refused with 429
    std::uint64_t max_body_bytes = 32ULL << 20;
    std::filesystem::path tool_servers;          // JSON (mcp/server_list.h); empty: mcp.json in the home folder, if that is there
    std::function<void(std::string_view)> log;   // a JSON object for each request; none holds text of a prompt or an answer
    std::function<void(std::string_view)> warn;  // a sentence for the operator, when something is wrong; from any thread
    std::chrono::milliseconds maintenance_every{5000};  // until changed quotas of bytes take effect
    // How agents work for clients of MCP and A2A and in workflows; empty: with the tools of servers, colleagues and notes.
    RunAgent run;
    bool mcp_fixtures = false;       // /mcp offers what the protocol's conformance tests expect, and no agents
    bool a2a_private_hooks = false;  // A2A tasks' changes may be told to this machine and private networks too
    bool a2a_test_mode = false;      // the protocol's compatibility kit is at work (a2a_test_mode.h)
    bool resume_workflows = true;    // go on with runs of workflows that the last process left behind
};

class Server {
  public:
    // Listens when it returns. Errors of AgentManager::open; already_exists (the port is taken), invalid_argument, not_found (a
    // certificate), io.
    static Result<std::unique_ptr<Server>> start(ServeOptions options);
    ~Server();  // as stop with no time to wait
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;

    std::vector<std::pair<std::string, std::string>> routes() const;  // method and pattern
    std::uint16_t port() const;
    std::string address() const;

    // New requests get 503 with Retry-After; answers under way have so long to finish, then they are ended as if their clients
    // had gone. What was said is committed, and on disk when this returns.
    Result<void> stop(std::chrono::milliseconds drain);

  private:
    class Impl;
    explicit Server(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace engram
