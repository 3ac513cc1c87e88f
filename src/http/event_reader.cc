#include "http/event_reader.h"

#include <charconv>
#include <cstdint>
#include <utility>

namespace engram::http {

std::vector<ServerEvent> EventReader::take(std::string_view piece) {
    std::vector<ServerEvent> events;
    while (!piece.empty() && !too_large_) {
        if (std::exchange(after_return_, false) && piece.front() == '\n') {
            piece.remove_prefix(1);
            continue;
        }
        const std::size_t end = piece.find_first_of("\r\n");
        rest_.append(piece.substr(0, end));
        too_large_ = rest_.size() + event_.data.size() > max_event_bytes_;
        if (end == std::string_view::npos || too_large_) break;
        after_return_ = piece[end] == '\r';
        piece.remove_prefix(end + 1);
        const std::string whole = std::exchange(rest_, {});
        line(whole, events);
    }
    return events;
}

void EventReader::line(std::string_view text, std::vector<ServerEvent> &events) {
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (std::exchange(first_line_, false) && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    if (text.empty()) {
        if (has_data_) {
            events.push_back(event_);
            events.back().data.pop_back();  // the last line's feed
        }
        event_.event.clear();
        event_.data.clear();
        has_data_ = false;
        return;
    }
    const std::size_t colon = text.find(':');
    const std::string_view name = text.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "data") {
        event_.data.append(value).push_back('\n');
        has_data_ = true;
    } else if (name == "event") {
        event_.event = value;
    } else if (name == "id" && value.find('\0') == std::string_view::npos) {
        too_large_ = value.size() > kMaxEventIdBytes;
        if (!too_large_) event_.id = value;
    } else if (name == "retry") {
        std::int64_t ms = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), ms);
        if (error == std::errc() && end == value.data() + value.size() && ms >= 0) retry_ = std::chrono::milliseconds(ms);
    }
}

}  // namespace engram::http
