// The protocol's methods by their names, and which version a request speaks. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "protocol/a2a/errors.h"
#include "protocol/a2a/values.h"

namespace engram::protocol::a2a {

enum class Method : std::uint8_t {
    send_message,
    send_streaming_message,
    get_task,
    list_tasks,  // not in version 0.3
    cancel_task,
    subscribe_to_task,
    create_push_config,
    get_push_config,
    list_push_configs,
    delete_push_config,
    get_extended_card,
};

std::string_view method_name(Method method, WireVersion dialect);
std::optional<Method> method_from_name(std::string_view name, WireVersion dialect);  // "SendMessage", "message/send"

// "1.0" and "0.3", with or without a patch number; nothing: another one.
std::optional<WireVersion> dialect_from(std::string_view version);
// Of the header A2A-Version (or the query parameter of that name): patch numbers don't count, and nothing means 0.3.
// version_not_supported.
A2aResult<WireVersion> dialect_of_version(std::string_view version);

// Of a JSON-RPC request. Who says no version but calls a method that 1.0 alone has speaks 1.0. version_not_supported,
// method_not_found.
struct MethodCall {
    Method method = Method::send_message;
    WireVersion dialect = WireVersion::v1_0;
};
A2aResult<MethodCall> method_call(std::string_view version, std::string_view method);

}  // namespace engram::protocol::a2a
