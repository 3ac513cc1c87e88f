#include "server/mcp_agents.h"

#include <algorithm>
#include <format>
#include <utility>

#include "agents/agent_json.h"

namespace engram::server {

using namespace protocol;
namespace mcp = protocol::mcp;

namespace {

constexpr std::string_view kAgents = "engram://agents/";
constexpr std::string_view kTranscript = "/transcript";
constexpr std::string_view kAsJson = ".json";
constexpr std::size_t kMostCompletions = 100;

std::unexpected<RpcError> rpc_error(const Error &error) {
    const bool theirs = error.code == ErrorCode::invalid_argument || error.code == ErrorCode::not_found;
    return rpc_fail(theirs ? kRpcInvalidParams : kRpcInternalError, error.message);
}

struct Page {
    std::vector<AgentInfo> agents;
    std::string next;  // cursor; empty: there are no more
};

RpcResult<Page> page_of(const McpCall &call, const OrderedJson &params) {
    ENGRAM_ASSIGN(const std::string after, mcp::read_cursor(params));
    auto all = named_agents(*call.caller.agents);
    if (!all) return rpc_error(all.error());
    Page page;
    for (AgentInfo &info : *all) {
        if (!after.empty() && info.id <= after) continue;
        if (page.agents.size() == mcp::kPageSize) {
            page.next = mcp::cursor_after(page.agents.back().id);
            break;
        }
        page.agents.push_back(std::move(info));
    }
    return page;
}

OrderedJson list_json(const char *name, OrderedJson items, const std::string &next) {
    OrderedJson json{{name, std::move(items)}};
    if (!next.empty()) json["nextCursor"] = next;
    return json;
}

// What a person reads.
std::string transcript_text(const AgentInfo &info, std::span<const Message> messages) {
    std::string text;
    if (!info.system_prompt.empty()) text += std::format("system: {}\n\n", info.system_prompt);
    for (const Message &message : messages) {
        text += std::format("{}: {}\n", message.role, message.content);
        if (!message.tool_calls.empty()) text += std::format("calls: {}\n", message.tool_calls);
        text += '\n';
    }
    return text;
}

struct TranscriptName {
    std::string agent;
    bool json = false;
};

std::optional<TranscriptName> transcript_name(std::string_view uri) {
    if (!uri.starts_with(kAgents)) return std::nullopt;
    uri.remove_prefix(kAgents.size());
    const bool json = uri.ends_with(kAsJson);
    if (json) uri.remove_suffix(kAsJson.size());
    if (!uri.ends_with(kTranscript)) return std::nullopt;
    uri.remove_suffix(kTranscript.size());
    return TranscriptName{.agent = std::string(uri), .json = json};
}

OrderedJson user_message(std::string_view text) { return {{"role", "user"}, {"content", mcp::text_content(text)}}; }

}  // namespace

Result<std::vector<AgentInfo>> named_agents(const AgentManager &agents) {
    ENGRAM_ASSIGN(std::vector<AgentInfo> list, agents.list());
    std::erase_if(list, [](const AgentInfo &info) { return info.conversation; });
    return list;
}

std::string transcript_uri(std::string_view agent) { return std::format("{}{}{}", kAgents, agent, kTranscript); }

OrderedJson McpAgents::capabilities() const {
    const OrderedJson empty = OrderedJson::object();
    return {{"tools", empty}, {"resources", empty}, {"prompts", empty}, {"completions", empty}, {"logging", empty}};
}

std::string McpAgents::instructions() const {
    return "Agents with a lasting memory. find_agents or list_agents says who is there and what they are good at; ask_agent "
           "gives "
           "one a message, and it answers knowing all that was said to it before; fork_agent makes a copy of its memory to try "
           "something with; delegate lets one agent give another a task.";
}

McpResult McpAgents::list_resources(const McpCall &call, const OrderedJson &params) {
    ENGRAM_ASSIGN(const Page page, page_of(call, params));
    OrderedJson list = OrderedJson::array();
    for (const AgentInfo &info : page.agents) {
        list.push_back(
            {{"uri", transcript_uri(info.id)},
             {"name", info.id},
             {"title", std::format("Transcript of {}", info.id)},
             {"description", std::format("All that was said to {} and by it ({} messages).", info.id, info.n_messages)},
             {"mimeType", "text/plain"}});
    }
    return list_json("resources", std::move(list), page.next);
}

McpResult McpAgents::list_resource_templates(const McpCall &, const OrderedJson &params) {
    ENGRAM_TRY(mcp::read_cursor(params));
    const std::string uri = transcript_uri("{id}");
    return OrderedJson{{"resourceTemplates",
                        {{{"uriTemplate", uri},
                          {"name", "transcript"},
                          {"title", "An agent's transcript"},
                          {"description", "All that was said to an agent and by it, as text."},
                          {"mimeType", "text/plain"}},
                         {{"uriTemplate", uri + std::string(kAsJson)},
                          {"name", "transcript_json"},
                          {"title", "An agent's transcript as JSON"},
                          {"description", "The same as a list of messages, with roles, times and calls of tools."},
                          {"mimeType", "application/json"}}}}};
}

McpResult McpAgents::read_resource(const McpCall &call, const OrderedJson &params) {
    const auto uri = Field(params)["uri"].text_that_is_not_empty();
    if (!uri) return invalid_params(uri.error());
    const std::optional<TranscriptName> name = transcript_name(*uri);
    const auto info = name ? call.caller.agents->get(name->agent) : fail(ErrorCode::not_found, "");
    if (!info || info->conversation) {
        const bool newer = call.meta.era == mcp::Era::stateless;
        return rpc_fail(newer ? kRpcInvalidParams : mcp::kResourceNotFound, "there is no such resource", {{"uri", *uri}});
    }
    const auto messages = call.caller.agents->transcript(name->agent);
    if (!messages) return rpc_error(messages.error());
    const auto dumped = [](const OrderedJson &json) { return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace); };
    OrderedJson contents = name->json
                               ? mcp::text_resource(*uri, "application/json", dumped({{"messages", transcript_json(*messages)}}))
                               : mcp::text_resource(*uri, "text/plain", transcript_text(*info, *messages));
    return OrderedJson{{"contents", OrderedJson::array({std::move(contents)})}};
}

