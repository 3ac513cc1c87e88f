// Fuzz entry of lines on standard input: the lines that were sent, in their order, none longer than the limit.
#include <unistd.h>

#include <algorithm>

#include "core/testing/fuzz.h"
#include "server/line_io.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using engram::fuzz::require;
    constexpr std::size_t kMostBytes = 64, kPipeBytes = 32U << 10U;
    const std::string_view text = engram::fuzz::text_of(data, std::min(size, kPipeBytes));
    int ends[2];
    require(::pipe(ends) == 0);
    require(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    ::close(ends[1]);
    engram::server::LineReader reader(ends[0], kMostBytes);
    std::string_view rest = text;
    while (true) {
        const auto line = reader.next({});
        require(line.has_value());
        if (!*line) break;
        const std::string_view sent = rest.substr(0, rest.find('\n'));
        require((*line)->too_long == (sent.size() > kMostBytes));
        require((*line)->too_long || (*line)->text == sent);
        rest.remove_prefix(std::min(sent.size() + 1, rest.size()));
    }
    require(rest.empty());
    ::close(ends[0]);
    return 0;
}
