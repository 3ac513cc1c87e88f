// engram mcp: agents for a client of the Model Context Protocol that started this process.
#include <csignal>
#include <cstdlib>
#include <format>

#include "cli/commands.h"
#include "cli/home.h"
#include "cli/interrupt.h"
#include "config/options.h"
#include "server/mcp_forward.h"
#include "server/mcp_stdio.h"
#include "teams/teams.h"

namespace engram::cli {
namespace {

struct McpArguments {
    std::string url, key_variable;
    bool fixtures = false;
};

Result<void> forward(const McpArguments &arguments, std::stop_token stop) {
    McpForwardOptions options{.url = arguments.url, .key = {}};
    if (!arguments.key_variable.empty()) {
        const char *key = std::getenv(arguments.key_variable.c_str());  // NOLINT(concurrency-mt-unsafe): nobody sets variables
        if (key == nullptr || *key == '\0') {
            return fail(ErrorCode::invalid_argument,
                        std::format("the variable {} that --api-key-env names is not set", arguments.key_variable));
        }
        options.key = key;
    }
    return forward_mcp_stdio(options, std::move(stop));
}

Result<ExitCode> serve(const McpArguments &arguments, Context &context) {
    ::signal(SIGPIPE, SIG_IGN);  // a client that doesn't read any more ends what it has asked for, not the process
    if (!arguments.url.empty()) {
        const InterruptScope interrupt(InterruptScope::Again::exit, InterruptScope::Signals::interrupt_and_terminate);
        ENGRAM_TRY(forward(arguments, interrupt.token()));
        return ExitCode::ok;
    }
    ENGRAM_ASSIGN(TurnSettings turn, turn_settings(context.settings));
    ENGRAM_ASSIGN(const auto manager, open_manager(context));
    ENGRAM_ASSIGN(const ManagerOptions home, manager_options(context.settings));
    ENGRAM_ASSIGN(auto servers, configured_servers(context.settings.text("mcp-config"), home.home));
    ENGRAM_ASSIGN(const auto teams, Teams::open(home.home, std::move(servers)));
    const InterruptScope interrupt(InterruptScope::Again::exit, InterruptScope::Signals::interrupt_and_terminate);
    const McpStdioOptions options{
        .agents = manager.get(), .run = teams->run_agent(), .sampling = std::move(turn.sampling), .fixtures = arguments.fixtures};
    ENGRAM_TRY(serve_mcp_stdio(options, interrupt.token()));
    return ExitCode::ok;
}

}  // namespace

void add_mcp_command(CommandLine &line) {
    auto arguments = argument<McpArguments>();
    CLI::App &app = line.command("mcp", "answer a client of the Model Context Protocol on standard input and output",
                                 [arguments](Context &context) { return serve(*arguments, context); });
    auto *url = app.add_option("--url", arguments->url, "forward to a server, http://127.0.0.1:8000/mcp; no model is loaded")
                    ->type_name("URL");
    app.add_option("--api-key-env", arguments->key_variable, "variable that holds the server's key")
        ->type_name("NAME")
        ->needs(url);
    app.add_flag("--mcp-test-fixtures", arguments->fixtures, "")->group("");  // hidden: for the protocol's conformance tests
    line.add_sampling_flags(app);
}

}  // namespace engram::cli
