// Fuzz entry of the reader of server-sent events: the events don't depend on how the body is cut, hold no more than it did, and
// are the same when they are written and read again.
#include "core/testing/fuzz.h"
#include "http/event_reader.h"

namespace {

using namespace engram::http;
using engram::fuzz::require;

std::string written(const ServerEvent &event) {
    std::string text = "event: " + event.event + "\nid: " + event.id + "\n";
    std::string_view rest = event.data;
    for (;;) {
        const std::size_t end = rest.find('\n');
        text += "data: " + std::string(rest.substr(0, end)) + "\n";
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    return text + "\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    constexpr std::size_t kMostBytes = 512;
    const std::string_view text = engram::fuzz::text_of(data, size);
    EventReader whole(kMostBytes), cut(kMostBytes);
    const std::vector<ServerEvent> events = whole.take(text);
    std::vector<ServerEvent> again;
    for (const std::string_view piece : engram::fuzz::pieces_of(text)) {
        for (ServerEvent &event : cut.take(piece)) again.push_back(std::move(event));
    }
    require(events == again && whole.retry() == cut.retry() && whole.too_large() == cut.too_large());
    std::size_t bytes = 0;
    for (const ServerEvent &event : events) {
        bytes += event.data.size();
        require(event.data.size() <= kMostBytes && event.event.size() <= kMostBytes && event.id.size() <= kMaxEventIdBytes);
        require(event.event.find_first_of("\r\n") == std::string::npos && event.id.find_first_of("\r\n") == std::string::npos);
        EventReader reader;
        require(reader.take(written(event)) == std::vector{event});
    }
    require(bytes <= size);
    return 0;
}
