// What the transport's tests speak with: a socket that sends exact bytes and reads answers one by one. Every wait ends after
// kPatience.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace engram::http {

constexpr std::chrono::seconds kPatience{60};

struct Reply {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers;  // names in small letters
    std::string body;                                          // chunks put together
    bool whole = false;  // ended as it should: by its length, its last chunk, or the connection's end where neither is given

    std::string header(std::string_view name) const;  // empty when there is none
};

class TestClient {
  public:
    // `receive_buffer_bytes` makes the system's buffer small, for a client that doesn't read.
    explicit TestClient(std::uint16_t port, int receive_buffer_bytes = 0);
    ~TestClient();
    TestClient(TestClient &&other) noexcept;
    TestClient &operator=(TestClient &&other) noexcept;

    // False when the server has closed the connection.
    bool send(std::string_view bytes);
    // The next answer, of which `head_only` reads no body.
    std::optional<Reply> receive(bool head_only = false);
    // What there is of a stream until `wanted` has arrived; false when it doesn't.
    bool receive_until(std::string_view wanted);
    // True when the server closes without sending anything more.
    bool closed();

    // Sends a request with Host and Content-Length, and reads its answer.
    std::optional<Reply> ask(std::string_view method, std::string_view target, std::string_view body = {},
                             std::string_view headers = {});

    void leave();       // closes
    void leave_hard();  // closes with a reset, as a killed process may

    const std::string &unread() const { return bytes_; }

  private:
    bool more();  // reads something; false at the end
    bool read_chunks(Reply &reply);

    int socket_ = -1;
    std::string bytes_;
};

}  // namespace engram::http
