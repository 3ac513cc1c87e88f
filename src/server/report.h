// What Engram tells about an answer's prompt: in headers always, and in full in an object `engram` of the answer for clients that
// ask for it, with `"engram": true` in the request or the header `x-engram-report: true`. Internal to the server.
#pragma once

#include <optional>

#include "chat/bounded_json.h"
#include "engram/agents.h"
#include "http/server.h"
#include "protocol/api_error.h"

namespace engram::server {

// invalid_request: `engram` is there and is no boolean.
protocol::ApiResult<bool> wants_report(const http::HttpRequest &request, const OrderedJson &body);

OrderedJson divergence_json(const AgentManager::Divergence &divergence);

// `divergence`: nullopt where it could not be found out.
OrderedJson report_json(const ChatStarted &started, const std::optional<AgentManager::Divergence> &divergence);

http::HttpFields report_headers(const ChatStarted &started);

}  // namespace engram::server
