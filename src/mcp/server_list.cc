#include "mcp/server_list.h"

namespace engram::mcp {
namespace {

Result<void> read_times_and_rights(const JsonEntry &entry, ServerConfig &config) {
    ENGRAM_ASSIGN(config.timeout, entry.milliseconds("timeout", config.timeout));
    ENGRAM_ASSIGN(config.auto_approve, entry.texts("autoApprove"));
    ENGRAM_ASSIGN(const std::vector<std::string> always, entry.texts("alwaysAllow"));
    config.auto_approve.insert(config.auto_approve.end(), always.begin(), always.end());
    if (entry.has("tenants")) {
        ENGRAM_ASSIGN(config.tenants, entry.texts("tenants"));
    }
    return {};
}

Result<ServerConfig> read_server(const JsonEntry &entry) {
    ServerConfig config{.name = entry.name()};
    ENGRAM_ASSIGN(config.command, entry.text("command"));
    ENGRAM_ASSIGN(config.args, entry.texts("args"));
    ENGRAM_ASSIGN(config.env, entry.text_map("env"));
    ENGRAM_ASSIGN(config.cwd, entry.text("cwd"));
    ENGRAM_ASSIGN(config.url, entry.text("url"));
    ENGRAM_ASSIGN(config.headers, entry.text_map("headers"));
    ENGRAM_ASSIGN(const std::string type, entry.text("type"));
    ENGRAM_TRY(read_times_and_rights(entry, config));
    if (type == "sse") {
        return entry.wrong("type", R"(is "sse", a transport that MCP has given up; most such servers speak "http" too)");
    }
    const bool over_http = type == "http" || type == "streamable-http" || type == "streamableHttp";
    if (!type.empty() && type != "stdio" && !over_http) return entry.wrong("type", R"(must be "stdio" or "http")");
    if (config.command.empty() == config.url.empty()) {
        return entry.wrong("", "needs either a command to start, or a url");
    }
    if (type == "stdio" && config.command.empty()) return entry.wrong("", R"(is of the type "stdio" and needs a command)");
    if (over_http && config.url.empty()) return entry.wrong("", R"(is of the type "http" and needs a url)");
    return config;
}

}  // namespace

Result<std::optional<std::vector<ServerConfig>>> parse_server_list(std::string_view json, std::string_view name,
                                                                   const Environment &environment) {
    std::vector<ServerConfig> servers;
    ENGRAM_ASSIGN(const bool there,
                  for_each_entry(json, name, "mcpServers", environment, [&](const JsonEntry &entry) -> Result<void> {
                      ENGRAM_ASSIGN(ServerConfig config, read_server(entry));
                      servers.push_back(std::move(config));
                      return {};
                  }));
    return there ? std::optional(std::move(servers)) : std::nullopt;
}

}  // namespace engram::mcp
