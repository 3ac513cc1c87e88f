// Fuzz entry of JSON-RPC messages: a message, or a fault with a sentence that can be answered; and a message is the same when it
// is written and read again.
#include "core/testing/fuzz.h"
#include "protocol/json_rpc.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace engram::protocol;
    using engram::fuzz::require;
    constexpr std::size_t kMostBytes = 1U << 20U;
    const std::string_view text = engram::fuzz::text_of(data, size);
    const auto message = read_rpc(text, kMostBytes);
    if (!message) {
        require(!message.error().error.message.empty());
        const auto answer = read_rpc(write_rpc(answer_to(message.error())), kMostBytes);
        require(answer.has_value() && std::holds_alternative<RpcResponse>(*answer));
        return 0;
    }
    const std::string line = write_rpc(*message);
    require(line.find('\n') == std::string::npos);
    const auto again = read_rpc(line, line.size());
    require(again.has_value() && write_rpc(*again) == line && again->index() == message->index());
    if (const auto *request = std::get_if<RpcRequest>(&*message)) require(request->params.is_object());
    return 0;
}
