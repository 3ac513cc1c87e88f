// Server-sent events out of a body as it comes, in pieces that are cut anywhere (HTML Living Standard, "Server-sent events").
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace engram::http {

inline constexpr std::size_t kMaxEventIdBytes = 4096;  // it goes with each event that follows

struct ServerEvent {
    std::string event;  // its type; empty: "message"
    std::string data;   // lines joined with a line feed
    std::string id;     // of this event or the last one that had one
    bool operator==(const ServerEvent &) const = default;
};

class EventReader {
  public:
    explicit EventReader(std::size_t max_event_bytes = 16UZ << 20U) : max_event_bytes_(max_event_bytes) {}

    // The events that are whole now. What has no data is none.
    std::vector<ServerEvent> take(std::string_view piece);
    std::optional<std::chrono::milliseconds> retry() const { return retry_; }  // how long to wait before asking for more
    bool too_large() const { return too_large_; }  // an event, or its id, was beyond its limit: nothing comes any more

  private:
    void line(std::string_view text, std::vector<ServerEvent> &events);

    const std::size_t max_event_bytes_;
    std::string rest_;  // of a line that isn't whole
    ServerEvent event_;
    std::optional<std::chrono::milliseconds> retry_;
    bool has_data_ = false;
    bool after_return_ = false;  // a line feed after it belongs to the same line's end
    bool first_line_ = true;
    bool too_large_ = false;
};

}  // namespace engram::http
