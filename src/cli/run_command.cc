// engram run AGENT [PROMPT]: one turn.
#include <format>

#include "cli/commands.h"
#include "cli/home.h"
#include "cli/interrupt.h"
#include "cli/text_input.h"
#include "cli/turn.h"
#include "config/options.h"

namespace engram::cli {
namespace {

struct RunArguments {
    std::string agent, prompt, system, role = "user";
    bool create = false, stats = false;
};

Result<std::string> prompt_of(const RunArguments &arguments, const Context &context) {
    if (arguments.prompt.empty() && context.out.terminal_in()) {
        return fail(ErrorCode::invalid_argument, "no prompt is given: add it as an argument, or pipe it in");
    }
    std::string prompt = arguments.prompt;
    if (prompt.empty() || prompt == "-") {
        ENGRAM_ASSIGN(prompt, read_standard_input());
    }
    if (prompt.empty()) {
        return fail(ErrorCode::invalid_argument, "the prompt is empty");
    }
    ENGRAM_TRY(require_text(prompt, "the prompt"));
    return prompt;
}

Result<ExitCode> run(const RunArguments &arguments, Context &context) {
    // Everything that can be wrong with the words is found before the model is loaded.
    ENGRAM_ASSIGN(std::string prompt, prompt_of(arguments, context));
    ENGRAM_ASSIGN(TurnSettings turn, turn_settings(context.settings));
    ENGRAM_ASSIGN(std::string system, text_argument(arguments.system));
    ENGRAM_TRY(require_text(system, "the system prompt"));
    ENGRAM_ASSIGN(auto manager, open_manager(context));
    ENGRAM_ASSIGN(AgentInfo info, find_or_create(*manager, arguments.agent, arguments.create, system));

    TurnRequest request;
    request.prompt = std::move(prompt);
    request.role = arguments.role;
    request.max_tokens = turn.max_tokens;
    request.sampling = std::move(turn.sampling);
    const InterruptScope interrupt(InterruptScope::Again::exit);
    request.stop = interrupt.token();
    ENGRAM_ASSIGN(TurnResult result, show_turn(*manager, info.id, std::move(request), context));
    if (context.out.json()) {
        context.out.print_json(turn_json(info.id, result));
    }
    if (arguments.stats && context.out.log_level() > LogLevel::info) {
        std::fputs((turn_summary(result) + "\n").c_str(), stderr);
    }
    return result.finish == "cancelled" ? ExitCode::cancelled : ExitCode::ok;
}

}  // namespace

void add_run_command(CommandLine &line) {
    auto arguments = argument<RunArguments>();
    CLI::App &app = line.command("run", "give an agent one prompt and print its answer",
                                 [arguments](Context &context) { return run(*arguments, context); });
    app.add_option("AGENT", arguments->agent, "the agent's id")->required();
    app.add_option("PROMPT", arguments->prompt, "what to say; \"-\", or nothing in a pipe: read from standard input");
    app.add_flag("--create", arguments->create, "create the agent when it isn't there");
    app.add_option("--system", arguments->system, "system prompt of an agent that is created; @FILE: from a file")
        ->type_name("TEXT");
    app.add_option("--role", arguments->role, "who speaks [user]")
        ->type_name("ROLE")
        ->check(CLI::IsMember({"user", "system", "tool"}));
    app.add_flag("--stats", arguments->stats, "say on standard error what was reused and how long it took");
    line.add_sampling_flags(app);
}

}  // namespace engram::cli
