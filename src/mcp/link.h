// One connection to an MCP server: requests and their answers, whatever the transport. What the messages mean is client.h's
// matter.
//
// Thread-safe: several requests may be under way. What a request brings meanwhile (progress, log messages) is told on the thread
// that asked.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "engram/error.h"
#include "mcp/server_list.h"
#include "protocol/json_rpc.h"

namespace engram::mcp {

// From this version on each request stands alone: no initialize, no sessions, and who leaves has cancelled.
inline constexpr std::string_view kStateless = "2026-07-28";
inline constexpr std::size_t kMaxMessageBytes = 16UZ << 20U;

struct Asking {
    std::stop_token stop;
    std::chrono::milliseconds timeout{60'000};
    std::function<void(const protocol::RpcNotification &)> on_notification;
    // More header lines, where the transport has such (Mcp-Method and others).
    std::vector<std::pair<std::string, std::string>> headers;
};

class Link {
  public:
    virtual ~Link() = default;
    Link() = default;
    Link(const Link &) = delete;
    Link &operator=(const Link &) = delete;

    // An error that the server answered is a value. io: no answer, with the reason as far as it is known; cancelled.
    virtual Result<protocol::RpcResult<OrderedJson>> ask(const std::string &method, OrderedJson params, const Asking &asking) = 0;
    virtual Result<void> tell(const std::string &method, OrderedJson params) = 0;
    // The version that was agreed on; said with each message from then on where the transport says it.
    virtual void speak(std::string version) = 0;
    virtual bool broken() const = 0;  // nothing will be answered any more: connect anew
    // The lists of tools have changed since the last call of this.
    virtual bool tools_have_changed() = 0;
};

// Starts the program, whose end ends the link; it gets its own process group, and goes with the link. io: it can't be started.
Result<std::unique_ptr<Link>> start_stdio_link(const ServerConfig &config);
Result<std::unique_ptr<Link>> open_http_link(const ServerConfig &config);

}  // namespace engram::mcp
