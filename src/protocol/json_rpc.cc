#include "protocol/json_rpc.h"

#include <format>
#include <utility>

namespace engram::protocol {
namespace {

constexpr std::size_t kMaxIdBytes = 1024;  // it is kept while its request runs

std::optional<RpcId> id_of(const OrderedJson &json) {
    const auto id = json.find("id");
    if (id == json.end()) return std::nullopt;
    if (id->is_string()) {
        const auto &text = id->get_ref<const std::string &>();
        return text.size() <= kMaxIdBytes ? std::optional<RpcId>(text) : std::nullopt;
    }
    const bool fits = id->is_number_integer() &&
                      (!id->is_number_unsigned() || id->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
    return fits ? std::optional<RpcId>(id->get<std::int64_t>()) : std::nullopt;
}

std::expected<RpcMessage, RpcFault> read_call(OrderedJson json) {
    const std::optional<RpcId> id = id_of(json);
    const auto refuse = [&](std::int64_t code, std::string message) {
        return std::unexpected(RpcFault{.id = id, .error = {.code = code, .message = std::move(message)}});
    };
    if (json.contains("id") && !id) {
        return refuse(kRpcInvalidRequest, std::format("id must be a whole number or a string of at most {} bytes", kMaxIdBytes));
    }
    if (!json["method"].is_string()) return refuse(kRpcInvalidRequest, "method must be a string");
    if (json.contains("result") || json.contains("error")) {
        return refuse(kRpcInvalidRequest, "a message with a method has neither result nor error");
    }
    OrderedJson params = OrderedJson::object();
    if (const auto given = json.find("params"); given != json.end()) {
        if (!given->is_object()) return refuse(kRpcInvalidParams, "params must be an object");
        params = std::move(*given);
    }
    std::string method = json["method"].get<std::string>();
    if (id) return RpcRequest{.id = *id, .method = std::move(method), .params = std::move(params)};
    return RpcNotification{.method = std::move(method), .params = std::move(params)};
}

std::expected<RpcMessage, RpcFault> read_response(OrderedJson json) {
    const std::optional<RpcId> id = id_of(json);
    const auto refuse = [&](std::string message) {
        return std::unexpected(RpcFault{.id = id, .error = {.code = kRpcInvalidRequest, .message = std::move(message)}});
    };
    const bool has_result = json.contains("result");
    if (has_result == json.contains("error")) return refuse("a message has a method, a result or an error");
    if (has_result) {
        if (!id) return refuse("a result needs the id of its request");
        return RpcResponse{.id = id, .outcome = std::move(json["result"])};
    }
    OrderedJson &error = json["error"];
    if (!error.is_object() || !error.contains("code") || !error["code"].is_number_integer() || !error.contains("message") ||
        !error["message"].is_string()) {
        return refuse("an error is an object with code, a whole number, and message, a string");
    }
    return RpcResponse{.id = id,
                       .outcome = std::unexpected(RpcError{.code = error["code"].get<std::int64_t>(),
                                                           .message = error["message"].get<std::string>(),
                                                           .data = error.value("data", OrderedJson(nullptr))})};
}

OrderedJson call_json(const std::string &method, const OrderedJson &params) {
    OrderedJson json = {{"method", method}};
    if (!params.empty()) json["params"] = params;
    return json;
}

}  // namespace

std::expected<RpcMessage, RpcFault> read_rpc(std::string_view text, std::size_t max_bytes) {
    auto json = parse_bounded_json(text, max_bytes);
    if (!json) {
        return std::unexpected(RpcFault{
            .id = std::nullopt,
            .error = {.code = kRpcParseError, .message = std::format("the message can't be read: {}", json.error().message)}});
    }
    return read_rpc(std::move(*json));
}

std::expected<RpcMessage, RpcFault> read_rpc(OrderedJson json) {
    const auto refuse = [](std::optional<RpcId> id, std::string message) {
        return std::unexpected(
            RpcFault{.id = std::move(id), .error = {.code = kRpcInvalidRequest, .message = std::move(message)}});
    };
    if (json.is_array()) return refuse({}, "batches aren't supported: send each message alone");
    if (!json.is_object()) return refuse({}, "a message is a JSON object");
    if (!json.contains("jsonrpc") || json["jsonrpc"] != "2.0") return refuse(id_of(json), R"(jsonrpc must be "2.0")");
    return json.contains("method") ? read_call(std::move(json)) : read_response(std::move(json));
}

OrderedJson rpc_json(const RpcId &id) {
    return std::visit([](const auto &value) { return OrderedJson(value); }, id);
}

OrderedJson rpc_json(const RpcMessage &message) {
    OrderedJson json = {{"jsonrpc", "2.0"}};
    if (const auto *request = std::get_if<RpcRequest>(&message)) {
        json["id"] = rpc_json(request->id);
        json.update(call_json(request->method, request->params));
    } else if (const auto *notification = std::get_if<RpcNotification>(&message)) {
        json.update(call_json(notification->method, notification->params));
    } else {
        const auto &response = std::get<RpcResponse>(message);
        json["id"] = response.id ? rpc_json(*response.id) : OrderedJson(nullptr);
        if (response.outcome) {
            json["result"] = *response.outcome;
        } else {
            const RpcError &error = response.outcome.error();
            json["error"] = {{"code", error.code}, {"message", error.message}};
            if (!error.data.is_null()) json["error"]["data"] = error.data;
        }
    }
    return json;
}

std::string write_rpc(const RpcMessage &message) {
    return rpc_json(message).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace engram::protocol
