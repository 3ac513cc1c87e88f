// The tools of McpAgents: what a model, or a program, can do with agents.
#include <algorithm>
#include <array>
#include <chrono>
#include <format>
#include <utility>

#include "chat/agent_card.h"
#include "server/mcp_agents.h"
#include "teams/run_json.h"

namespace engram::server {

using namespace protocol;
namespace mcp = protocol::mcp;

namespace {

constexpr std::int64_t kMaxTokens = 1 << 24;
constexpr std::chrono::milliseconds kProgressEvery{100};

// A tool's outcome: its words and members, or why not, for the model to read.
struct Told {
    std::string text;
    OrderedJson structured;
};
using Outcome = ApiResult<Told>;

template <typename T>
ApiResult<T> api(Result<T> result) {
    if (!result) return std::unexpected(api_error(result.error()));
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        return std::move(*result);
    }
}

std::string dumped(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

// --- agents ---

OrderedJson summary_json(const AgentInfo &info) {
    OrderedJson skills = OrderedJson::array();
    for (const AgentSkill &skill : info.card.skills) {
        skills.push_back({{"id", skill.id}, {"name", skill.name}, {"description", skill.description}, {"tags", skill.tags}});
    }
    return {{"id", info.id},
            {"description", info.description},
            {"owner", info.card.owner},
            {"labels", info.card.labels},
            {"skills", std::move(skills)},
            {"colleagues", info.card.colleagues},
            {"model", info.model},
            {"turns", info.n_turns},
            {"tokens", info.n_tokens},
            {"transcript", transcript_uri(info.id)}};
}

Told agents_told(std::span<const AgentInfo> agents) {
    Told told{.structured = {{"agents", OrderedJson::array()}}};
    for (const AgentInfo &info : agents) told.structured["agents"].push_back(summary_json(info));
    told.text = dumped(told.structured);
    return told;
}

Told agent_told(std::string_view what, const AgentInfo &info) {
    return {.text = std::format("{} {}.", info.id, what), .structured = summary_json(info)};
}

Outcome list_agents(const McpCall &call, const Field &) {
    ENGRAM_ASSIGN(const std::vector<AgentInfo> agents, api(named_agents(*call.caller.agents)));
    return agents_told(agents);
}

Outcome find_agents(const McpCall &call, const Field &arguments) {
    AgentQuery query;
    ENGRAM_ASSIGN(query.text, arguments["text"].text_or(""));
    ENGRAM_ASSIGN(query.skill, arguments["skill"].text_or(""));
    ENGRAM_ASSIGN(query.label, arguments["label"].text_or(""));
    ENGRAM_ASSIGN(query.owner, arguments["owner"].text_or(""));
    ENGRAM_ASSIGN(query.model, arguments["model"].text_or(""));
    ENGRAM_ASSIGN(query.tool, arguments["tool"].text_or(""));
    ENGRAM_ASSIGN(const std::vector<AgentInfo> agents, api(call.caller.agents->find(query)));
    return agents_told(agents);
}

Outcome create_agent(const McpCall &call, const Field &arguments) {
    AgentSpec spec;
    ENGRAM_ASSIGN(spec.id, arguments["id"].text_that_is_not_empty());
    ENGRAM_ASSIGN(spec.system_prompt, arguments["system_prompt"].text_or(""));
    ENGRAM_ASSIGN(spec.description, arguments["description"].text_or(""));
    if (arguments["card"].present()) {
        ENGRAM_ASSIGN(spec.card, api(card_of(arguments["card"].json())));
    }
    ENGRAM_TRY(call.caller.may_create());
    ENGRAM_ASSIGN(const AgentInfo info, api(call.caller.agents->create(spec)));
    return agent_told("was made", info);
}

Outcome fork_agent(const McpCall &call, const Field &arguments) {
    ENGRAM_ASSIGN(const std::string id, arguments["agent"].text_that_is_not_empty());
    ENGRAM_ASSIGN(const std::string new_id, arguments["new_id"].text_that_is_not_empty());
    ENGRAM_TRY(call.caller.may_create());
    ENGRAM_ASSIGN(const AgentInfo info, api(call.caller.agents->fork(id, new_id)));
    return agent_told(std::format("was forked from {}", id), info);
}

// --- runs ---

// Events of a run as notifications of progress: its number is of tokens, read and written, and grows.
class RunProgress {
  public:
    explicit RunProgress(const McpCall &call) : call_(call) {}

    void take(const RunEvent &event) {
        if (const auto *answering = std::get_if<RunAnswering>(&event)) take(answering->agent, answering->event);
        if (const auto *begins = std::get_if<RunToolBegins>(&event)) {
            tell(std::format("{} calls {}", begins->agent, begins->call.name), Phase::tool);
        }
        if (const auto *ends = std::get_if<RunToolEnds>(&event)) {
            tell(std::format("{} {}", ends->call.name, ends->failed ? "failed" : "is done"), Phase::tool);
        }
        if (const auto *within = std::get_if<RunToolProgress>(&event)) tell(within->message, Phase::tool);
    }

  private:
    enum class Phase : std::uint8_t { none, reading, answering, tool };
    using Clock = std::chrono::steady_clock;

    void take(const std::string &agent, const ChatEvent &event) {
        if (const auto *reading = std::get_if<ChatProgress>(&event)) {
            if (reading->done < read_) read_ = 0;  // the next answer's prompt
            tokens_ += static_cast<double>(reading->done - read_);
            read_ = reading->done;
            tell(std::format("{} has read {} of {} tokens", agent, reading->done, reading->total), Phase::reading);
        } else if (std::holds_alternative<ChatText>(event) || std::holds_alternative<ChatThinking>(event) ||
                   std::holds_alternative<ChatCallArguments>(event)) {
            ++tokens_;
            tell(std::format("{} answers", agent), Phase::answering);
        }
    }

    // The first of each phase, and after that not more than a client can use.
    void tell(const std::string &message, Phase phase) {
        const Clock::time_point now = Clock::now();
        if (phase == phase_ && now - told_at_ < kProgressEvery) return;
        phase_ = phase;
        told_at_ = now;
        told_ = std::max(tokens_, told_ + 1e-3);  // must grow, also when only the words are new
        call_.progress({.done = told_, .message = message});
    }

    const McpCall &call_;
    double tokens_ = 0, told_ = 0;
    std::uint64_t read_ = 0;
    Phase phase_ = Phase::none;
    Clock::time_point told_at_;
};

OrderedJson told_run(const std::string &agent, const RunResult &result) {
    OrderedJson steps = OrderedJson::array();
    for (const RunStep &step : result.steps) steps.push_back(step_json(step));  // with what colleagues did
    OrderedJson pending = OrderedJson::array();
    for (const ChatToolCall &call : result.pending) {
        OrderedJson told = pending_json(agent, call);
        told["arguments"] = call.arguments;
        pending.push_back(std::move(told));
    }
    return {{"agent", agent},
            {"text", result.text},
            {"end", run_end_name(result.end)},
            {"steps", std::move(steps)},
            {"pending", std::move(pending)},
            {"prompt_tokens", result.usage.prompt_tokens},
            {"cached_tokens", result.usage.cached_tokens},
            {"answer_tokens", result.usage.answer_tokens},
            {"committed", result.committed},
            {"warning", result.warning}};
}

std::string run_text(const RunResult &result) {
    std::string text = result.text;
    if (!result.pending.empty()) {
        text += "\n\nThese calls wait until a person allows them:";
        for (const ChatToolCall &call : result.pending) {
            const std::string_view whose = pending_agent(call.id);
            text += std::format("\n{}: {}{} {}", call.id, call.name, whose.empty() ? "" : std::format(" of {}", whose),
                                call.arguments);
        }
    } else if (result.end != RunEnd::answered) {
        text += std::format("\n\n(The answer isn't whole: it ended by {}.)", run_end_name(result.end));
    }
    return text;
}

ApiResult<RunResult> run(const McpCall &call, const RunRequest &request) {
    ENGRAM_TRY(api(call.caller.agents->get(request.agent)));
    RunProgress progress(call);
    ENGRAM_ASSIGN(RunResult result, call.caller.run(request, [&](const RunEvent &event) { progress.take(event); }, call.stop));
    if (!result.warning.empty()) call.log(mcp::LogLevel::warning, result.warning);
    return result;
}

ApiResult<RunRequest> run_request(const Field &arguments, std::string agent) {
    RunRequest request{.agent = std::move(agent)};
    ENGRAM_ASSIGN(const std::int64_t most, arguments["max_tokens"].whole_number_or(request.max_tokens, 1, kMaxTokens));
    request.max_tokens = static_cast<std::uint32_t>(most);
    if (const Field schema = arguments["schema"]; schema.present()) {
        ENGRAM_TRY(schema.must_be_object());
        request.format = AnswerFormat::json_schema;
        request.schema = schema.compact();
    }
    if (const Field approvals = arguments["approvals"]; approvals.present()) {
        ENGRAM_TRY(approvals.must_be_object());
        for (const auto &[id, allowed] : approvals.json().items()) {
            ENGRAM_ASSIGN(request.approvals[id], approvals[id].boolean());
        }
    }
    return request;
}

Outcome ask_agent(const McpCall &call, const Field &arguments) {
    ENGRAM_ASSIGN(std::string agent, arguments["agent"].text_that_is_not_empty());
    ENGRAM_ASSIGN(RunRequest request, run_request(arguments, std::move(agent)));
    if (request.approvals.empty() || arguments["message"].present()) {
        ENGRAM_ASSIGN(std::string message, arguments["message"].text_that_is_not_empty());
        request.messages.push_back({.role = "user", .content = std::move(message)});
    }
    ENGRAM_ASSIGN(const RunResult result, run(call, request));
    return Told{.text = run_text(result), .structured = told_run(request.agent, result)};
}

// The one works, and the other one remembers that it gave the work away, and what came of it.
Outcome delegate(const McpCall &call, const Field &arguments) {
    ENGRAM_ASSIGN(std::string from, arguments["from"].text_that_is_not_empty());
    ENGRAM_ASSIGN(RunRequest request, run_request(arguments, std::move(from)));
    if (arguments["max_tokens"].present()) request.limits.result_tokens = request.max_tokens;
    ENGRAM_ASSIGN(request.delegate_to, arguments["to"].text_that_is_not_empty());
    if (request.approvals.empty() || arguments["task"].present()) {
        ENGRAM_ASSIGN(std::string task, arguments["task"].text_that_is_not_empty());
        request.messages.push_back({.role = "user", .content = std::move(task)});
    }
    ENGRAM_ASSIGN(const RunResult result, run(call, request));
    OrderedJson structured = told_run(request.delegate_to, result);
    structured["from"] = request.agent;
    return Told{.text = run_text(result), .structured = std::move(structured)};
}

// Told to the model in words; for programs there is the status that it would have over HTTP.
OrderedJson failure(const ApiError &error) {
    OrderedJson result = mcp::tool_failure(error.message);
    result["_meta"]["engram/status"] = http_status(error.kind);
    return result;
}

// --- the table ---

constexpr std::string_view kAgentSchema =
    R"({"type":"object","required":["id","description","skills","colleagues","turns","tokens","transcript"],"properties":{
    "id":{"type":"string"},"description":{"type":"string"},"owner":{"type":"string"},
    "labels":{"type":"array","items":{"type":"string"}},
    "skills":{"type":"array","items":{"type":"object","properties":{"id":{"type":"string"},"name":{"type":"string"},
    "description":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}}}}},
    "colleagues":{"type":"array","items":{"type":"string"}},"model":{"type":"string"},"turns":{"type":"integer"},
    "tokens":{"type":"integer"},"transcript":{"type":"string","description":"The transcript's address as a resource."}}})";
