// The tools of MCP servers, as far as an agent's card allows them ("tools": ["files/*"]) and its tenant may use them.
//
// A server is started, or connected to, when one of its tools is called for the first time, and again after it has ended. Its
// list of tools is remembered on disk, since it stands in the front of prompts: a server that is down for a while changes no
// prompt, and costs no prefill; only its calls fail. It is listed anew whenever the server was connected to, or tells of a
// change, and that counts from the next run on. A run asks a server whose tools nobody knows yet, until its own time is up; one
// that couldn't say them isn't asked again for a minute.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "engram/teams.h"
#include "mcp/client.h"
#include "mcp/server_list.h"
#include "teams/team_store.h"

namespace engram {

class ToolServers : public ToolSource {
  public:
    ToolServers(std::vector<mcp::ServerConfig> servers, TeamStore &store);  // which outlives this
    ~ToolServers() override;

    std::vector<std::string> prepare(const AgentInfo &agent, const std::stop_token &stop) override;
    std::vector<ChatTool> tools(const AgentManager &agents, const AgentInfo &agent) override;
    bool needs_approval(const AgentInfo &agent, std::string_view tool) const override;
    ToolOutcome call(const ToolContext &context, const ChatToolCall &call) override;

    // What each server has that the tenant may use; asks them all.
    struct Look {
        std::string server;
        std::string version;  // of the protocol
        std::vector<mcp::Tool> tools;
        std::string trouble;  // empty: none
    };
    std::vector<Look> look(std::string_view tenant, const std::stop_token &stop);

  private:
    struct Server;
    Result<std::shared_ptr<mcp::Client>> connected(Server &server, const std::stop_token &stop);
    Result<std::vector<mcp::Tool>> listed(Server &server, mcp::Client &client, const std::stop_token &stop);
    Result<std::vector<mcp::Tool>> listed(Server &server, const std::stop_token &stop);
    Result<void> learn(Server &server, const std::stop_token &stop);
    bool recall(Server &server);
    void refresh(Server &server, mcp::Client &client, const std::stop_token &stop);
    struct Found {
        Server *server = nullptr;
        mcp::Tool tool;
    };
    std::optional<Found> find(const AgentInfo &agent, std::string_view name) const;

    TeamStore &store_;
    std::vector<std::unique_ptr<Server>> servers_;
};

}  // namespace engram
