#include "server/openapi.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "engram/error.h"

namespace engram::server {
namespace {

using Json = OrderedJson;

struct Operation {
    std::string_view method, path, tag, summary;
    std::string_view request = {};       // the name of a schema, or a media type of plain bytes; empty: no body
    std::string_view answer = "Object";  // likewise
    std::string_view status = "200";
    std::string_view query = {};  // names, with commas between
    bool open = false;            // needs no key
};

constexpr auto kOperations = std::to_array<Operation>({
    {"post", "/v1/messages", "Anthropic", "Create a message", "AnthropicMessages"},
    {"post", "/v1/messages/count_tokens", "Anthropic", "Count the tokens that the same message request would have",
     "AnthropicMessages"},
    {"post", "/v1/chat/completions", "OpenAI", "Create a chat completion", "ChatCompletion"},
    {"post", "/v1/completions", "OpenAI", "Go on with a text", "Completion"},
    {"post", "/v1/embeddings", "OpenAI", "Texts as vectors, where the model makes such; else 501", "Embedding"},
    {"post", "/v1/responses", "OpenAI", "Create a response", "Response"},
    {"post", "/v1/responses/input_tokens", "OpenAI", "Count the tokens of a response's input", "Response"},
    {"get", "/v1/responses/{id}", "OpenAI", "A stored response"},
    {"delete", "/v1/responses/{id}", "OpenAI", "Forget a stored response"},
    {"get", "/v1/responses/{id}/input_items", "OpenAI", "A stored response's input", "", "Object", "200", "order,limit,after"},
    {"get", "/v1/models", "Models", "The models, in Anthropic's shape with the header anthropic-version, else in OpenAI's", "",
     "Object", "200", "before_id,after_id,limit"},
    {"get", "/v1/models/{id}", "Models", "A model"},
    {"post", "/v1/models/load", "Models", "Answer with another model from now on; when it can't be loaded, the old one goes on",
     "ModelLoad", "LoadedModel"},
    {"get", "/v1/agents", "Agents", "The tenant's agents", "", "AgentList", "200",
     "conversations,text,skill,label,owner,model,tool,limit,after"},
    {"post", "/v1/agents", "Agents", "Create an agent", "NewAgent", "Agent", "201"},
    {"post", "/v1/agents/batch", "Agents", "Turns of several agents, decoded together", "Batch", "BatchAnswer"},
    {"post", "/v1/agents/import", "Agents", "Take in an exported agent", "application/octet-stream", "Agent", "201",
     "as,recompute"},
    {"get", "/v1/agents/{id}", "Agents", "An agent", "", "Agent"},
    {"patch", "/v1/agents/{id}", "Agents",
     "Change what an agent is told and what is said of it, rename or pin it, or give it to the loaded model", "AgentChange",
     "Agent"},
    {"delete", "/v1/agents/{id}", "Agents", "Delete an agent and the memory that only it needs"},
    {"post", "/v1/agents/{id}/turn", "Agents", "One turn; with stream, server-sent events prefill, text, then done or error",
     "Turn", "TurnAnswer"},
    {"post", "/v1/agents/{id}/run", "Agents",
     "The agent acts: it calls tools, gives work to colleagues, and answers; with stream, server-sent events text, thinking, "
     "prefill, "
     "tool_begins, tool_progress, tool_ends, then done or error",
     "Run", "RunAnswer"},
    {"post", "/v1/agents/{id}/delegate", "Agents",
     "The agent gives a task to one of its colleagues, and remembers the task and the answer; with stream, the events of a run",
     "Delegation", "RunAnswer"},
    {"get", "/v1/tools", "Agents", "The tools and agents of the configured servers that the tenant may use", "", "Object"},
    {"post", "/v1/agents/{id}/fork", "Agents", "A copy that goes on from the same memory", "Fork", "Agent", "201"},
    {"get", "/v1/agents/{id}/transcript", "Agents", "What was said", "", "Transcript"},
    {"get", "/v1/agents/{id}/export", "Agents", "The agent with its KV in one file", "", "application/octet-stream"},
    {"post", "/v1/agents/{id}/evict", "Agents", "Take its memory out of the context", "Evict", "Agent"},
    {"post", "/v1/agents/{id}/pin", "Agents", "Never evict its memory from disk", "", "Agent"},
    {"post", "/v1/agents/{id}/unpin", "Agents", "Let it be evicted again", "", "Agent"},
    {"post", "/v1/agents/{id}/prewarm", "Agents", "Bring its memory from disk into host memory", "", "Agent"},
    {"post", "/v1/agents/{id}/save", "Agents", "Wait until its memory is on disk", "", "Agent"},
    {"post", "/v1/render", "Prompts",
     "The text and tokens that messages and tools become; the body is a chat completion's, a response's or a message's",
     "ChatCompletion", "Prompt"},
    {"post", "/v1/divergence", "Prompts", "Where the prompt leaves what was said before in the tenant's nearest conversation",
     "ChatCompletion", "Divergence"},
    {"post", "/v1/agents/{id}/divergence", "Agents", "Where the prompt leaves what the agent remembers", "ChatCompletion",
     "Divergence"},
    {"get", "/v1/agents/{id}/stats", "Agents", "Where its memory is, and what it used", "", "AgentStats"},
    {"post", "/v1/tokenize", "Prompts", "A text's tokens", "Text", "Tokens"},
    {"post", "/mcp", "MCP", "A message of the Model Context Protocol (streamable HTTP), a JSON-RPC object", "Object"},
    {"delete", "/mcp", "MCP", "End a session of MCP", "", "Object", "204"},
    {"post", "/v1/detokenize", "Prompts", "The text of tokens", "Tokens", "Text"},
    {"post", "/v1/workflows", "Workflows",
     "Run a workflow; with stream, server-sent events run, started, text, waiting, attempt_failed, finished, failed, skipped, "
     "then end",
     "NewWorkflowRun", "WorkflowRun", "202"},
    {"get", "/v1/workflows", "Workflows", "The tenant's newest runs"},
    {"post", "/v1/workflows/validate", "Workflows", "Check a definition", "WorkflowDefinition"},
    {"get", "/v1/workflows/{id}", "Workflows", "A run, and what its nodes have come to", "", "WorkflowRun"},
    {"get", "/v1/workflows/{id}/events", "Workflows", "What has happened in a run, and what happens, as server-sent events", "",
     "text/event-stream"},
    {"post", "/v1/workflows/{id}/resume", "Workflows", "Go on with a run that has failed, was cancelled or interrupted",
     "WorkflowResume", "WorkflowRun", "202"},
    {"post", "/v1/workflows/{id}/approve", "Workflows",
     "Allow or refuse the calls of a node that waits for a person; the run goes on", "WorkflowApproval", "WorkflowRun", "202"},
    {"post", "/v1/workflows/{id}/cancel", "Workflows", "End a run", "", "WorkflowRun", "202"},
    {"get", "/v1/store", "Operation", "Bytes by tier"},
    {"get", "/v1/usage", "Operation",
     "What was used, in rows by day, tenant or agent (also as CSV), and what is stored; other tenants' with scope admin", "",
     "Usage", "200", "from,to,by,tenant,format"},
    {"get", "/.well-known/agent-card.json", "A2A", "The server's agent card", "", "Object", "200", "", true},
    {"get", "/a2a/agents/{id}/.well-known/agent-card.json", "A2A", "An agent's card"},
    {"post", "/a2a", "A2A", "JSON-RPC: every method of A2A 1.0 and 0.3, for the server's agents", "A2aRpc"},
    {"post", "/a2a/", "A2A", "The same: some clients add the slash to any address", "A2aRpc"},
    {"post", "/a2a/message:send", "A2A", "Give the server's agents a message; answers when the task is over or needs something",
     "A2aMessage"},
    {"post", "/a2a/message:stream", "A2A", "Likewise, with the task's events as they come", "A2aMessage", "text/event-stream"},
    {"get", "/a2a/tasks", "A2A", "Tasks, the one that changed last first", "", "Object", "200",
     "contextId,status,pageSize,pageToken,historyLength,statusTimestampAfter,includeArtifacts"},
    {"get", "/a2a/tasks/{task}", "A2A", "A task", "", "Object", "200", "historyLength"},
    {"post", "/a2a/tasks/{task}:cancel", "A2A", "Cancel a task"},
    {"get", "/a2a/tasks/{task}:subscribe", "A2A", "A task's events", "", "text/event-stream"},
    {"post", "/a2a/tasks/{task}:subscribe", "A2A", "A task's events", "", "text/event-stream"},
    {"post", "/a2a/tasks/{task}/pushNotificationConfigs", "A2A", "Where to tell of a task's changes", "A2aHook"},
    {"get", "/a2a/tasks/{task}/pushNotificationConfigs", "A2A", "Where a task's changes are told"},
    {"get", "/a2a/tasks/{task}/pushNotificationConfigs/{config}", "A2A", "One of these places"},
    {"delete", "/a2a/tasks/{task}/pushNotificationConfigs/{config}", "A2A", "Tell nothing there any more"},
    {"get", "/a2a/extendedAgentCard", "A2A", "The card for whoever has a key"},
    {"post", "/a2a/agents/{id}", "A2A", "JSON-RPC: every method of A2A 1.0 and 0.3, for this agent", "A2aRpc"},
    {"post", "/a2a/agents/{id}/", "A2A", "The same: some clients add the slash to any address", "A2aRpc"},
    {"post", "/a2a/agents/{id}/message:send", "A2A",
     "Give this agent a message; answers when the task is over or needs something", "A2aMessage"},
    {"post", "/a2a/agents/{id}/message:stream", "A2A", "Likewise, with the task's events as they come", "A2aMessage",
     "text/event-stream"},
    {"get", "/a2a/agents/{id}/tasks", "A2A", "Tasks, the one that changed last first", "", "Object", "200",
     "contextId,status,pageSize,pageToken,historyLength,statusTimestampAfter,includeArtifacts"},
    {"get", "/a2a/agents/{id}/tasks/{task}", "A2A", "A task", "", "Object", "200", "historyLength"},
    {"post", "/a2a/agents/{id}/tasks/{task}:cancel", "A2A", "Cancel a task"},
    {"get", "/a2a/agents/{id}/tasks/{task}:subscribe", "A2A", "A task's events", "", "text/event-stream"},
    {"post", "/a2a/agents/{id}/tasks/{task}:subscribe", "A2A", "A task's events", "", "text/event-stream"},
    {"post", "/a2a/agents/{id}/tasks/{task}/pushNotificationConfigs", "A2A", "Where to tell of a task's changes", "A2aHook"},
    {"get", "/a2a/agents/{id}/tasks/{task}/pushNotificationConfigs", "A2A", "Where a task's changes are told"},
    {"get", "/a2a/agents/{id}/tasks/{task}/pushNotificationConfigs/{config}", "A2A", "One of these places"},
    {"delete", "/a2a/agents/{id}/tasks/{task}/pushNotificationConfigs/{config}", "A2A", "Tell nothing there any more"},
    {"get", "/a2a/agents/{id}/extendedAgentCard", "A2A", "The card for whoever has a key"},
    {"get", "/health/live", "Operation", "The process answers", "", "Object", "200", "", true},
    {"get", "/health/ready", "Operation", "The model answers; 503 while the server stops", "", "Object", "200", "", true},
    {"get", "/metrics", "Operation", "Prometheus metrics", "", "text/plain"},
    {"get", "/openapi.json", "Operation", "This document", "", "Object", "200", "", true},
});

// Schemas as JSON texts. The vendors' requests are described by the vendors; here stands what can't be left out.
struct Schema {
    std::string_view name, json;
};
constexpr auto kSchemas = std::to_array<Schema>({
    {"Object", R"({"type":"object"})"},
    {"Error",
     R"({"type":"object","required":["error"],"properties":{"error":{"type":"object","required":["message","type"],"properties":{
        "message":{"type":"string"},"type":{"type":"string"},"param":{"type":["string","null"]},"code":{"type":["string","null"]}}}}})"},
    {"AnthropicMessages",
     R"({"type":"object","required":["model","messages"],"description":"As Anthropic documents it.","properties":{
        "model":{"type":"string"},"max_tokens":{"type":"integer","minimum":0},"messages":{"type":"array","items":{"type":"object"},"minItems":1},
        "system":{"type":["string","array"]},"tools":{"type":"array"},"tool_choice":{"type":"object"},"stream":{"type":"boolean"}}})"},
    {"ChatCompletion", R"({"type":"object","required":["messages"],"description":"As OpenAI documents it.","properties":{
        "model":{"type":"string"},"messages":{"type":"array","items":{"type":"object"},"minItems":1},"tools":{"type":"array"},
        "max_completion_tokens":{"type":["integer","null"]},"stream":{"type":["boolean","null"]}}})"},
    {"Completion", R"({"type":"object","required":["prompt"],"description":"As OpenAI documents it.","properties":{
        "model":{"type":"string"},"prompt":{"type":["string","array"]},"max_tokens":{"type":["integer","null"]}}})"},
    {"WorkflowDefinition",
     R"({"type":"object","required":["definition"],"properties":{"definition":{"type":"string","description":"YAML"},
        "file":{"type":"string","description":"by which complaints name it"}}})"},
    {"NewWorkflowRun",
     R"({"type":"object","required":["definition"],"properties":{"definition":{"type":"string","description":"YAML"},
        "file":{"type":"string"},"inputs":{"type":"object"},"stream":{"type":"boolean","default":false}}})"},
    {"WorkflowApproval", R"({"type":"object","required":["node","allow"],"properties":{"node":{"type":"string"},
        "item":{"type":"integer","minimum":0},"allow":{"type":"boolean"}}})"},
    {"WorkflowResume", R"({"type":"object","properties":{"stream":{"type":"boolean","default":false}}})"},
    {"WorkflowRun", R"({"type":"object","required":["id","workflow","state"],"properties":{"id":{"type":"string"},
        "workflow":{"type":"string"},"file":{"type":"string"},
        "state":{"enum":["running","interrupted","waiting","finished","failed","cancelled"]},"error":{"type":["string","null"]},
        "inputs":{"type":"object"},"outputs":{"type":["object","null"]},"created_ms":{"type":"integer"},
        "ended_ms":{"type":["integer","null"]},"steps":{"type":"array","items":{"type":"object"}}}})"},
    {"Embedding",
     R"({"type":"object","required":["input"],"properties":{"model":{"type":"string"},"input":{"type":["string","array"]}}})"},
    {"ModelLoad", R"({"type":"object","required":["path"],"properties":{"path":{"type":"string"},"name":{"type":"string"},
        "context_tokens":{"type":"integer","minimum":1},"wait_seconds":{"type":"integer","minimum":0,"maximum":600,"default":30}}})"},
    {"LoadedModel", R"({"type":"object","required":["id","path","context_tokens","fingerprint"],"properties":{
        "id":{"type":"string"},"path":{"type":"string"},"context_tokens":{"type":"integer"},"fingerprint":{"type":"string"}}})"},
    {"Response", R"({"type":"object","description":"As OpenAI documents it.","properties":{"model":{"type":"string"},
        "input":{"type":["string","array"]},"instructions":{"type":["string","null"]},"previous_response_id":{"type":["string","null"]},
        "store":{"type":["boolean","null"]},"stream":{"type":["boolean","null"]}}})"},
    {"Agent", R"({"type":"object","required":["id","tenant","tokens","messages","turns","pinned","tier"],"properties":{
        "id":{"type":"string"},"tenant":{"type":"string"},"model":{"type":"string"},"description":{"type":"string"},
        "system_prompt":{"type":"string"},"tools":{"type":"array"},"forked_from":{"type":"string"},"tokens":{"type":"integer"},
        "messages":{"type":"integer"},"turns":{"type":"integer"},"created_ms":{"type":"integer"},"updated_ms":{"type":"integer"},
        "last_used_ms":{"type":"integer"},"pinned":{"type":"boolean"},
        "retention":{"enum":["standard","5m","1h","24h","forever"]},"conversation":{"type":"boolean"},"session":{"type":"string"},
        "expires_ms":{"type":"integer"},"tier":{"enum":["hot","memory","disk","none"]},"disk_bytes":{"type":"integer"},
        "disk_bytes_exclusive":{"type":"integer"},"memory_bytes":{"type":"integer"},
        "card":{"$ref":"#/components/schemas/AgentCard"}}})"},
    {"AgentList",
     R"({"type":"object","required":["agents"],"properties":{"agents":{"type":"array","items":{"$ref":"#/components/schemas/Agent"}},
        "has_more":{"type":"boolean","description":"With limit: whether there are more; the last one's id is the next page's after."}}})"},
    {"NewAgent",
     R"({"type":"object","required":["id"],"properties":{"id":{"type":"string","pattern":"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"},
        "system_prompt":{"type":"string"},"description":{"type":"string"},"tools":{"type":"array","description":"Function tools in OpenAI's shape."},
        "retention":{"enum":["standard","5m","1h","24h","forever"],"default":"standard"},
        "card":{"$ref":"#/components/schemas/AgentCard"}}})"},
    {"AgentCard", R"({"type":"object","description":"What others may know of an agent.","properties":{"owner":{"type":"string"},
        "labels":{"type":"array","items":{"type":"string"}},"colleagues":{"type":"array","items":{"type":"string"}},
        "managed_by":{"type":"string"},"team":{"type":"string"},"compaction":{"enum":["stop","keep_last","summarise"],"default":"stop"},
        "tools":{"type":"array","items":{"type":"string"}},"approvals":{"type":"array","items":{"type":"string"}},"skills":{"type":"array","items":{"type":"object","required":["id"],"properties":{
        "id":{"type":"string"},"name":{"type":"string"},"description":{"type":"string"},
        "tags":{"type":"array","items":{"type":"string"}},"examples":{"type":"array","items":{"type":"string"}}}}}}})"},
    {"AgentChange", R"({"type":"object","properties":{"id":{"type":"string"},"pinned":{"type":"boolean"},
        "system_prompt":{"type":"string"},"description":{"type":"string"},"tools":{"type":"array"},
        "card":{"$ref":"#/components/schemas/AgentCard"},
        "retention":{"enum":["standard","5m","1h","24h","forever"]},
        "adopt":{"type":"boolean","description":"The loaded model goes on with an agent of another model's."}}})"},
    {"Turn",
     R"({"type":"object","required":["prompt"],"properties":{"prompt":{"type":"string"},"role":{"enum":["user","system","tool"]},
        "max_tokens":{"type":"integer","minimum":0,"default":512},"stream":{"type":"boolean"},"priority":{"type":"integer"},
        "temperature":{"type":"number"},"top_p":{"type":"number"},"top_k":{"type":"integer"},"min_p":{"type":"number"},
        "seed":{"type":"integer"},"stop":{"type":["string","array"]},"logit_bias":{"type":"object"},"grammar":{"type":"string"}}})"},
    {"TurnAnswer",
     R"({"type":"object","required":["agent","answer","finish","prompt_tokens","reused_tokens","computed_tokens","tier"],"properties":{
        "agent":{"type":"string"},"answer":{"type":"string"},"finish":{"enum":["stop","stop_string","length","context","cancelled"]},
        "answer_tokens":{"type":"integer"},"prompt_tokens":{"type":"integer"},"reused_tokens":{"type":"integer"},
        "computed_tokens":{"type":"integer"},"tier":{"enum":["hot","memory","disk","none"]},"tool_calls":{"type":"array"},
        "miss":{"type":["object","null"]},"committed":{"type":"boolean"},"warning":{"type":["string","null"]}}})"},
    {"Run",
     R"({"type":"object","properties":{"prompt":{"type":"string","description":"None: the agent goes on with calls that wait."},
        "approvals":{"type":"object","description":"By the call's id in pending.","additionalProperties":{"enum":["allow","deny"]}},
        "max_tokens":{"type":"integer","minimum":1,"default":1024},"stream":{"type":"boolean"},"thinks":{"type":"boolean"},
        "priority":{"type":"integer"},"schema":{"type":"object","description":"The JSON schema of the last answer."},
        "limits":{"type":"object","properties":{"steps":{"type":"integer","default":24},"seconds":{"type":"integer","default":600},
        "tokens":{"type":"integer","default":0},"result_tokens":{"type":"integer","default":4096},"depth":{"type":"integer","default":4}}},
        "grammar":{"type":"string","description":"GBNF of each answer."},"temperature":{"type":"number"},"top_p":{"type":"number"},"seed":{"type":"integer"}}})"},
    {"Delegation",
     R"({"type":"object","required":["to"],"properties":{
     "to":{"type":"string","description":"a colleague that the agent's card names, here or at another server"},
     "task":{"type":"string","description":"None, with approvals: work that waits goes on."},
     "approvals":{"type":"object","description":"By the call's id in pending.","additionalProperties":{"enum":["allow","deny"]}},
     "stream":{"type":"boolean"},"limits":{"type":"object"}}})"},
    {"RunAnswer",
     R"({"type":"object","required":["agent","answer","end","pending","steps","usage"],"properties":{"agent":{"type":"string"},
        "answer":{"type":"string"},"end":{"enum":["answered","approval","length","context","steps","time","tokens","cancelled","failed"]},
        "pending":{"type":"array","items":{"type":"object","required":["id","agent","name","arguments"],"properties":{
        "id":{"type":"string","description":"Of a colleague's call with the colleague's name before it: pilot/call_1."},
        "agent":{"type":"string"},"name":{"type":"string"},"arguments":{}}}},"steps":{"type":"array","items":{"type":"object"}},
        "usage":{"type":"object"},"thinking":{"type":"string"},"committed":{"type":"boolean"},"warning":{"type":["string","null"]}}})"},
    {"Batch", R"({"type":"object","required":["turns"],"properties":{"turns":{"type":"array","minItems":1,"maxItems":256,"items":{
        "allOf":[{"$ref":"#/components/schemas/Turn"},{"type":"object","required":["agent"],"properties":{"agent":{"type":"string"}}}]}}}})"},
    {"BatchAnswer",
     R"({"type":"object","required":["results"],"properties":{"results":{"type":"array","items":{"type":"object"}}}})"},
    {"Fork", R"({"type":"object","required":["id"],"properties":{"id":{"type":"string"}}})"},
    {"Transcript",
     R"({"type":"object","required":["messages"],"properties":{"messages":{"type":"array","items":{"type":"object","required":["role","content"]}}}})"},
    {"Evict", R"({"type":"object","properties":{"to":{"enum":["disk","memory"],"default":"disk"}}})"},
    {"Prompt", R"({"type":"object","required":["text","tokens","known_tokens"],"properties":{"text":{"type":"string"},
        "tokens":{"type":"array","items":{"type":"integer"}},"known_tokens":{"type":"integer"},"agent":{"type":["string","null"]},
        "repairs":{"type":"array","items":{"type":"string"}}}})"},
    {"Divergence",
     R"({"type":"object","required":["agent","diverges","prompt_tokens","remembered_tokens","common_tokens","explanation"],
        "properties":{"agent":{"type":["string","null"]},"diverges":{"type":"boolean"},"prompt_tokens":{"type":"integer"},
        "remembered_tokens":{"type":"integer"},"common_tokens":{"type":"integer"},"explanation":{"type":"string"},
        "place":{"type":["string","null"]},"before":{"type":"string"},"prompt":{"type":"string"},"remembered":{"type":"string"},
        "repairs":{"type":"array","items":{"type":"string"}}}})"},
    {"AgentStats", R"({"type":"object","required":["agent","usage"],"properties":{
        "agent":{"$ref":"#/components/schemas/Agent"},"usage":{"type":"object"}}})"},
    {"Usage", R"({"type":"object","required":["usage","stored"],"properties":{"usage":{"type":"array","items":{"type":"object",
        "properties":{"day":{"type":"string"},"tenant":{"type":"string"},"agent":{"type":"string"},"requests":{"type":"integer"},
        "computed_tokens":{"type":"integer"},"reused_tokens":{"type":"integer"},"generated_tokens":{"type":"integer"},
        "stored_byte_hours":{"type":"number"}}}},"stored":{"type":"array","items":{"type":"object","required":["tenant","disk","memory"]}}}})"},
    {"A2aRpc", R"({"type":"object","required":["jsonrpc","method"],"properties":{"jsonrpc":{"const":"2.0"},"id":{},
        "method":{"type":"string"},"params":{"type":"object"}}})"},
    {"A2aMessage", R"({"type":"object","required":["message"],"properties":{"message":{"type":"object","required":
        ["messageId","role","parts"]},"configuration":{"type":"object"},"metadata":{"type":"object"}}})"},
    {"A2aHook", R"({"type":"object","required":["url"],"properties":{"id":{"type":"string"},"url":{"type":"string"},
        "token":{"type":"string"},"authentication":{"type":"object"}}})"},
    {"Text", R"({"type":"object","required":["text"],"properties":{"text":{"type":"string"}}})"},
    {"Tokens",
     R"({"type":"object","required":["tokens"],"properties":{"tokens":{"type":"array","items":{"type":"integer","minimum":0}}}})"},
});