constexpr std::string_view kRunSchema =
    R"({"type":"object","required":["agent","text","end","steps","pending","prompt_tokens","cached_tokens","answer_tokens"],
    "properties":{"agent":{"type":"string"},"from":{"type":"string"},"text":{"type":"string"},
    "end":{"enum":["answered","approval","length","context","steps","time","tokens","cancelled","failed"]},
    "steps":{"type":"array","items":{"type":"object"}},
    "pending":{"type":"array","description":"Calls that wait until a person allows them.","items":{"type":"object"}},
    "prompt_tokens":{"type":"integer"},"cached_tokens":{"type":"integer","description":"Of the prompt's, not computed again."},
    "answer_tokens":{"type":"integer"},
    "committed":{"type":"boolean","description":
        "False: it could not be written down, and the agent won't know of it (the one of from, where that gave the work)."},
    "warning":{"type":"string"}}})";

struct Tool {
    std::string_view name, title, description;
    std::string_view input;  // the properties
    std::string_view required;
    std::string_view output;  // "agents": a list of them
    std::string_view hints;
    Outcome (*call)(const McpCall &, const Field &);
};
constexpr std::string_view kReads = R"({"readOnlyHint":true,"openWorldHint":false})";
constexpr std::string_view kAdds =
    R"({"readOnlyHint":false,"destructiveHint":false,"idempotentHint":false,"openWorldHint":false})";
