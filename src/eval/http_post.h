// One HTTP POST after the other to the same server: libcurl's only door.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "engram/error.h"

namespace engram::eval {

struct HttpReply {
    long status = 0;
    std::string body;  // at most kMaxReplyBytes
};

inline constexpr std::size_t kMaxReplyBytes = 16UZ << 20U;

class HttpClient {
  public:
    // invalid_argument unless `url` is http or https with a host. `api_key` is sent as a bearer token when it isn't empty.
    static Result<HttpClient> create(const std::string &url, const std::string &api_key, double timeout_s);
    ~HttpClient();
    HttpClient(HttpClient &&) noexcept;
    HttpClient &operator=(HttpClient &&) noexcept;

    // Posts JSON. io: no connection, a timeout, too large a reply; cancelled. A status that says no is a reply.
    Result<HttpReply> post(const std::string &body, const std::stop_token &stop);

  private:
    struct Connection;
    explicit HttpClient(std::unique_ptr<Connection> connection);
    std::unique_ptr<Connection> connection_;
};

}  // namespace engram::eval
