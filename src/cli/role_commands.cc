// engram agent apply: agents as the role files of a folder say, in the home folder or at a running server; engram agent find.
#include <cstdlib>
#include <filesystem>
#include <format>

#include "agents/agent_query.h"
#include "agents/role_plan.h"
#include "chat/tool_call.h"
#include "cli/agent_directory.h"
#include "cli/agent_view.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "config/options.h"
#include "config/role_file.h"
#include "server/agent_client.h"

namespace engram::cli {
namespace {

struct RoleArguments {
    std::string folder, set, url, key_variable;
    bool prune = false, dry_run = false;
    AgentQuery query;
};

// `Agents`: AgentDirectory, or AgentClient.
template <typename Agents>
Result<void> take(Agents &agents, const RoleStep &step) {
    switch (step.kind) {
        case RoleStep::Kind::create: ENGRAM_TRY(agents.create(step.spec)); break;
        case RoleStep::Kind::change: ENGRAM_TRY(agents.change(step.id, step.change)); break;
        case RoleStep::Kind::remove: ENGRAM_TRY(agents.remove(step.id)); break;
        case RoleStep::Kind::keep: break;
    }
    return step.retention ? agents.retain(step.id, *step.retention) : Result<void>();
}

template <typename Agents>
Result<ExitCode> apply_to(Agents &agents, const std::vector<AgentSpec> &roles, const RoleArguments &arguments,
                          const Context &context) {
    ENGRAM_ASSIGN(const std::vector<AgentInfo> present, agents.list());
    Json json = Json::array();
    std::string text;
    for (const RoleStep &step : plan_roles(roles, present, arguments.set, arguments.prune)) {
        if (!arguments.dry_run) {
            auto taken = take(agents, step);
            if (!taken) return std::unexpected(std::move(taken.error()).within(std::format("agent {}", step.id)));
        }
        json.push_back({{"agent", step.id}, {"done", step_name(step.kind)}, {"what", step.what}});
        std::string what;
        for (const std::string &one : step.what) what += (what.empty() ? ": " : ", ") + one;
        text += std::format("{:<10}{}{}\n", step_name(step.kind), step.id, what);
    }
    if (text.empty()) text = std::format("there are no roles (*.toml) in {}", arguments.folder);
    context.out.facts({{"dry_run", arguments.dry_run}, {"agents", json}}, text);
    return ExitCode::ok;
}

Result<std::string> server_key(const RoleArguments &arguments) {
    if (arguments.key_variable.empty()) return std::string();
    const char *key = std::getenv(arguments.key_variable.c_str());  // NOLINT(concurrency-mt-unsafe): no other thread runs yet
    if (key != nullptr && *key != '\0') return std::string(key);
    return fail(ErrorCode::invalid_argument,
                std::format("the variable {} that --api-key-env names is not set", arguments.key_variable));
}

Result<ExitCode> apply(const RoleArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const std::vector<AgentSpec> roles, read_roles(std::filesystem::absolute(arguments.folder).lexically_normal()));
    for (const AgentSpec &role : roles) {
        auto checked = checked_tools(role.tools);
        if (!checked) return std::unexpected(std::move(checked.error()).within(std::format("role {}", role.id)));
    }
    if (!arguments.url.empty()) {
        ENGRAM_ASSIGN(std::string key, server_key(arguments));
        ENGRAM_ASSIGN(AgentClient server, AgentClient::open({.url = arguments.url, .key = std::move(key)}));
        return apply_to(server, roles, arguments, context);
    }
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    const auto access = arguments.dry_run ? AgentDirectory::Access::read : AgentDirectory::Access::change;
    auto directory = AgentDirectory::open(options, access);
    if (!directory) {
        Error error = std::move(directory.error());
        if (error.code == ErrorCode::locked) error.message += "; agents of a running server are changed with --url URL";
        return std::unexpected(std::move(error));
    }
    return apply_to(*directory, roles, arguments, context);
}

Result<ExitCode> find(const RoleArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    ENGRAM_ASSIGN(const AgentDirectory directory, AgentDirectory::open(options, AgentDirectory::Access::read));
    ENGRAM_ASSIGN(std::vector<AgentInfo> agents, directory.list());
    std::erase_if(agents, [&](const AgentInfo &info) { return info.conversation || !matches(info, arguments.query); });
    Json json = Json::array();
    for (const AgentInfo &info : agents) json.push_back(agent_json(info));
    context.out.facts(json, agents.empty() ? "no agent is like that" : agent_table(agents, now_ms()));
    return ExitCode::ok;
}

}  // namespace

void add_role_commands(CommandLine &line, CLI::App &group) {
    auto arguments = argument<RoleArguments>();
    CLI::App &applying =
        line.command(group, "apply", "make agents as the role files (*.toml) of a folder say; doing it again changes nothing",
                     [arguments](Context &context) { return apply(*arguments, context); });
    applying.add_option("DIR", arguments->folder, "the folder")->required();
    applying.add_option("--set", arguments->set, "name of the set of roles, which --prune goes by")
        ->default_val("roles")
        ->type_name("NAME");
    applying.add_flag("--prune", arguments->prune, "delete agents of the set that have no role file any more, with their memory");
    applying.add_flag("--dry-run", arguments->dry_run, "say what would be done, and do nothing");
    CLI::Option *url =
        applying.add_option("--url", arguments->url, "at a running server, http://127.0.0.1:8000, in place of the home folder")
            ->type_name("URL");
    applying.add_option("--api-key-env,--key-env", arguments->key_variable, "variable that holds the server's key")
        ->type_name("NAME")
        ->needs(url);

    CLI::App &finding = line.command(group, "find", "find agents by what is said of them; all that is given must hold",
                                     [arguments](Context &context) { return find(*arguments, context); });
    finding.add_option("WORDS", arguments->query.text, "words of the id, description, labels and skills");
    finding.add_option("--skill", arguments->query.skill, "id, name or tag of a skill")->type_name("SKILL");
    finding.add_option("--label", arguments->query.label, "a label")->type_name("LABEL");
    finding.add_option("--owner", arguments->query.owner, "whose it is")->type_name("OWNER");
    finding.add_option("--tool", arguments->query.tool, "a function that it may call, or a tool server's tool: files/read_file")
        ->type_name("NAME");
    // --model is a setting, the file of the loaded one, and valid here too.
    finding.add_option("--of-model", arguments->query.model, "the model that talked to it last, as `engram agent show` names it")
        ->type_name("MODEL");
}

}  // namespace engram::cli
