// engram workflow: runs of workflows, in this process; and what is known of earlier ones.
#include <cstdio>
#include <filesystem>
#include <format>

#include "cli/commands.h"
#include "cli/home.h"
#include "cli/humanise.h"
#include "cli/interrupt.h"
#include "cli/text_input.h"
#include "config/config_file.h"
#include "config/options.h"
#include "teams/teams.h"
#include "workflow/approval.h"
#include "workflow/executor.h"
#include "workflow/yaml.h"

namespace engram::cli {
namespace {

using namespace workflow;

constexpr std::size_t kListed = 1000;

struct WorkflowArguments {
    std::string file, run, inputs_file, node;
    std::int64_t item = kWholeNode;
    bool yes = false, no = false;
    std::vector<std::string> inputs;
    bool events = false, definition = false;
    std::size_t last = 20;
};

std::filesystem::path store_file(const ManagerOptions &options) { return options.home / "workflows.db"; }

// Whoever only looks makes no file. not_found: there is none.
Result<std::unique_ptr<RunStore>> existing_store(const ManagerOptions &options) {
    std::error_code ignored;
    if (!std::filesystem::exists(store_file(options), ignored)) {
        return fail(ErrorCode::not_found, "no workflow has been run in this home folder");
    }
    return RunStore::open(store_file(options));
}

Result<OrderedJson> inputs_of(const WorkflowArguments &arguments) {
    OrderedJson inputs = OrderedJson::object();
    if (!arguments.inputs_file.empty()) {
        ENGRAM_ASSIGN(const std::string text, read_bounded_file(arguments.inputs_file, kMaxTextBytes));
        auto json = parse_bounded_json(text, kMaxTextBytes);
        if (!json) return std::unexpected(std::move(json.error()).within(arguments.inputs_file));
        if (!json->is_object()) {
            return fail(ErrorCode::invalid_argument,
                        std::format("{} must hold an object, {{\"name\": value}}", arguments.inputs_file));
        }
        inputs = std::move(*json);
    }
    for (const std::string &given : arguments.inputs) {
        const std::size_t equals = given.find('=');
        if (equals == given.npos) {
            return fail(ErrorCode::invalid_argument, std::format("--input {}: it must be NAME=VALUE", given));
        }
        ENGRAM_ASSIGN(std::string value, text_argument(given.substr(equals + 1)));
        ENGRAM_TRY(require_text(value, std::format("the input {}", given.substr(0, equals))));
        inputs[given.substr(0, equals)] = std::move(value);
    }
    return inputs;
}

// "technical[2]  finished"
std::string event_line(const Event &event) {
    std::string line = event.node;
    if (event.item != kWholeNode) line += std::format("[{}]", event.item);
    line += std::format("  {}", event_kind_name(event.kind));
    if (event.kind == EventKind::started && !event.agent.empty()) line += std::format(" (agent {})", event.agent);
    if (!event.error.empty()) line += std::format(": {}", event.error);
    return line;
}

void show_event(const WorkflowArguments &arguments, const Context &context, const Event &event) {
    if (arguments.events) {
        context.out.print(json_text(event_json(event), false) + "\n");
        std::fflush(stdout);
        return;
    }
    if (context.out.log_level() > LogLevel::warn || event.node.empty() || event.kind == EventKind::text) return;
    std::fputs((event_line(event) + "\n").c_str(), stderr);
}

// What a model may have said, for where it goes.
std::string shown(const Context &context, const std::string &text) { return context.out.terminal_out() ? printable(text) : text; }

std::string outputs_text(const RunRow &run) {
    const OrderedJson outputs = OrderedJson::parse(run.outputs.empty() ? "{}" : run.outputs, nullptr, false);
    if (!outputs.is_object() || outputs.empty()) return std::format("run {} has {}", run.key.id, run_state_name(run.state));
    if (outputs.size() == 1) return outputs.begin()->get<std::string>();
    std::string text;
    for (const auto &[name, value] : outputs.items()) text += std::format("{}:\n{}\n\n", name, value.get<std::string>());
    text.erase(text.find_last_not_of('\n') + 1);
    return text;
}

// The run with all that its nodes have come to.
Json whole_json(const RunRow &run, const std::vector<StepRow> &steps, const std::vector<Event> &events) {
    OrderedJson json = run_json(run);
    json["steps"] = OrderedJson::array();
    for (const StepRow &step : steps) json["steps"].push_back(step_json(step));
    if (!events.empty()) json["events"] = OrderedJson::array();
    for (const Event &event : events) json["events"].push_back(event_json(event));
    return json;
}

Result<ExitCode> execute(AgentManager &agents, RunStore &store, const RunKey &key, const WorkflowArguments &arguments,
                         const Context &context) {
    const InterruptScope interrupt(InterruptScope::Again::exit, InterruptScope::Signals::interrupt_and_terminate);
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    ENGRAM_ASSIGN(auto servers, configured_servers(context.settings.text("mcp-config"), options.home));
    ENGRAM_ASSIGN(const auto teams, Teams::open(options.home, std::move(servers)));
    Executor executor({.agents = agents, .runs = store, .run_agent = teams->run_agent()});
    ENGRAM_ASSIGN(const RunRow ended,
                  executor.run(key, [&](const Event &event) { show_event(arguments, context, event); }, interrupt.token()));
    ENGRAM_TRY(agents.save_everything());
    const bool finished = ended.state == RunState::finished;
    if (!arguments.events && (finished || context.out.json())) {
        ENGRAM_ASSIGN(const std::vector<StepRow> steps, store.steps(key));
        context.out.facts(whole_json(ended, steps, {}), shown(context, outputs_text(ended)));
    }
    if (finished) return ExitCode::ok;
    const std::string resume = std::format("`engram workflow resume {}` goes on with what hasn't finished", key.id);
    if (ended.state == RunState::failed) {
        context.out.say(LogLevel::error, std::format("{}; {}", ended.error, resume));
        return ExitCode::engine;
    }
    if (ended.state == RunState::waiting) {
        context.out.say(LogLevel::warn, std::format("the run waits for approvals; `engram workflow show {0}` says of what, and "
                                                    "`engram workflow approve {0} NODE --yes` or `--no` decides",
                                                    key.id));
        return ExitCode::ok;
    }
    context.out.say(LogLevel::warn, std::format("the run was {}; {}", run_state_name(ended.state), resume));
    return ExitCode::cancelled;
}

Result<ExitCode> run(const WorkflowArguments &arguments, const Context &context) {
    // Everything that can be wrong with the words is found before the model is loaded.
    ENGRAM_ASSIGN(const std::string yaml, read_bounded_file(arguments.file, kMaxYamlBytes));
    ENGRAM_ASSIGN(const Definition definition, parse_definition(yaml, arguments.file));
    ENGRAM_ASSIGN(const OrderedJson inputs, inputs_of(arguments));
    ENGRAM_TRY(complete_inputs(definition, inputs));
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    ENGRAM_ASSIGN(const auto agents, open_manager(context));
    ENGRAM_ASSIGN(const auto store, RunStore::open(store_file(options)));
    ENGRAM_ASSIGN(const RunRow begun,
                  begin_run(*store, {.tenant = options.tenant, .file = arguments.file, .definition = yaml, .inputs = inputs}));
    if (!arguments.events && context.out.log_level() <= LogLevel::warn) {
        std::fputs(std::format("run {}\n", begun.key.id).c_str(), stderr);
    }
    return execute(*agents, *store, begun.key, arguments, context);
}

Result<ExitCode> resume(const WorkflowArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    ENGRAM_ASSIGN(const auto store, existing_store(options));
    const RunKey key{.tenant = options.tenant, .id = arguments.run};
    ENGRAM_TRY(store->get(key));
    ENGRAM_ASSIGN(const auto agents, open_manager(context));
    return execute(*agents, *store, key, arguments, context);
}

// A person's decision, and then the run goes on with it.
Result<ExitCode> approve(const WorkflowArguments &arguments, const Context &context) {
    if (!arguments.yes && !arguments.no) return fail(ErrorCode::invalid_argument, "say --yes or --no");
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    ENGRAM_ASSIGN(const auto store, existing_store(options));
    const RunKey key{.tenant = options.tenant, .id = arguments.run};
    ENGRAM_TRY(store->get(key));
    ENGRAM_ASSIGN(const auto agents, open_manager(context));  // first: nothing is decided where nothing could go on
    ENGRAM_TRY(decide(*store, key, {.node = arguments.node, .item = arguments.item, .allow = arguments.yes}));
    return execute(*agents, *store, key, arguments, context);
}

Result<ExitCode> validate(const WorkflowArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const std::string yaml, read_bounded_file(arguments.file, kMaxYamlBytes));
    ENGRAM_ASSIGN(const Definition definition, parse_definition(yaml, arguments.file));
    Json nodes = Json::array();
    for (const Node &node : definition.nodes) nodes.push_back({{"name", node.name}, {"needs", node.needs}});
    context.out.facts({{"workflow", definition.name}, {"nodes", nodes}},
                      std::format("{} is sound: the workflow {} has {} node{}", arguments.file, definition.name,
                                  definition.nodes.size(), definition.nodes.size() == 1 ? "" : "s"));
    return ExitCode::ok;
}

Result<ExitCode> list(const WorkflowArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    std::vector<RunRow> runs;
    if (std::filesystem::exists(store_file(options))) {
        ENGRAM_ASSIGN(const auto store, RunStore::open(store_file(options)));
        ENGRAM_ASSIGN(runs, store->list(options.tenant, arguments.last));
    }
    Json json = Json::array();
    std::string text;
    for (const RunRow &run : runs) {
        json.push_back({{"id", run.key.id},
                        {"workflow", run.name},
                        {"state", run_state_name(run.state)},
                        {"error", run.error},
                        {"created_ms", run.created_ms}});
        text += std::format("{}  {:<12}{}{}\n", run.key.id, run_state_name(run.state), run.name,
                            run.error.empty() ? "" : ": " + run.error);
    }
    context.out.facts(json, text.empty() ? "no workflow has been run in this home folder" : text);
    return ExitCode::ok;
}

Result<ExitCode> show(const WorkflowArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    ENGRAM_ASSIGN(const auto store, existing_store(options));
    const RunKey key{.tenant = options.tenant, .id = arguments.run};
    ENGRAM_ASSIGN(const RunRow run, store->get(key));
    if (arguments.definition) {
        context.out.facts({{"definition", run.definition}}, run.definition);
        return ExitCode::ok;
    }
    ENGRAM_ASSIGN(const std::vector<StepRow> steps, store->steps(key));
    ENGRAM_ASSIGN(const std::vector<Event> events, store->events(key, 0));
    std::string text = std::format("run {} of {}: {}{}\n", run.key.id, run.name, run_state_name(run.state),
                                   run.error.empty() ? "" : ": " + run.error);
    for (const StepRow &step : steps) {
        const std::string item = step.item == kWholeNode ? "" : std::format("[{}]", step.item);
        text += std::format("\n{}{}  {}{}{}\n", step.node, item, step_state_name(step.state),
                            step.agent.empty() ? "" : std::format(" (agent {})", step.agent),
                            step.error.empty() ? "" : ": " + step.error);
        if (step.state == StepState::waiting) {
            for (const OrderedJson &call : calls_of(step)) {
                const std::string whose = call.value("agent", "");
                text += std::format("{}wants to call {} with {}\n", whose.empty() ? "" : whose + " ", call.value("name", ""),
                                    json_text(call["arguments"], false));
            }
        } else if (!step.text.empty()) {
            text += step.text + "\n";
        }
    }
    context.out.facts(whole_json(run, steps, events), shown(context, text));
    return ExitCode::ok;
}

Result<ExitCode> cancel(const WorkflowArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    ENGRAM_ASSIGN(const auto store, existing_store(options));
    const RunKey key{.tenant = options.tenant, .id = arguments.run};
    ENGRAM_ASSIGN(const RunRow run, store->get(key));
    if (run.state != RunState::running && run.state != RunState::interrupted && run.state != RunState::waiting) {
        return fail(ErrorCode::invalid_argument, std::format("the run {} has {} already", key.id, run_state_name(run.state)));
    }
    ENGRAM_TRY(store->ask_to_cancel(key));
    context.out.facts({{"id", key.id}, {"cancel_asked", true}},
                      std::format("run {} ends as soon as the process that runs it has heard of it", key.id));
    return ExitCode::ok;
}

}  // namespace

