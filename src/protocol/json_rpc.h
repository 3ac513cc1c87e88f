// JSON-RPC 2.0, as MCP and A2A speak it: the messages, read strictly and written in one line.
//
//     auto message = read_rpc(line, 4 << 20);
//     if (!message) return write_rpc(answer_to(message.error()));
//     if (const auto *request = std::get_if<RpcRequest>(&*message)) …
//
// Both protocols narrow JSON-RPC in the same way, and so does this: parameters and ids have names or are whole numbers and texts
// (no arrays of parameters, no null as a request's id), and a message stands alone (no batches). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "chat/bounded_json.h"

namespace engram::protocol {

using RpcId = std::variant<std::int64_t, std::string>;

// The codes that JSON-RPC itself defines.
inline constexpr std::int64_t kRpcParseError = -32700;
inline constexpr std::int64_t kRpcInvalidRequest = -32600;
inline constexpr std::int64_t kRpcMethodNotFound = -32601;
inline constexpr std::int64_t kRpcInvalidParams = -32602;
inline constexpr std::int64_t kRpcInternalError = -32603;

struct [[nodiscard]] RpcError {
    std::int64_t code = kRpcInternalError;
    std::string message;
    OrderedJson data = nullptr;  // null: none
    bool operator==(const RpcError &) const = default;
};

template <typename T>
using RpcResult = std::expected<T, RpcError>;

struct RpcRequest {
    RpcId id;
    std::string method;
    OrderedJson params = OrderedJson::object();  // an object, empty when the message has none
    bool operator==(const RpcRequest &) const = default;
};

struct RpcNotification {
    std::string method;
    OrderedJson params = OrderedJson::object();
    bool operator==(const RpcNotification &) const = default;
};

struct RpcResponse {
    std::optional<RpcId> id;  // none: an error about a message whose id could not be read
    RpcResult<OrderedJson> outcome;
    bool operator==(const RpcResponse &) const = default;
};

using RpcMessage = std::variant<RpcRequest, RpcNotification, RpcResponse>;

// Why a text is no message, and whom to tell: the id when it could be read all the same.
struct [[nodiscard]] RpcFault {
    std::optional<RpcId> id;
    RpcError error;
};

std::expected<RpcMessage, RpcFault> read_rpc(std::string_view text, std::size_t max_bytes);
std::expected<RpcMessage, RpcFault> read_rpc(OrderedJson json);

OrderedJson rpc_json(const RpcId &id);
OrderedJson rpc_json(const RpcMessage &message);
// One line, without its end. Text that isn't UTF-8 is replaced, so that what is written can always be read.
std::string write_rpc(const RpcMessage &message);

inline RpcResponse answer_to(const RpcFault &fault) { return {.id = fault.id, .outcome = std::unexpected(fault.error)}; }

inline std::unexpected<RpcError> rpc_fail(std::int64_t code, std::string message, OrderedJson data = nullptr) {
    return std::unexpected(RpcError{.code = code, .message = std::move(message), .data = std::move(data)});
}

}  // namespace engram::protocol
