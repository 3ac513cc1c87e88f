// All that runs need, in one place: the tool servers that are configured, the teams' notes, the colleagues, and the runner over
// them.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "engram/teams.h"
#include "mcp/server_list.h"
#include "teams/colleagues.h"
#include "teams/notes.h"
#include "teams/team_store.h"
#include "teams/tool_servers.h"

namespace engram {

class Teams {
  public:
    // `home` exists. Errors of TeamStore::open.
    static Result<std::unique_ptr<Teams>> open(const std::filesystem::path &home, std::vector<mcp::ServerConfig> servers);

    Runner &runner() { return runner_; }
    Colleagues &colleagues() { return colleagues_; }
    ToolServers &tool_servers() { return tool_servers_; }
    TeamStore &store() { return *store_; }

  private:
    Teams(std::unique_ptr<TeamStore> store, std::vector<mcp::ServerConfig> servers);

    const std::unique_ptr<TeamStore> store_;
    ToolServers tool_servers_;
    Notes notes_;
    Colleagues colleagues_;
    Runner runner_;
};

// The servers of `file`; where none is given, those of mcp.json in the home folder, if that is there. Errors of read_server_list.
Result<std::vector<mcp::ServerConfig>> configured_servers(const std::filesystem::path &file, const std::filesystem::path &home);

}  // namespace engram
