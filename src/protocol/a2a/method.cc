#include "protocol/a2a/method.h"

#include <algorithm>
#include <array>
#include <format>

namespace engram::protocol::a2a {
namespace {

struct Names {
    Method method;
    std::string_view v1_0, v0_3;
};
constexpr auto kMethods = std::to_array<Names>({
    {Method::send_message, "SendMessage", "message/send"},
    {Method::send_streaming_message, "SendStreamingMessage", "message/stream"},
    {Method::get_task, "GetTask", "tasks/get"},
    {Method::list_tasks, "ListTasks", ""},
    {Method::cancel_task, "CancelTask", "tasks/cancel"},
    {Method::subscribe_to_task, "SubscribeToTask", "tasks/resubscribe"},
    {Method::create_push_config, "CreateTaskPushNotificationConfig", "tasks/pushNotificationConfig/set"},
    {Method::get_push_config, "GetTaskPushNotificationConfig", "tasks/pushNotificationConfig/get"},
    {Method::list_push_configs, "ListTaskPushNotificationConfigs", "tasks/pushNotificationConfig/list"},
    {Method::delete_push_config, "DeleteTaskPushNotificationConfig", "tasks/pushNotificationConfig/delete"},
    {Method::get_extended_card, "GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard"},
});

// "1.0" of "1.0.1".
std::string_view major_and_minor(std::string_view version) {
    const std::size_t dot = version.find('.');
    return dot == std::string_view::npos ? version : version.substr(0, version.find('.', dot + 1));
}

}  // namespace

std::string_view method_name(Method method, WireVersion dialect) {
    const auto found = std::ranges::find(kMethods, method, &Names::method);
    return dialect == WireVersion::v1_0 ? found->v1_0 : found->v0_3;
}

std::optional<Method> method_from_name(std::string_view name, WireVersion dialect) {
    const auto names = dialect == WireVersion::v1_0 ? &Names::v1_0 : &Names::v0_3;
    const auto found = std::ranges::find(kMethods, name, names);
    if (found == kMethods.end() || name.empty()) return std::nullopt;
    return found->method;
}

std::optional<WireVersion> dialect_from(std::string_view version) {
    const std::string_view asked = major_and_minor(version);
    if (asked == "1.0") return WireVersion::v1_0;
    if (asked == "0.3") return WireVersion::v0_3;
    return std::nullopt;
}

A2aResult<WireVersion> dialect_of_version(std::string_view version) {
    if (version.empty()) return WireVersion::v0_3;
    if (const auto dialect = dialect_from(version)) return *dialect;
    return std::unexpected(
        A2aError(A2aErrorKind::version_not_supported,
                 std::format("version \"{}\" of A2A isn't spoken here: the header A2A-Version may say 1.0 or 0.3", version)));
}

A2aResult<MethodCall> method_call(std::string_view version, std::string_view method) {
    ENGRAM_ASSIGN(const WireVersion dialect, dialect_of_version(version));
    if (const auto known = method_from_name(method, dialect)) return MethodCall{.method = *known, .dialect = dialect};
    if (version.empty()) {
        if (const auto known = method_from_name(method, WireVersion::v1_0))
            return MethodCall{.method = *known, .dialect = WireVersion::v1_0};
    }
    return std::unexpected(
        A2aError(A2aErrorKind::method_not_found,
                 std::format("version {} of A2A has no method \"{}\"", dialect == WireVersion::v1_0 ? "1.0" : "0.3", method)));
}

}  // namespace engram::protocol::a2a
