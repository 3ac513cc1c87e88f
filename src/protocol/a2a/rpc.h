// JSON-RPC 2.0 around the protocol's methods. Pure.
#pragma once

#include <string_view>

#include "chat/bounded_json.h"
#include "protocol/a2a/errors.h"

namespace engram::protocol::a2a {

struct RpcRequest {
    OrderedJson id;  // text, a number or null
    std::string method;
    OrderedJson params;  // an object; an empty one where the request has none
};
// parse: it is no JSON. invalid_request: no request of JSON-RPC 2.0, or several at once, which A2A has no use for; `id` of the
// answer is then null. invalid_params.
A2aResult<RpcRequest> read_rpc(std::string_view body, std::size_t max_bytes);

OrderedJson rpc_result(const OrderedJson &id, OrderedJson result);
OrderedJson rpc_failure(const OrderedJson &id, const A2aError &error, WireVersion dialect);

}  // namespace engram::protocol::a2a
