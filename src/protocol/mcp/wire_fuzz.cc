// Fuzz entry of what MCP's messages say of themselves: eras, versions, headers that repeat the body, cursors, base64. The input
// is a header's value and, behind a line feed, a message.
#include "core/base64.h"
#include "core/testing/fuzz.h"
#include "protocol/mcp/wire.h"

namespace {

using namespace engram;
using namespace engram::protocol;
using namespace engram::protocol::mcp;
using fuzz::require;

void check_base64(std::string_view text) {
    const auto decoded = from_base64(base64(text));
    require(decoded && *decoded == text);
    if (const auto bytes = from_base64(text)) {
        const auto again = from_base64(base64(*bytes));
        require(again && *again == *bytes && bytes->size() <= text.size());
    }
    if (const auto value = header_value(text)) require(value->size() <= text.size());
}

template <typename T>
const T *read(const RpcResult<T> &result) {
    if (result) return &*result;
    require(!result.error().message.empty());
    return nullptr;
}

void check(const RpcRequest &request, std::string_view header) {
    // The headers that a client sends with a request are those that a server wants with it.
    const auto headers = mirrored_headers(request);
    MirroredHeaders mirrored{};
    for (const auto &[name, value] : headers) {
        require(value.find_first_of("\r\n") == std::string::npos || name != "mcp-name");
        if (name == "mcp-protocol-version") mirrored.version = value;
        if (name == "mcp-method") mirrored.method = value;
        if (name == "mcp-name") mirrored.name = value;
    }
    const auto checked = check_headers(request, mirrored);
    require(checked.has_value() || checked.error().code == kHeaderMismatch);
    if (!mirrored.name.empty()) require(checked.has_value());
    static_cast<void>(check_headers(request, {.version = header, .method = header, .name = header}).has_value());
    const auto stateless = read_stateless_meta(request.params);
    if (const CallMeta *meta = read(stateless))
        require(meta->version == kStatelessVersion && meta->client_capabilities.is_object());
    const auto session = read_session_meta(request.params);
    if (const CallMeta *meta = read(session); meta != nullptr && meta->progress_token) {
        const RpcNotification told = progress_notification(*meta->progress_token, {.done = 1, .total = 2, .message = "m"});
        require(read_rpc(write_message(told), 1U << 20U).has_value());
    }
    const auto cursor = read_cursor(request.params);
    if (const std::string *name = read(cursor); name != nullptr && !name->empty()) {
        const auto again = read_cursor(OrderedJson{{"cursor", cursor_after(*name)}});
        require(again && *again == *name);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const auto [header, body] = fuzz::two_texts(fuzz::text_of(data, size));
    check_base64(header);
    if (const auto level = log_level_from_name(header)) require(log_level_name(*level) == header);
    const auto message = read_rpc(body, 1U << 20U);
    if (!message) return 0;
    static_cast<void>(era_of(*message, header));
    require(write_message(*message).find('\n') == std::string::npos);
    if (const auto *request = std::get_if<RpcRequest>(&*message)) check(*request, header);
    return 0;
}
