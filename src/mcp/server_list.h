// The tool servers that are configured, in the JSON that other clients read too:
//
//     {"mcpServers": {
//         "files": {"command": "mcp-server-filesystem", "args": ["${HOME}/notes"], "env": {"DEBUG": "1"}},
//         "search": {"type": "http", "url": "https://example.com/mcp", "headers": {"Authorization": "Bearer ${SEARCH_KEY}"}}}}
//
// A server with a `command` is started here and spoken to over its standard input and output; one with a `url` over streamable
// HTTP. Optional members: `cwd`; `timeout` (milliseconds for one call); `disabled`; `autoApprove` and `alwaysAllow` (names of
// tools that a person needn't allow, where an agent's card says otherwise); `tenants` (who may use it; only the tenant "default"
// otherwise).
// How such files are read: config/json_entries.h.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/json_entries.h"
#include "engram/error.h"

namespace engram::mcp {

struct ServerConfig {
    std::string name;     // 1 to 64 of A-Z a-z 0-9 _ -
    std::string command;  // empty: it has a url
    std::vector<std::string> args;
    std::map<std::string, std::string> env;  // beside what a program needs to find itself: PATH, HOME and the like
    std::string cwd;                         // empty: where Engram was started
    std::string url;
    std::map<std::string, std::string> headers;
    std::chrono::milliseconds timeout{120'000};
    std::vector<std::string> auto_approve;
    std::vector<std::string> tenants{"default"};
    bool operator==(const ServerConfig &) const = default;
};

// Those that aren't disabled, in the file's order; nullopt: the file has no "mcpServers". `name` stands in messages.
// invalid_argument: what is wrong and where.
Result<std::optional<std::vector<ServerConfig>>> parse_server_list(std::string_view json, std::string_view name,
                                                                   const Environment &environment);

}  // namespace engram::mcp
