#include "http/testing/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <format>

namespace engram::http {

std::string Reply::header(std::string_view name) const {
    for (const auto &[key, value] : headers) {
        if (key == name) return value;
    }
    return {};
}

TestClient::TestClient(std::uint16_t port, int receive_buffer_bytes) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer_bytes > 0) {
        (void)::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    const int on = 1;
    (void)::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0) leave();
}

TestClient::~TestClient() { leave(); }
TestClient::TestClient(TestClient &&other) noexcept
    : socket_(std::exchange(other.socket_, -1)), bytes_(std::move(other.bytes_)) {}

TestClient &TestClient::operator=(TestClient &&other) noexcept {
    if (this != &other) {
        leave();
        socket_ = std::exchange(other.socket_, -1);
        bytes_ = std::move(other.bytes_);
    }
    return *this;
}

void TestClient::leave() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

void TestClient::leave_hard() {
    const linger reset{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    leave();
}

bool TestClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

bool TestClient::more() {
    pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) != 1) return false;
    std::array<char, 16384> buffer{};
    const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (got <= 0) return false;
    bytes_.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
}

bool TestClient::read_chunks(Reply &reply) {
    while (true) {
        std::size_t line = bytes_.find("\r\n");
        while (line == std::string::npos) {
            if (!more()) return false;
            line = bytes_.find("\r\n");
        }
        const std::size_t size = std::strtoul(bytes_.c_str(), nullptr, 16);
        while (bytes_.size() < line + 2 + size + 2) {
            if (!more()) return false;
        }
        reply.body += bytes_.substr(line + 2, size);
        bytes_.erase(0, line + 2 + size + 2);
        if (size == 0) return true;
    }
}

std::optional<Reply> TestClient::receive(bool head_only) {
    while (bytes_.find("\r\n\r\n") == std::string::npos) {
        if (!more()) return std::nullopt;
    }
    Reply reply;
    const std::string head = bytes_.substr(0, bytes_.find("\r\n\r\n") + 2);
    bytes_.erase(0, head.size() + 2);
    if (!head.starts_with("HTTP/1.1 ")) return std::nullopt;
    reply.status = std::atoi(head.c_str() + 9);
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
        const std::size_t end = head.find("\r\n", at);
        const std::size_t colon = head.find(": ", at);
        std::string name = head.substr(at, colon - at);
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        reply.headers.emplace_back(std::move(name), head.substr(colon + 2, end - colon - 2));
        at = end + 2;
    }
    if (head_only || reply.status == 204 || reply.status < 200) {
        reply.whole = true;
    } else if (reply.header("transfer-encoding") == "chunked") {
        reply.whole = read_chunks(reply);
    } else if (const std::string length = reply.header("content-length"); !length.empty()) {
        const std::size_t size = std::strtoul(length.c_str(), nullptr, 10);
        while (bytes_.size() < size && more()) {
        }
        reply.whole = bytes_.size() >= size;
        reply.body = bytes_.substr(0, size);
        bytes_.erase(0, size);
    } else {
        while (more()) {
        }
        reply.whole = true;
        reply.body = std::move(bytes_);
        bytes_.clear();
    }
    return reply;
}

bool TestClient::receive_until(std::string_view wanted) {
    while (bytes_.find(wanted) == std::string::npos) {
        if (!more()) return false;
    }
    return true;
}

bool TestClient::closed() {
    if (!bytes_.empty() || more()) return false;
    char byte = 0;
    const ssize_t got = ::recv(socket_, &byte, 1, MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN);
}

std::optional<Reply> TestClient::ask(std::string_view method, std::string_view target, std::string_view body,
                                     std::string_view headers) {
    if (!send(std::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}", method, target, body.size(),
                          headers, body))) {
        return std::nullopt;
    }
    return receive(method == "HEAD");
}

}  // namespace engram::http
