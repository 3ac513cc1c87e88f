// Agents as an MCP server offers them: tools that list, find, make, ask, fork and delegate; transcripts as resources; what each
// agent is told as a prompt. A caller sees its tenant's agents that have a name, and no conversations. Internal to the server.
#pragma once

#include <string>

#include "server/mcp_server.h"

namespace engram::server {

class McpAgents : public McpOffer {
  public:
    OrderedJson capabilities() const override;
    std::string instructions() const override;

    McpResult list_tools(const McpCall &call, const OrderedJson &params) override;
    McpResult call_tool(const McpCall &call, const OrderedJson &params) override;
    McpResult list_resources(const McpCall &call, const OrderedJson &params) override;
    McpResult list_resource_templates(const McpCall &call, const OrderedJson &params) override;
    McpResult read_resource(const McpCall &call, const OrderedJson &params) override;
    McpResult list_prompts(const McpCall &call, const OrderedJson &params) override;
    McpResult get_prompt(const McpCall &call, const OrderedJson &params) override;
    McpResult complete(const McpCall &call, const OrderedJson &params) override;
};

// The caller's agents that have a name, by id.
Result<std::vector<AgentInfo>> named_agents(const AgentManager &agents);

// The address of an agent's transcript among the resources.
std::string transcript_uri(std::string_view agent);

}  // namespace engram::server