void add_workflow_commands(CommandLine &line) {
    auto arguments = argument<WorkflowArguments>();
    CLI::App &group = line.group("workflow", "graphs of agents' turns, written down in YAML (docs/WORKFLOWS.md)");
    const auto command = [&](const std::string &name, const std::string &help, auto handler) -> CLI::App & {
        return line.command(group, name, help, [arguments, handler](Context &context) { return handler(*arguments, context); });
    };
    CLI::App &running = command("run", "run a workflow", run);
    running.add_option("FILE", arguments->file, "the definition")->required();
    running.add_option("--input", arguments->inputs, "an input; VALUE @FILE: from a file, -: from standard input")
        ->type_name("NAME=VALUE");
    running.add_option("--inputs", arguments->inputs_file, "a file with inputs as a JSON object")->type_name("FILE");
    CLI::App &resuming = command("resume", "go on with a run that was killed, interrupted, cancelled or has failed", resume);
    resuming.add_option("RUN", arguments->run, "the run's id")->required();
    CLI::App &approving = command("approve", "decide about the calls that a node waits with, and go on with the run", approve);
    approving.add_option("RUN", arguments->run, "the run's id")->required();
    approving.add_option("NODE", arguments->node, "the node that waits")->required();
    approving.add_option("--item", arguments->item, "of a node with for_each: the element, from 0")->type_name("N");
    CLI::Option *yes = approving.add_flag("--yes", arguments->yes, "its calls are made");
    approving.add_flag("--no", arguments->no, "they aren't, and the agent is told so")->excludes(yes);
    for (CLI::App *app : {&running, &resuming, &approving}) {
        app->add_flag("--events", arguments->events, "print each event as a line of JSON, pieces of text included");
    }
    command("validate", "check a definition", validate).add_option("FILE", arguments->file, "the definition")->required();
    command("list", "the newest runs", list)
        .add_option("--last", arguments->last, "how many")
        ->default_val(20)
        ->check(CLI::Range(std::size_t{1}, kListed));
    CLI::App &showing = command("show", "what a run's nodes have come to", show);
    showing.add_option("RUN", arguments->run, "the run's id")->required();
    showing.add_flag("--definition", arguments->definition, "the definition as it was when the run began");
    command("cancel", "end a run", cancel).add_option("RUN", arguments->run, "the run's id")->required();
}

}  // namespace engram::cli