constexpr auto kTools = std::to_array<Tool>({
    {"list_agents", "List agents", "All agents, with what they are good at.", "{}", "[]", "agents", kReads, list_agents},
    {"find_agents", "Find agents", "Agents for which all that is given holds.",
     R"({"text":{"type":"string","description":"Words that stand in the id, the description, a label or a skill."},
     "skill":{"type":"string","description":"The id, name or a tag of a skill."},"label":{"type":"string"},
     "owner":{"type":"string"},"model":{"type":"string"},"tool":{"type":"string","description":"A function that it may call."}})",
     "[]", "agents", kReads, find_agents},
    {"create_agent", "Create an agent", "Makes an agent that remembers all that is said to it.",
     R"({"id":{"type":"string","pattern":"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"},
     "system_prompt":{"type":"string","description":"Who it is and what it is to do."},"description":{"type":"string"},
     "card":{"type":"object","description":"owner, labels, skills, colleagues, team, tools, approvals, compaction."}})",
     R"(["id"])", kAgentSchema, kAdds, create_agent},
    {"ask_agent", "Ask an agent", "Gives an agent a message and waits for its answer. It remembers both.",
     R"({"agent":{"type":"string"},"message":{"type":"string"},
     "max_tokens":{"type":"integer","minimum":1,"description":"Of each of its answers."},
     "schema":{"type":"object","description":"A JSON schema that the answer keeps to."},
     "approvals":{"type":"object","additionalProperties":{"type":"boolean"},
     "description":"Of pending calls, by id: whether they may be made. The agent then goes on without a message."}})",
     R"(["agent"])", kRunSchema, kAdds, ask_agent},
    {"fork_agent", "Fork an agent", "Makes another agent that remembers what this one does. Both go on by themselves.",
     R"({"agent":{"type":"string"},"new_id":{"type":"string","pattern":"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"}})",
     R"(["agent","new_id"])", kAgentSchema, kAdds, fork_agent},
    {"delegate", "Delegate a task",
     "One agent gives a task to one of its colleagues, who does it and answers. The first one remembers the task and the answer.",
     R"({"from":{"type":"string"},"to":{"type":"string"},"task":{"type":"string"},"max_tokens":{"type":"integer","minimum":1},
     "approvals":{"type":"object","additionalProperties":{"type":"boolean"},
     "description":"Of pending calls, by id: whether they may be made. The work then goes on, without a task."}})",
     R"(["from","to"])", kRunSchema, kAdds, delegate},
});

