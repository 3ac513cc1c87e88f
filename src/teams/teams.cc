#include "teams/teams.h"

namespace engram {

Teams::Teams(std::unique_ptr<TeamStore> store, std::vector<mcp::ServerConfig> servers)
    : store_(std::move(store)),
      tool_servers_(std::move(servers), *store_),
      notes_(*store_),
      runner_({&tool_servers_, &notes_, &colleagues_}) {
    colleagues_.set_runner(runner_);
}

Result<std::unique_ptr<Teams>> Teams::open(const std::filesystem::path &home, std::vector<mcp::ServerConfig> servers) {
    ENGRAM_ASSIGN(std::unique_ptr<TeamStore> store, TeamStore::open(home / "teams.db"));
    return std::unique_ptr<Teams>(new Teams(std::move(store), std::move(servers)));
}

Result<std::vector<mcp::ServerConfig>> configured_servers(const std::filesystem::path &file, const std::filesystem::path &home) {
    if (!file.empty()) return mcp::read_server_list(file);
    auto usual = mcp::read_server_list(home / "mcp.json");
    if (!usual && usual.error().code == ErrorCode::not_found) return std::vector<mcp::ServerConfig>();
    return usual;
}

}  // namespace engram
