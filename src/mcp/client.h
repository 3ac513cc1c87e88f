// What an MCP server offers, and calls of its tools. Speaks the stateless version 2026-07-28 where the server does, and otherwise
// the newest of the versions that begin with `initialize` (2025-11-25 to 2024-11-05) that both know.
//
// Thread-safe: several calls may be under way.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "engram/error.h"
#include "mcp/link.h"
#include "mcp/server_list.h"

namespace engram::mcp {

struct Tool {
    std::string name;
    std::string description;
    std::string input_schema;  // a JSON schema of an object, members in the server's order
    // Arguments that streamable HTTP repeats as headers: the path of names to it, and the header's name behind "Mcp-Param-".
    std::vector<std::pair<std::vector<std::string>, std::string>> headers;
    bool operator==(const Tool &) const = default;
};

struct ToolReply {
    std::string text;  // all of its content, as far as text can say it
    bool failed = false;
};

struct Progress {
    double done = 0, total = 0;  // in the tool's unit; total 0: unknown
    std::string message;
};

class Client {
  public:
    // Starts the server or connects to it, and agrees on a version. io, invalid_argument (the url), incompatible (no version in
    // common), cancelled.
    static Result<std::unique_ptr<Client>> connect(const ServerConfig &config, std::stop_token stop);
    // Over a link that is there already.
    static Result<std::unique_ptr<Client>> connect(const ServerConfig &config, std::unique_ptr<Link> link, std::stop_token stop);

    const std::string &version() const { return version_; }
    const std::string &instructions() const { return instructions_; }  // the server's, for whoever uses its tools

    // All of its tools, in its order. Those whose schema is none are left out. io, cancelled.
    Result<std::vector<Tool>> tools(const std::stop_token &stop);
    // `arguments`: a JSON object. What the server refuses is a reply that failed. io, cancelled.
    Result<ToolReply> call(const Tool &tool, OrderedJson arguments, const std::function<void(const Progress &)> &on_progress,
                           const std::stop_token &stop);
    bool broken() const { return link_->broken(); }
    bool tools_have_changed() { return link_->tools_have_changed(); }

  private:
    Client(ServerConfig config, std::unique_ptr<Link> link) : config_(std::move(config)), link_(std::move(link)) {}
    Result<void> agree(const std::stop_token &stop);
    Result<void> initialize(const std::stop_token &stop);
    Result<protocol::RpcResult<OrderedJson>> ask(const std::string &method, OrderedJson params, Asking asking);
    bool stateless() const;

    const ServerConfig config_;
    const std::unique_ptr<Link> link_;
    std::string version_, instructions_;
};

// A result's content as text: texts, embedded texts, links; of what isn't text its kind and size; where there is none, its
// structured content as JSON. Pure.
std::string content_text(const OrderedJson &result);
// The tools of a tools/list result. Pure.
std::vector<Tool> tools_of(const OrderedJson &result);

}  // namespace engram::mcp
