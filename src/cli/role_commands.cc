// engram agent apply: agents as the role files of a folder say; engram agent find.
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

namespace engram::cli {
namespace {

struct RoleArguments {
    std::string folder, set;
    bool prune = false, dry_run = false;
    AgentQuery query;
};

Result<void> take(AgentDirectory &directory, const RoleStep &step) {
    switch (step.kind) {
        case RoleStep::Kind::create: ENGRAM_TRY(directory.create(step.spec)); break;
        case RoleStep::Kind::change: ENGRAM_TRY(directory.change(step.id, step.change)); break;
        case RoleStep::Kind::remove: ENGRAM_TRY(directory.remove(step.id)); break;
        case RoleStep::Kind::keep: break;
    }
    return step.retention ? directory.retain(step.id, *step.retention) : Result<void>();
}

Result<ExitCode> apply(const RoleArguments &arguments, const Context &context) {
    const std::filesystem::path folder = std::filesystem::absolute(arguments.folder).lexically_normal();
    ENGRAM_ASSIGN(const std::vector<AgentSpec> roles, read_roles(folder));
    for (const AgentSpec &role : roles) {
        auto checked = checked_tools(role.tools);
        if (!checked) return std::unexpected(std::move(checked.error()).within(std::format("role {}", role.id)));
    }
    ENGRAM_ASSIGN(const ManagerOptions options, manager_options(context.settings));
    const auto access = arguments.dry_run ? AgentDirectory::Access::read : AgentDirectory::Access::change;
    ENGRAM_ASSIGN(AgentDirectory directory, AgentDirectory::open(options, access));
    ENGRAM_ASSIGN(const std::vector<AgentInfo> agents, directory.list());
    Json json = Json::array();
    std::string text;
    for (const RoleStep &step : plan_roles(roles, agents, arguments.set, arguments.prune)) {
        if (!arguments.dry_run) {
            auto taken = take(directory, step);
            if (!taken) return std::unexpected(std::move(taken.error()).within(std::format("agent {}", step.id)));
        }
        json.push_back({{"agent", step.id}, {"done", step_name(step.kind)}, {"what", step.what}});
        std::string what;
        for (const std::string &one : step.what) what += (what.empty() ? ": " : ", ") + one;
        text += std::format("{:<10}{}{}\n", step_name(step.kind), step.id, what);
    }
    if (text.empty()) text = std::format("there are no roles (*.toml) in {}", folder.string());
    context.out.facts({{"dry_run", arguments.dry_run}, {"agents", json}}, text);
    return ExitCode::ok;
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