Json content_of(std::string_view name) {
    if (name.contains('/')) return {{std::string(name), {{"schema", Json::object()}}}};
    return {{"application/json", {{"schema", {{"$ref", "#/components/schemas/" + std::string(name)}}}}}};
}

Json parameters_of(const Operation &operation) {
    Json parameters = Json::array();
    for (std::size_t open = operation.path.find('{'); open != std::string_view::npos; open = operation.path.find('{', open + 1)) {
        const std::string name(operation.path.substr(open + 1, operation.path.find('}', open) - open - 1));
        parameters.push_back({{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
    }
    for (std::string_view rest = operation.query; !rest.empty();) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        parameters.push_back({{"name", std::string(rest.substr(0, comma))}, {"in", "query"}, {"schema", {{"type", "string"}}}});
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return parameters;
}

// "POST /v1/agents/{id}/turn" as a name: "post_v1_agents_id_turn".
std::string operation_id(const Operation &operation) {
    std::string id(operation.method);
    for (const char c : operation.path) {
        if (c == '/' || c == '.') id += '_';
        if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_') id += c;
    }
    return id;
}

Json operation_json(const Operation &operation) {
    Json json{{"operationId", operation_id(operation)},
              {"tags", Json::array({std::string(operation.tag)})},
              {"summary", std::string(operation.summary)}};
    if (const Json parameters = parameters_of(operation); !parameters.empty()) json["parameters"] = parameters;
    if (!operation.request.empty()) {
        json["requestBody"] = {{"required", operation.request != "Evict"}, {"content", content_of(operation.request)}};
    }
    json["responses"] = {
        {std::string(operation.status), {{"description", "Done"}, {"content", content_of(operation.answer)}}},
        {"default", {{"description", "What was wrong, in the protocol's own shape"}, {"content", content_of("Error")}}}};
    if (operation.open) json["security"] = Json::array();
    return json;
}

}  // namespace

OrderedJson openapi_document() {
    Json paths = Json::object();
    for (const Operation &operation : kOperations) {
        paths[std::string(operation.path)][std::string(operation.method)] = operation_json(operation);
    }
    Json schemas = Json::object();
    for (const Schema &schema : kSchemas) schemas[std::string(schema.name)] = Json::parse(schema.json);
    return {{"openapi", "3.1.0"},
            {"info",
             {{"title", "Engram"},
              {"version", std::string(version())},
              {"summary", "Persistent memory for local language-model agents"},
              {"license", {{"name", "MIT"}, {"identifier", "MIT"}}}}},
            {"security", Json::array({{{"key", Json::array()}}, {{"bearer", Json::array()}}, Json::object()})},
            {"paths", std::move(paths)},
            {"components",
             {{"securitySchemes",
               {{"key", {{"type", "apiKey"}, {"in", "header"}, {"name", "x-api-key"}}},
                {"bearer", {{"type", "http"}, {"scheme", "bearer"}}}}},
              {"schemas", std::move(schemas)}}}};
}

}  // namespace engram::server
