#include "teams/tool_servers.h"

#include <algorithm>
#include <format>

#include "chat/tool_pattern.h"
#include "core/field_hasher.h"
#include "teams/tool_name.h"

namespace engram {
namespace {

constexpr std::size_t kMaxListBytes = 16UZ << 20U;

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
    std::mutex connecting;  // one at a time; never taken with `mutex` held
    mutable std::mutex mutex;
    std::shared_ptr<mcp::Client> client;               // guarded by mutex
    std::optional<std::vector<mcp::Tool>> tools = {};  // guarded by mutex; nullopt: nobody has asked
};

ToolServers::ToolServers(std::vector<mcp::ServerConfig> servers, TeamStore &store) : store_(store) {
    for (mcp::ServerConfig &config : servers) {
        const std::string digest = digest_of(config);
        servers_.push_back(std::make_unique<Server>(std::move(config), digest));
    }
}
ToolServers::~ToolServers() = default;

Result<std::shared_ptr<mcp::Client>> ToolServers::connected(Server &server, const std::stop_token &stop) {
    const std::scoped_lock one(server.connecting);
    {
        const std::scoped_lock lock(server.mutex);
        if (server.client && !server.client->broken()) return server.client;
    }
    ENGRAM_ASSIGN(std::shared_ptr<mcp::Client> client, mcp::Client::connect(server.config, stop));
    const std::scoped_lock lock(server.mutex);
    server.client = client;
    return client;
}

// Asks the server, and remembers what it says.
Result<std::vector<mcp::Tool>> ToolServers::listed(Server &server, const std::stop_token &stop) {
    ENGRAM_ASSIGN(const std::shared_ptr<mcp::Client> client, connected(server, stop));
    ENGRAM_ASSIGN(std::vector<mcp::Tool> tools, client->tools(stop));
    static_cast<void>(store_.keep_tools(server.config.name, server.digest, text_of(tools)));  // the next start asks again
    const std::scoped_lock lock(server.mutex);
    server.tools = tools;
    return tools;
}

std::vector<mcp::Tool> ToolServers::known(Server &server) {
    std::shared_ptr<mcp::Client> client;
    {
        const std::scoped_lock lock(server.mutex);
        client = server.client;
        if (server.tools && (!client || !client->tools_have_changed())) return *server.tools;
    }
    if (!client) {
        const auto kept = store_.known_tools(server.config.name, server.digest);
        const auto json = kept && *kept ? parse_bounded_json(**kept, kMaxListBytes) : fail(ErrorCode::not_found, "");
        if (json) {
            const std::scoped_lock lock(server.mutex);
            server.tools = mcp::tools_of(*json);
            return *server.tools;
        }
    }
    auto asked = listed(server, {});
    if (asked) return std::move(*asked);
    const std::scoped_lock lock(server.mutex);
    return server.tools.value_or(std::vector<mcp::Tool>());
}

std::vector<ChatTool> ToolServers::tools(const AgentManager & /*agents*/, const AgentInfo &agent) {
    std::vector<ChatTool> tools;
    for (const auto &server : servers_) {
        const mcp::ServerConfig &config = server->config;
        if (!std::ranges::contains(config.tenants, agent.tenant) || !server_matches(agent.card.tools, config.name)) continue;
        for (mcp::Tool &tool : known(*server)) {
            if (!tool_matches(agent.card.tools, config.name, tool.name)) continue;
            tools.push_back({.name = model_tool_name(config.name, tool.name),
                             .description = std::move(tool.description),
                             .parameters = std::move(tool.input_schema)});
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
