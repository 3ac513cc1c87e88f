// Fuzz entry of the parsers of tool calls: any bytes give calls or an error, and what was read is written and read again as the
// same. Linked to a fuzzer, or driven by tool_call_test.cc.
#include <cstdint>
#include <cstdlib>

#include "chat/tool_call.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace engram;
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    if (const auto call = parse_call(text)) {
        const auto again = parse_tool_calls(tool_calls_json(std::span(&*call, 1)));
        if (!again || again->size() != 1 || again->front() != *call) std::abort();
    }
    if (const auto calls = parse_tool_calls(text)) {
        const auto again = parse_tool_calls(tool_calls_json(*calls));
        if (!again || *again != *calls) std::abort();
    }
    if (const auto tools = checked_tools(text)) {
        const auto again = checked_tools(*tools);
        if (!again || *again != *tools) std::abort();
    }
    return 0;
}
