// MCP over standard input and output: one message a line, nothing else.
#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>

#include "engram/agents.h"
#include "engram/error.h"
#include "engram/sampling.h"
#include "server/server.h"

namespace engram {

struct McpStdioOptions {
    AgentManager *agents = nullptr;  // outlives the call
    RunAgent run;
    Sampling sampling;
    bool fixtures = false;  // as ServeOptions::mcp_fixtures
    int in = 0, out = 1;    // file descriptors
    std::size_t max_line_bytes = 32UZ << 20U;
};

// Answers until the input ends, and then what is under way; requests run at the same time. `stop`, and a reader of the output
// that has gone, cancel them. io: the input can't be read.
Result<void> serve_mcp_stdio(const McpStdioOptions &options, std::stop_token stop);

}  // namespace engram
