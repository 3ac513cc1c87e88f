// What an MCP client's messages have in common: over stdio as long as the process runs, over HTTP, in the protocol's older era,
// from `initialize` on. Its requests under way, so that they can be cancelled; the questions that it was asked, so that its
// answers find them; what it said when it came. Thread-safe. Internal to the server.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "protocol/mcp/wire.h"

namespace engram::server {

class McpSession {
  public:
    // What was agreed on. Empty version: the client hasn't come yet.
    struct Agreed {
        std::string version;
        OrderedJson client_capabilities = OrderedJson::object();
    };
    void agree(Agreed agreed);
    Agreed agreed() const;

    std::optional<protocol::mcp::LogLevel> log_level() const;
    void set_log_level(protocol::mcp::LogLevel level);

    // Resources whose changes the client wants to hear of. false: they are too many.
    bool subscribe(const std::string &uri);
    void unsubscribe(const std::string &uri);

    // A request under way, as long as this lives.
    class Under {
      public:
        Under(McpSession &session, protocol::RpcId id) : session_(session), id_(std::move(id)) {}
        ~Under();
        Under(const Under &) = delete;
        Under &operator=(const Under &) = delete;

      private:
        McpSession &session_;
        const protocol::RpcId id_;
    };
    // nullptr: a request of this id is under way already, or too many are. To be asked where messages are read, so that what
    // cancels a request never comes before it; and given back before it is answered, since its id is free then.
    static constexpr const char *kNotBegun = "a request of this id is under way, or too many are";
    std::unique_ptr<Under> begin(const protocol::RpcId &id, std::stop_source stop);
    void cancel(const protocol::RpcId &id);  // when it is under way
    void cancel_all();

    // Sends a request of ours and waits for its answer. `stop`, and patience's end, are an error as if the client had said no.
    using Send = std::function<void(const protocol::RpcMessage &)>;
    protocol::RpcResult<OrderedJson> ask(std::string method, OrderedJson params, const Send &send, const std::stop_token &stop);
    void answered(const protocol::RpcResponse &response);  // to a question; to none: nothing

  private:
    static constexpr std::size_t kMostRequests = 256;
    static constexpr std::size_t kMostSubscriptions = 1024;
    static constexpr std::chrono::minutes kPatience{10};

    mutable std::mutex mutex_;  // for all that follows
    std::condition_variable_any answer_came_;
    Agreed agreed_;
    protocol::mcp::LogLevel log_level_ = protocol::mcp::LogLevel::debug;  // until the client says what is enough
    std::set<std::string, std::less<>> subscriptions_;
    std::map<protocol::RpcId, std::stop_source> requests_;
    std::map<protocol::RpcId, std::optional<protocol::RpcResult<OrderedJson>>> questions_;
    std::int64_t asked_ = 0;
};

}  // namespace engram::server
