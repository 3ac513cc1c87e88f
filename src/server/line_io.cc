#include "server/line_io.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <format>
#include <utility>

namespace engram::server {
namespace {

constexpr int kLookEveryMs = 100;  // for stop

}  // namespace

Result<std::optional<LineReader::Line>> LineReader::next(const std::stop_token &stop) {
    while (true) {
        const std::size_t end = bytes_.find('\n', seen_);
        if (end != std::string::npos) {
            Line line{.text = bytes_.substr(0, end), .too_long = std::exchange(too_long_, false) || end > max_bytes_};
            bytes_.erase(0, end + 1);
            seen_ = 0;
            return line;
        }
        seen_ = bytes_.size();
        if (bytes_.size() > max_bytes_) {
            too_long_ = true;
            bytes_.clear();
            seen_ = 0;
        }
        ENGRAM_ASSIGN(const bool more, read(stop));
        if (more) continue;
        if ((bytes_.empty() && !too_long_) || stop.stop_requested()) return std::nullopt;
        return Line{.text = std::exchange(bytes_, {}), .too_long = std::exchange(too_long_, false)};
    }
}

Result<bool> LineReader::read(const std::stop_token &stop) {
    while (!stop.stop_requested()) {
        pollfd look{.fd = fd_, .events = POLLIN, .revents = 0};
        const int ready = ::poll(&look, 1, kLookEveryMs);
        if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
        char piece[1 << 14];
        const ssize_t n = ::read(fd_, piece, sizeof piece);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n < 0) return fail(ErrorCode::io, std::format("standard input can't be read: {}", std::strerror(errno)));
        bytes_.append(piece, static_cast<std::size_t>(n));
        return n > 0;
    }
    return false;
}

void LineWriter::write(std::string_view line) {
    const std::string whole = std::string(line) + "\n";
    const std::scoped_lock lock(mutex_);
    for (std::size_t sent = 0; sent < whole.size();) {
        const ssize_t n = ::write(fd_, whole.data() + sent, whole.size() - sent);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return;
        sent += static_cast<std::size_t>(n);
    }
}

bool LineWriter::reader_has_gone() const {
    pollfd look{.fd = fd_, .events = 0, .revents = 0};
    return ::poll(&look, 1, 0) > 0 && (look.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace engram::server
