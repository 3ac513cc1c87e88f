// engram act AGENT [PROMPT]: a run, with tools, colleagues and notes; engram tools.
#include <chrono>
#include <format>
#include <map>

#include "chat/bounded_json.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/text_input.h"
#include "config/options.h"
#include "core/beginning.h"
#include "teams/run_json.h"
#include "teams/teams.h"
#include "teams/tool_name.h"

namespace engram::cli {
namespace {

struct ActArguments {
    std::string agent, prompt, approve = "ask";
    std::uint32_t steps = 24, depth = 4, seconds = 600;
    bool steps_shown = false;
};

constexpr std::size_t kShownOfResult = 400;

// What happens on the way, on standard error; the answer of the agent that was asked, on standard output.
class Show {
  public:
    Show(const Context &context, std::string agent) : context_(context), agent_(std::move(agent)) {}

    void take(const RunEvent &event) {
        if (context_.out.json()) return;
        if (const auto *answering = std::get_if<RunAnswering>(&event)) {
            const auto *text = std::get_if<ChatText>(&answering->event);
            if (text == nullptr || answering->agent != agent_) return;
            context_.out.print(text->text);
            in_line_ = !text->text.ends_with('\n');
        } else if (const auto *begins = std::get_if<RunToolBegins>(&event)) {
            say(std::format("{} calls {} {}", begins->agent, begins->call.name, begins->call.arguments));
        } else if (const auto *ends = std::get_if<RunToolEnds>(&event)) {
            std::string shown(beginning_of(ends->output, kShownOfResult));
            if (shown.size() < ends->output.size()) shown += " …";
            say(std::format("{} {} {}", ends->call.name, ends->failed ? "failed:" : "says:", shown));
        }
    }
    void end_line() {
        if (std::exchange(in_line_, false)) context_.out.print("\n");
    }

  private:
    void say(const std::string &sentence) {
        end_line();
        context_.out.say(LogLevel::info, sentence);
    }

