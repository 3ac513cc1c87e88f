// The A2A protocol's addresses: the server's own (/a2a) and one for each agent (/a2a/agents/{id}), both bindings at each.
#pragma once

#include <vector>

#include "http/server.h"
#include "server/a2a_tasks.h"
#include "server/app.h"

namespace engram::server {

// `tasks` outlives the routes.
std::vector<http::HttpRoute> a2a_routes(App &app, A2aTasks &tasks, bool test_mode);

}  // namespace engram::server
