// A client of MCP on standard input and output, forwarded to a server that speaks it over HTTP.
#pragma once

#include <cstddef>
#include <stop_token>
#include <string>

#include "engram/error.h"

namespace engram {

struct McpForwardOptions {
    std::string url;  // "http://127.0.0.1:8000/mcp"
    std::string key;  // sent as a bearer token; empty: none
    int in = 0, out = 1;
    std::size_t max_message_bytes = 32UZ << 20U;
};

// As serve_mcp_stdio. What goes wrong on the way is the answer to the request that it happened to. invalid_argument: the address.
Result<void> forward_mcp_stdio(const McpForwardOptions &options, std::stop_token stop);

}  // namespace engram