OrderedJson tool_json(const Tool &tool) {
    OrderedJson output =
        tool.output == "agents"
            ? OrderedJson{{"type", "object"},
                          {"required", {"agents"}},
                          {"properties", {{"agents", {{"type", "array"}, {"items", OrderedJson::parse(kAgentSchema)}}}}}}
            : OrderedJson::parse(tool.output);
    return {{"name", tool.name},
            {"title", tool.title},
            {"description", tool.description},
            {"inputSchema",
             {{"type", "object"},
              {"properties", OrderedJson::parse(tool.input)},
              {"required", OrderedJson::parse(tool.required)},
              {"additionalProperties", false}}},
            {"outputSchema", std::move(output)},
            {"annotations", OrderedJson::parse(tool.hints)}};
}

ApiResult<void> check_names(const Tool &tool, const OrderedJson &arguments) {
    const OrderedJson known = OrderedJson::parse(tool.input);
    for (const auto &[name, value] : arguments.items()) {
        if (!known.contains(name)) {
            return wrong_field(name, std::format("{} has no argument {}", tool.name, name.substr(0, 128)));
        }
    }
    return {};
}

}  // namespace

McpResult McpAgents::list_tools(const McpCall &, const OrderedJson &params) {
    ENGRAM_TRY(mcp::read_cursor(params));
    OrderedJson list = OrderedJson::array();
    for (const Tool &tool : kTools) list.push_back(tool_json(tool));
    return OrderedJson{{"tools", std::move(list)}};
}

McpResult McpAgents::call_tool(const McpCall &call, const OrderedJson &params) {
    const Field body(params);
    const auto name = body["name"].text();
    if (!name) return invalid_params(name.error());
    const auto tool = std::ranges::find(kTools, *name, &Tool::name);
    if (tool == kTools.end()) return rpc_fail(kRpcInvalidParams, std::format("there is no tool {}", name->substr(0, 128)));
    const OrderedJson arguments = body["arguments"].present() ? body["arguments"].json() : OrderedJson::object();
    if (!arguments.is_object()) return rpc_fail(kRpcInvalidParams, "arguments must be an object");
    if (const auto known = check_names(*tool, arguments); !known) return failure(known.error());
    Outcome outcome = tool->call(call, Field(arguments));
    if (!outcome) return failure(outcome.error());
    return mcp::tool_result(outcome->text, std::move(outcome->structured));
}

}  // namespace engram::server