McpResult McpAgents::list_prompts(const McpCall &call, const OrderedJson &params) {
    ENGRAM_ASSIGN(const Page page, page_of(call, params));
    OrderedJson list = OrderedJson::array();
    for (const AgentInfo &info : page.agents) {
        if (info.system_prompt.empty()) continue;
        list.push_back(
            {{"name", info.id},
             {"description", info.description.empty() ? std::format("The role of {}.", info.id) : info.description},
             {"arguments", {{{"name", "task"}, {"description", "What is to be done in this role."}, {"required", false}}}}});
    }
    return list_json("prompts", std::move(list), page.next);
}

McpResult McpAgents::get_prompt(const McpCall &call, const OrderedJson &params) {
    const Field body(params);
    const auto name = body["name"].text_that_is_not_empty();
    if (!name) return invalid_params(name.error());
    const auto task = body["arguments"]["task"].text_or("");
    if (!task) return invalid_params(task.error());
    const auto info = call.caller.agents->get(*name);
    if (!info || info->conversation || info->system_prompt.empty()) {
        return rpc_fail(kRpcInvalidParams, std::format("there is no prompt {}", name->substr(0, 128)));
    }
    OrderedJson messages = OrderedJson::array({user_message(info->system_prompt)});
    if (!task->empty()) messages.push_back(user_message(*task));
    return OrderedJson{{"description", info->description}, {"messages", std::move(messages)}};
}

McpResult McpAgents::complete(const McpCall &call, const OrderedJson &params) {
    const Field body(params);
    const auto type = body["ref"]["type"].text();
    if (!type) return invalid_params(type.error());
    const auto name = body["argument"]["name"].text();
    if (!name) return invalid_params(name.error());
    const auto begun = body["argument"]["value"].text();
    if (!begun) return invalid_params(begun.error());
    if (*type != "ref/prompt" && *type != "ref/resource") {
        return rpc_fail(kRpcInvalidParams, "ref.type must be ref/prompt or ref/resource");
    }
    OrderedJson values = OrderedJson::array();
    std::size_t total = 0;
    if (*type == "ref/resource" && *name == "id") {
        const auto agents = named_agents(*call.caller.agents);
        if (!agents) return rpc_error(agents.error());
        for (const AgentInfo &info : *agents) {
            if (!info.id.starts_with(*begun)) continue;
            if (++total <= kMostCompletions) values.push_back(info.id);
        }
    }
    const bool more = total > kMostCompletions;
    return OrderedJson{{"completion", {{"values", std::move(values)}, {"total", total}, {"hasMore", more}}}};
}

}  // namespace engram::server
