// Requests to other servers: what Engram itself asks of others (tool servers, remote agents, a server under examination).
// libcurl's only door.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "engram/error.h"
#include "http/server.h"

namespace engram::http {

inline constexpr std::size_t kMaxReplyBytes = 16UZ << 20U;

struct FetchRequest {
    std::string method = "POST";
    std::string url;  // http or https
    HttpFields headers;
    std::string body;
    std::chrono::milliseconds timeout{60'000};  // for all of it; 0: none
    std::size_t max_reply_bytes = kMaxReplyBytes;
    // Only the internet's addresses are connected to, whatever the host's name stands for when it is looked up, and no proxy is
    // used: for addresses that somebody else named.
    bool public_only = false;
};

struct FetchReply {
    long status = 0;
    HttpFields headers;  // of the last answer, names in small letters
    std::string body;    // empty when it was given away piece by piece

    std::string_view header(std::string_view name) const;  // by its name in small letters; empty when there is none
};

// invalid_argument unless it is http or https with a host.
Result<void> check_url(const std::string &url);

// Keeps its connection for the next request to the same server. One thread at a time.
class Fetcher {
  public:
    static Result<Fetcher> create();  // internal: libcurl could not be started
    ~Fetcher();
    Fetcher(Fetcher &&) noexcept;
    Fetcher &operator=(Fetcher &&) noexcept;

    // The pieces of a reply's body as they come, with its status and headers; false: enough, the rest isn't wanted.
    using OnBody = std::function<bool(const FetchReply &head, std::string_view piece)>;

    // A status that says no is a reply, and so is a redirect: nobody is sent elsewhere with a key that was meant for here.
    // invalid_argument: no address, or one that public_only keeps away; io: no connection, a timeout, too large a reply;
    // cancelled.
    Result<FetchReply> send(const FetchRequest &request, const std::stop_token &stop, const OnBody &on_body = {});

  private:
    struct Handle;
    explicit Fetcher(std::unique_ptr<Handle> handle);
    std::unique_ptr<Handle> handle_;
};

}  // namespace engram::http
