// engram serve: the daemon.
#include <csignal>
#include <format>

#include "cli/commands.h"
#include "cli/home.h"
#include "cli/interrupt.h"
#include "cli/supervisor.h"
#include "config/options.h"
#include "server/server.h"

namespace engram::cli {
namespace {

struct ServeArguments {
    bool allow_remote = false, log_requests = false, supervise = false, resume_workflows = true;
    bool private_hooks = false, a2a_test_mode = false, mcp_fixtures = false;
};

Result<ServeOptions> serve_options(const ServeArguments &arguments, const Settings &settings) {
    ServeOptions options;
    ENGRAM_ASSIGN(options.manager, manager_options(settings));
    ENGRAM_TRY(require_model(options.manager));
    ENGRAM_ASSIGN(TurnSettings turn, turn_settings(settings));
    const float usual = options.sampling.temperature;
    options.sampling = std::move(turn.sampling);
    // What nobody chose is what the protocols document.
    if (settings.get("temp").origin.kind == Origin::Kind::built_in) options.sampling.temperature = usual;
    options.host = settings.text("host");
    options.port = static_cast<std::uint16_t>(settings.whole("port"));
    options.allow_remote = arguments.allow_remote;
    options.resume_workflows = arguments.resume_workflows;
    options.certificate = settings.text("tls-certificate");
    options.private_key = settings.text("tls-key");
    options.cors_origins = settings.texts("cors-origin");
    options.model_name = settings.text("model-name");
    options.aliases = settings.texts("model-alias");
    options.tool_servers = settings.text("mcp-config");
    options.max_waiting = static_cast<std::uint32_t>(settings.whole("max-waiting"));
    options.max_body_bytes = static_cast<std::uint64_t>(settings.whole("max-body"));
    options.mcp_fixtures = arguments.mcp_fixtures;
    options.a2a_private_hooks = arguments.private_hooks;
    options.a2a_test_mode = arguments.a2a_test_mode;
    if (arguments.log_requests) {
        options.log = [](std::string_view line) {
            const std::string whole = std::string(line) + "\n";
            std::fwrite(whole.data(), 1, whole.size(), stderr);
        };
    }
    return options;
}

Result<ExitCode> serve_here(ServeOptions options, Context &context) {
    ::signal(SIGPIPE, SIG_IGN);  // nobody needs to read what is printed
    ::signal(SIGXFSZ, SIG_IGN);  // a limit of the file size is an error of that write, as a full disk is
    // From here on a signal means: finish what runs, write what is dirty, go.
    const InterruptScope interrupt(InterruptScope::Again::exit, InterruptScope::Signals::interrupt_and_terminate);
    options.warn = [&context](std::string_view sentence) { context.out.say(LogLevel::warn, sentence); };
    const std::string model = options.manager.model.path.stem().string();
    ENGRAM_ASSIGN(const std::unique_ptr<Server> server, Server::start(std::move(options)));
    context.out.facts({{"address", server->address()}, {"model", model}},
                      std::format("{} answers at {}  (Ctrl-C stops it)", model, server->address()));
    std::fflush(stdout);
    interrupt.wait();
    ENGRAM_TRY(server->stop(std::chrono::seconds(context.settings.whole("drain-seconds"))));
    return ExitCode::ok;
}

Result<ExitCode> serve(const ServeArguments &arguments, Context &context) {
    ENGRAM_ASSIGN(ServeOptions options, serve_options(arguments, context.settings));
    ENGRAM_TRY(ensure_home(options.manager.home));
    if (!arguments.supervise) return serve_here(std::move(options), context);
    const auto work = [&] {
        const Result<ExitCode> ended = serve_here(options, context);
        return ended ? *ended : context.out.report(ended.error());
    };
    return supervise(work, [&](std::string_view sentence) { context.out.say(LogLevel::error, sentence); });
}

}  // namespace

void add_serve_command(CommandLine &line) {
    auto arguments = argument<ServeArguments>();
    CLI::App &app = line.command("serve", "answer clients over HTTP, in Anthropic's, OpenAI's and Engram's own protocol",
                                 [arguments](Context &context) { return serve(*arguments, context); });
    app.add_flag("--allow-remote", arguments->allow_remote, "listen also where other machines can reach it");
    app.add_flag("--log-requests", arguments->log_requests,
                 "write a JSON line for each request to standard error, without any text");
    app.add_flag("--resume-workflows,!--no-resume-workflows", arguments->resume_workflows,
                 "go on with the workflow runs that the last process left behind [on]");
    app.add_flag("--supervise", arguments->supervise,
                 "run the server in a process of its own, and start it again when that dies");
    app.add_flag("--mcp-test-fixtures", arguments->mcp_fixtures, "")->group("");  // hidden: for MCP's conformance tests
    app.add_flag("--a2a-private-hooks", arguments->private_hooks,
                 "tell A2A clients of their tasks also at addresses of this machine and of private networks");
    app.add_flag("--a2a-test-mode", arguments->a2a_test_mode, "answer the A2A compatibility kit")->group("");
    line.add_server_flags(app);
    line.add_sampling_flags(app);
}

}  // namespace engram::cli
