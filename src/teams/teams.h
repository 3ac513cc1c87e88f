// All that runs need, in one place: the tool servers and the agents elsewhere that are configured, the teams' notes, the
// colleagues, and the runner over them.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "a2a/remote_list.h"
#include "engram/teams.h"
#include "mcp/server_list.h"
#include "teams/colleagues.h"
#include "teams/notes.h"
#include "teams/remote_agents.h"
#include "teams/team_store.h"
#include "teams/tool_servers.h"

namespace engram {

// What is configured of others' servers.
struct OtherServers {
    std::vector<mcp::ServerConfig> tools;
    std::vector<a2a::RemoteConfig> agents;
};

class Teams {
  public:
    // `home` exists. `sources`: a program's own tools, which outlive this. Errors of TeamStore::open.
    static Result<std::unique_ptr<Teams>> open(const std::filesystem::path &home, OtherServers servers,
                                               const std::vector<ToolSource *> &sources = {});

    Runner &runner() { return runner_; }
    RunAgent run_agent();  // the runner's run; not longer than this lives
    Colleagues &colleagues() { return colleagues_; }
    ToolServers &tool_servers() { return tool_servers_; }
    RemoteAgents &remote_agents() { return remote_agents_; }
    TeamStore &store() { return *store_; }

  private:
    Teams(std::unique_ptr<TeamStore> store, OtherServers servers, const std::vector<ToolSource *> &sources);

    const std::unique_ptr<TeamStore> store_;
    ToolServers tool_servers_;
    RemoteAgents remote_agents_;
    Notes notes_;
    Colleagues colleagues_;
    Runner runner_;
};

// The servers that `file` names; where none is given, mcp.json in the home folder, if that is there. not_found, io,
// invalid_argument: what is wrong and where.
Result<OtherServers> configured_servers(const std::filesystem::path &file, const std::filesystem::path &home);

}  // namespace engram
