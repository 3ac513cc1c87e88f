#include "protocol/a2a/rpc.h"

#include <utility>

namespace engram::protocol::a2a {
namespace {

std::unexpected<A2aError> refused(A2aErrorKind kind, std::string message) {
    return std::unexpected(A2aError(kind, std::move(message)));
}

}  // namespace

A2aResult<RpcRequest> read_rpc(std::string_view body, std::size_t max_bytes) {
    auto json = parse_bounded_json(body, max_bytes);
    if (!json) return refused(A2aErrorKind::parse, "the request's body can't be read: " + json.error().message);
    if (!json->is_object()) {
        return refused(A2aErrorKind::invalid_request, "the request's body must be one JSON-RPC request, a JSON object");
    }
    const auto member = [&](const char *name) -> const OrderedJson * {
        const auto found = json->find(name);
        return found == json->end() ? nullptr : &*found;
    };
    const OrderedJson *version = member("jsonrpc");
    if (version == nullptr || *version != "2.0") return refused(A2aErrorKind::invalid_request, "jsonrpc: must be \"2.0\"");
    RpcRequest request;
    if (const OrderedJson *id = member("id")) {
        if (!id->is_string() && !id->is_number() && !id->is_null()) {
            return refused(A2aErrorKind::invalid_request, "id: must be a string, a number or null");
        }
        request.id = *id;
    }
    const OrderedJson *method = member("method");
    if (method == nullptr || !method->is_string()) return refused(A2aErrorKind::invalid_request, "method: must be a string");
    request.method = method->get<std::string>();
    const OrderedJson *params = member("params");
    request.params = params == nullptr || params->is_null() ? OrderedJson::object() : *params;
    if (!request.params.is_object()) {
        return refused(A2aErrorKind::invalid_request, "params: must be an object");
    }
    return request;
}

OrderedJson rpc_result(const OrderedJson &id, OrderedJson result) {
    return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}};
}

OrderedJson rpc_failure(const OrderedJson &id, const A2aError &error, WireVersion dialect) {
    return {{"jsonrpc", "2.0"}, {"id", id}, {"error", rpc_error(error, dialect)}};
}

}  // namespace engram::protocol::a2a
