#include "teams/teams.h"

#include <format>

namespace engram {
namespace {

std::vector<ToolSource *> joined(std::vector<ToolSource *> first, const std::vector<ToolSource *> &more) {
    first.insert(first.end(), more.begin(), more.end());
    return first;
}

}  // namespace

Teams::Teams(std::unique_ptr<TeamStore> store, OtherServers servers, const std::vector<ToolSource *> &sources)
    : store_(std::move(store)),
      tool_servers_(std::move(servers.tools), *store_),
      remote_agents_(std::move(servers.agents), *store_),
      notes_(*store_),
      colleagues_(&remote_agents_),
      runner_(joined({&tool_servers_, &notes_, &colleagues_}, sources), store_.get()) {
    colleagues_.set_runner(runner_);
}

Result<std::unique_ptr<Teams>> Teams::open(const std::filesystem::path &home, OtherServers servers,
                                           const std::vector<ToolSource *> &sources) {
    ENGRAM_ASSIGN(std::unique_ptr<TeamStore> store, TeamStore::open(home / "teams.db"));
    return std::unique_ptr<Teams>(new Teams(std::move(store), std::move(servers), sources));
}

Result<std::shared_ptr<Runner>> open_runner(const RunnerOptions &options) {
    ENGRAM_ASSIGN(OtherServers servers, configured_servers(options.servers, options.home));
    ENGRAM_ASSIGN(std::unique_ptr<Teams> opened, Teams::open(options.home, std::move(servers), options.sources));
    const std::shared_ptr<Teams> teams = std::move(opened);
    return std::shared_ptr<Runner>(teams, &teams->runner());
}

RunAgent Teams::run_agent() {
    return [this](AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
        return runner_.run(agents, request, sink, std::move(stop));
    };
}

Result<OtherServers> configured_servers(const std::filesystem::path &file, const std::filesystem::path &home) {
    const std::filesystem::path used = file.empty() ? home / "mcp.json" : file;
    auto text = read_entries_file(used);
    if (!text && file.empty() && text.error().code == ErrorCode::not_found) return OtherServers();
    if (!text) return std::unexpected(std::move(text.error()));
    const std::string name = used.string();
    const Environment environment = process_environment();
    ENGRAM_ASSIGN(auto tools, mcp::parse_server_list(*text, name, environment));
    ENGRAM_ASSIGN(auto agents, a2a::parse_remote_list(*text, name, environment));
    if (!tools && !agents) {
        return fail(ErrorCode::invalid_argument,
                    std::format("{}: there must be an object \"mcpServers\", or \"a2aAgents\", or both", name));
    }
    return OtherServers{.tools = tools ? std::move(*tools) : std::vector<mcp::ServerConfig>(),
                        .agents = agents ? std::move(*agents) : std::vector<a2a::RemoteConfig>()};
}

}  // namespace engram
