#include "teams/tool_servers.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <format>
#include <utility>

#include "chat/tool_pattern.h"
#include "core/field_hasher.h"
#include "teams/tool_name.h"

namespace engram {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxListBytes = 16UZ << 20U;
constexpr std::chrono::minutes kAskAgain{1};  // after a server couldn't say what it has

// What a server's list of tools depends on.
std::string digest_of(const mcp::ServerConfig &config) {
    FieldHasher hasher("engram tool server");
    hasher.add(config.command);
    for (const std::string &arg : config.args) hasher.add(arg);
    hasher.add(config.url);
    hasher.add(config.cwd);
    for (const auto &[name, value] : config.env) {
        hasher.add(name);
        hasher.add(value);
    }
    return hasher.finish().hex();
}

// As a server lists them, so that what reads the one reads the other.
std::string text_of(const std::vector<mcp::Tool> &tools) {
    OrderedJson list = OrderedJson::array();
    for (const mcp::Tool &tool : tools) {
        list.push_back({{"name", tool.name},
                        {"description", tool.description},
                        {"inputSchema", OrderedJson::parse(tool.input_schema, nullptr, false)}});
    }
    return OrderedJson{{"tools", std::move(list)}}.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

ToolOutcome failed(std::string text) { return {.text = std::move(text), .failed = true}; }

}  // namespace

struct ToolServers::Server {
    const mcp::ServerConfig config;
    const std::string digest;
    mutable std::mutex mutex;
    std::condition_variable_any connected;             // or tried in vain
    bool is_connecting = false;                        // guarded by mutex: somebody is at it, without the lock
    std::shared_ptr<mcp::Client> client = {};          // guarded by mutex
    std::optional<std::vector<mcp::Tool>> tools = {};  // guarded by mutex; nullopt: nobody has asked
    bool is_stale = false;                             // guarded by mutex: the client may have other tools
    Clock::time_point ask_again = {};                  // guarded by mutex; before that, `trouble` is what there is to say
    std::string trouble = {};                          // guarded by mutex
};

ToolServers::ToolServers(std::vector<mcp::ServerConfig> servers, TeamStore &store) : store_(store) {
    for (mcp::ServerConfig &config : servers) {
        const std::string digest = digest_of(config);
        servers_.push_back(std::make_unique<Server>(std::move(config), digest));
    }
}
ToolServers::~ToolServers() = default;

// One caller at a time connects, and the others wait for it, but not longer than they are wanted.
Result<std::shared_ptr<mcp::Client>> ToolServers::connected(Server &server, const std::stop_token &stop) {
    {
        std::unique_lock lock(server.mutex);
        if (!server.connected.wait(lock, stop, [&] { return !server.is_connecting; })) {
            return fail(ErrorCode::cancelled, std::format("{} is being connected to, which takes too long", server.config.name));
        }
        if (server.client && !server.client->broken()) return server.client;
        server.is_connecting = true;
    }
    auto made = mcp::Client::connect(server.config, stop);
    std::shared_ptr<mcp::Client> before;  // ends without the lock: its server may take its time
    const std::scoped_lock lock(server.mutex);
    server.is_connecting = false;
    server.connected.notify_all();
    if (!made) return std::unexpected(std::move(made.error()));
    before = std::exchange(server.client, std::move(*made));
    server.is_stale = true;
    return server.client;
}

// Asks the server, and remembers what it says.
Result<std::vector<mcp::Tool>> ToolServers::listed(Server &server, mcp::Client &client, const std::stop_token &stop) {
    {
        const std::scoped_lock lock(server.mutex);
        server.is_stale = false;
    }
    auto tools = client.tools(stop);
    if (tools)
        static_cast<void>(store_.keep_tools(server.config.name, server.digest, text_of(*tools)));  // or the next start asks
    const std::scoped_lock lock(server.mutex);
    if (tools) {
        server.tools = *tools;
        server.ask_again = {};
    } else {
        server.is_stale = true;
    }
    return tools;
}

Result<std::vector<mcp::Tool>> ToolServers::listed(Server &server, const std::stop_token &stop) {
    ENGRAM_ASSIGN(const std::shared_ptr<mcp::Client> client, connected(server, stop));
    return listed(server, *client, stop);
}

// What it listed before this process; false: that isn't known.
bool ToolServers::recall(Server &server) {
    const auto kept = store_.known_tools(server.config.name, server.digest);
    const auto json = kept && *kept ? parse_bounded_json(**kept, kMaxListBytes) : fail(ErrorCode::not_found, "");
    if (!json) return false;
    const std::scoped_lock lock(server.mutex);
    if (!server.tools) server.tools = mcp::tools_of(*json);
    return true;
}

// Sees to it that its tools are known. Those that are stay in use when it can't say what has changed.
Result<void> ToolServers::learn(Server &server, const std::stop_token &stop) {
    const auto as_known = [&]() -> Result<void> {  // with the lock held
        if (server.tools) return {};
        return fail(ErrorCode::io, server.trouble);
    };
    bool are_known = false;
    {
        const std::scoped_lock lock(server.mutex);
        const bool is_there = server.client && !server.client->broken();
        if (is_there && server.client->tools_have_changed()) server.is_stale = true;
        are_known = server.tools.has_value();
        if (are_known && !(is_there && server.is_stale)) return {};
        if (Clock::now() < server.ask_again) return as_known();
    }
    if (!are_known && recall(server)) return {};
    const auto asked = listed(server, stop);
    if (asked) return {};
    const std::scoped_lock lock(server.mutex);
    server.ask_again = Clock::now() + kAskAgain;
    server.trouble = asked.error().message;
    return as_known();
}

// After a call: a server that was connected to for it may have other tools than those that are remembered.
void ToolServers::refresh(Server &server, mcp::Client &client, const std::stop_token &stop) {
    {
        const std::scoped_lock lock(server.mutex);
        if (!server.is_stale || client.broken() || stop.stop_requested() || Clock::now() < server.ask_again) return;
    }
    if (listed(server, client, stop)) return;
    const std::scoped_lock lock(server.mutex);
    server.ask_again = Clock::now() + kAskAgain;
}

std::vector<std::string> ToolServers::prepare(const AgentInfo &agent, const std::stop_token &stop) {
    std::vector<std::string> troubles;
    for (const auto &server : servers_) {
        const mcp::ServerConfig &config = server->config;
        if (!std::ranges::contains(config.tenants, agent.tenant) || !server_matches(agent.card.tools, config.name)) continue;
        if (const auto known = learn(*server, stop); !known)
            troubles.push_back(std::format("the tools of {} are missing, since they could not be listed: {}", config.name,
                                           known.error().message));
    }
    return troubles;
}

std::vector<ChatTool> ToolServers::tools(const AgentManager & /*agents*/, const AgentInfo &agent) {
    std::vector<ChatTool> tools;
    for (const auto &server : servers_) {
        const mcp::ServerConfig &config = server->config;
        if (!std::ranges::contains(config.tenants, agent.tenant)) continue;
        const std::scoped_lock lock(server->mutex);
        if (!server->tools) continue;
        for (const mcp::Tool &tool : *server->tools) {
            if (!tool_matches(agent.card.tools, config.name, tool.name)) continue;
            tools.push_back({.name = model_tool_name(config.name, tool.name),
                             .description = tool.description,
                             .parameters = tool.input_schema});
        }
    }
    return tools;
}

std::optional<ToolServers::Found> ToolServers::find(const AgentInfo &agent, std::string_view name) const {
    for (const auto &server : servers_) {
        const mcp::ServerConfig &config = server->config;
        if (!std::ranges::contains(config.tenants, agent.tenant)) continue;
        const std::scoped_lock lock(server->mutex);
        if (!server->tools) continue;
        for (const mcp::Tool &tool : *server->tools) {
            if (model_tool_name(config.name, tool.name) != name) continue;
            if (tool_matches(agent.card.tools, config.name, tool.name)) return Found{.server = server.get(), .tool = tool};
        }
    }
    return std::nullopt;
}

bool ToolServers::needs_approval(const AgentInfo &agent, std::string_view tool) const {
    const auto found = find(agent, tool);
    if (!found) return false;
    const mcp::ServerConfig &config = found->server->config;
    return tool_matches(agent.card.approvals, config.name, found->tool.name) &&
           !std::ranges::contains(config.auto_approve, found->tool.name);
}

ToolOutcome ToolServers::call(const ToolContext &context, const ChatToolCall &call) {
    const auto found = find(context.agent, call.name);
    if (!found) return failed(std::format("There is no tool {} any more.", call.name));
    auto arguments = parse_bounded_json(call.arguments.empty() ? "{}" : call.arguments, mcp::kMaxMessageBytes);
    if (!arguments || !arguments->is_object()) return failed("The arguments must be a JSON object.");
    const auto client = connected(*found->server, context.stop);
    if (!client) return failed(client.error().message);
    const auto on_progress = [&](const mcp::Progress &progress) {
        if (!context.sink) return;
        context.sink(RunToolProgress{.agent = context.agent.id,
                                     .call_id = call.id,
                                     .done = progress.done,
                                     .total = progress.total,
                                     .message = progress.message});
    };
    auto reply = (*client)->call(found->tool, std::move(*arguments), on_progress, context.stop);
    if (!reply) return failed(reply.error().message);
    refresh(*found->server, **client, context.stop);
    if (reply->text.empty()) reply->text = reply->failed ? "The tool failed and didn't say why." : "Done.";
    return {.text = std::move(reply->text), .failed = reply->failed};
}

std::vector<ToolServers::Look> ToolServers::look(std::string_view tenant, const std::stop_token &stop) {
    std::vector<Look> looks;
    for (const auto &server : servers_) {
        if (!std::ranges::contains(server->config.tenants, tenant)) continue;
        Look look{.server = server->config.name};
        auto tools = listed(*server, stop);
        if (tools) {
            look.tools = std::move(*tools);
            const std::scoped_lock lock(server->mutex);
            if (server->client) look.version = server->client->version();
        } else {
            look.trouble = tools.error().message;
        }
        looks.push_back(std::move(look));
    }
    return looks;
}

}  // namespace engram