    const Context &context_;
    const std::string agent_;
    bool in_line_ = false;
};

// In words: a colleague's call with whose it is.
std::string shown(const ChatToolCall &call) {
    const std::string_view whose = pending_agent(call.id);
    return std::format("{}{}{} {}", whose, whose.empty() ? "" : "'s ", call.name, call.arguments);
}

// A person's decision about each call that waits; empty: nobody is there to decide.
std::map<std::string, bool> decisions(const ActArguments &arguments, const std::vector<ChatToolCall> &pending,
                                      const Context &context) {
    std::map<std::string, bool> decided;
    if (arguments.approve != "ask") {
        for (const ChatToolCall &call : pending) decided.emplace(call.id, arguments.approve == "all");
        return decided;
    }
    if (!context.out.terminal_in()) return decided;
    LineEditor editor({.interactive = true, .color = false, .history = {}, .completions = {"yes", "no"}});
    for (const ChatToolCall &call : pending) {
        const auto line = editor.read(std::format("allow {}? (yes/no) ", shown(call)));
        if (!line) return {};
        decided.emplace(call.id, *line == "y" || *line == "yes");
    }
    return decided;
}

Result<ExitCode> report(const ActArguments &arguments, const RunResult &result, const Context &context) {
    if (context.out.json()) context.out.print_json(run_json(arguments.agent, result));
    if (!result.warning.empty()) context.out.say(LogLevel::warn, result.warning);
    switch (result.end) {
        case RunEnd::answered:
        case RunEnd::length: return ExitCode::ok;
        case RunEnd::cancelled: return ExitCode::cancelled;
        case RunEnd::approval:
            for (const ChatToolCall &call : result.pending) {
                context.out.say(LogLevel::warn, std::format("waits for approval: {}", shown(call)));
            }
            return fail(ErrorCode::cancelled,
                        std::format("{0} waits for a person: `engram act {0} --approve all` (or none) goes on", arguments.agent));
        case RunEnd::context:
        case RunEnd::steps:
        case RunEnd::time:
        case RunEnd::tokens:
        case RunEnd::failed: break;
    }
    const std::string next = result.committed ? std::format("`engram act {}` without a prompt goes on", arguments.agent)
                                              : std::string("ask it again when that is put right");
    return fail(ErrorCode::over_budget,
                std::format("{} came to no answer: {}; {}", arguments.agent,
                            result.warning.empty() ? std::string(run_end_name(result.end)) : result.warning, next));
}

Result<ExitCode> act(const ActArguments &arguments, Context &context) {
    ENGRAM_TRY(require_text(arguments.prompt, "the prompt"));
    ENGRAM_ASSIGN(TurnSettings turn, turn_settings(context.settings));
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    ENGRAM_ASSIGN(auto servers, configured_servers(context.settings.text("mcp-config"), options.home));
    ENGRAM_ASSIGN(auto manager, open_manager(context));
    ENGRAM_ASSIGN(const auto teams, Teams::open(options.home, std::move(servers)));
    RunRequest request{.agent = arguments.agent};
    if (!arguments.prompt.empty()) request.messages = {{.role = "user", .content = arguments.prompt}};
    request.max_tokens = turn.max_tokens;
    request.sampling = std::move(turn.sampling);
    request.limits.steps = arguments.steps;
    request.limits.depth = arguments.depth;
    request.limits.time = std::chrono::seconds(arguments.seconds);
    const InterruptScope interrupt(InterruptScope::Again::exit);
    Show show(context, arguments.agent);
    while (true) {
        ENGRAM_ASSIGN(
            const RunResult result,
            teams->runner().run(*manager, request, [&](const RunEvent &event) { show.take(event); }, interrupt.token()));
        show.end_line();
        if (result.end != RunEnd::approval) return report(arguments, result, context);
        request.messages.clear();
        request.approvals = decisions(arguments, result.pending, context);
        if (request.approvals.empty()) return report(arguments, result, context);
    }
}

Result<ExitCode> tools(const Context &context) {
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    ENGRAM_ASSIGN(auto servers, configured_servers(context.settings.text("mcp-config"), options.home));
    if (servers.tools.empty() && servers.agents.empty()) {
        context.out.facts(Json::array(), std::format("no servers are configured; {} would list them, or --mcp-config FILE",
                                                     (options.home / "mcp.json").string()));
        return ExitCode::ok;
    }
    ENGRAM_TRY(ensure_home(options.home));
    ENGRAM_ASSIGN(const auto teams, Teams::open(options.home, std::move(servers)));
    const InterruptScope interrupt(InterruptScope::Again::exit);
    Json json = Json::array();
    std::string text;
    bool trouble = false;
    for (const ToolServers::Look &look : teams->tool_servers().look(options.tenant, interrupt.token())) {
        Json names = Json::array();
        text += look.trouble.empty() ? std::format("{} (MCP {})\n", look.server, look.version)
                                     : std::format("{}: {}\n", look.server, look.trouble);
        for (const mcp::Tool &tool : look.tools) {
            names.push_back({{"name", look.server + "/" + tool.name},
                             {"model_name", model_tool_name(look.server, tool.name)},
                             {"description", tool.description}});
            const std::string line = tool.description.substr(0, tool.description.find('\n'));
            text += std::format("  {}/{}  {}\n", look.server, tool.name, line);
        }
        trouble = trouble || !look.trouble.empty();
        json.push_back({{"server", look.server},
                        {"version", look.version},
                        {"tools", names},
                        {"trouble", look.trouble.empty() ? Json(nullptr) : Json(look.trouble)}});
    }
    for (const RemoteAgents::Look &look : teams->remote_agents().look(options.tenant, interrupt.token())) {
        text += look.trouble.empty() ? std::format("{} (A2A, {})\n  {}\n", look.name, look.url, look.description)
                                     : std::format("{}: {}\n", look.name, look.trouble);
        trouble = trouble || !look.trouble.empty();
        json.push_back({{"agent", look.name},
                        {"url", look.url},
                        {"description", look.description},
                        {"trouble", look.trouble.empty() ? Json(nullptr) : Json(look.trouble)}});
    }
    context.out.facts(json, text);
    return trouble ? ExitCode::error : ExitCode::ok;
}

}  // namespace

void add_act_command(CommandLine &line) {
    auto arguments = argument<ActArguments>();
    CLI::App &app = line.command("act", "let an agent work: it calls tools, gives work to colleagues, and answers",
                                 [arguments](Context &context) { return act(*arguments, context); });
    app.add_option("AGENT", arguments->agent, "the agent's id")->required();
    app.add_option("PROMPT", arguments->prompt, "what to do; nothing: it goes on with calls that wait");
    app.add_option("--approve", arguments->approve,
                   "calls that a person must allow: ask on the terminal, allow all, or none [ask]")
        ->type_name("WHICH")
        ->check(CLI::IsMember({"ask", "all", "none"}));
    app.add_option("--steps", arguments->steps, "most answers of the agent [24]")->type_name("N")->check(CLI::Range(1, 1000));
    app.add_option("--depth", arguments->depth, "agents that give work to agents, one below the other, at most [4]")
        ->type_name("N")
        ->check(CLI::Range(1, 64));
    app.add_option("--seconds", arguments->seconds, "time for all of it [600]")->type_name("N")->check(CLI::Range(1, 86400));
    line.add_sampling_flags(app);
}

void add_tools_command(CommandLine &line) {
    line.command("tools", "list the tools of the configured MCP servers, and the agents of other servers, asking each of them",
                 [](Context &context) { return tools(context); });
}

}  // namespace engram::cli
