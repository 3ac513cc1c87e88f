// What the protocol's own conformance tests expect a server to have: tools, resources and prompts with agreed names and contents.
// Nothing of it touches agents. Internal to the server.
#pragma once

#include <memory>

#include "server/mcp_server.h"

namespace engram::server {

std::unique_ptr<McpOffer> make_mcp_fixtures();

}  // namespace engram::server
