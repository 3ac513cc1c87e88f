// engram agent ...: create, list, show, fork, delete, rename, pin and unpin (without a model); export, import, load, save and
// evict (with one); transcript.
#include <format>

#include "chat/tool_call.h"
#include "cli/agent_directory.h"
#include "cli/agent_view.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/humanise.h"
#include "cli/text_input.h"
#include "config/config_file.h"
#include "config/options.h"

namespace engram::cli {
namespace {

struct AgentArguments {
    std::string agent, other, system, description, tools, file;
    bool ids_only = false, recompute = false, to_memory = false, force = false;
};
using Arguments = std::shared_ptr<AgentArguments>;

Result<AgentDirectory> open_directory(const Context &context, AgentDirectory::Access access) {
    ENGRAM_ASSIGN(ManagerOptions options, manager_options(context.settings));
    return AgentDirectory::open(options, access);
}

ExitCode show_agent(const Context &context, const AgentInfo &info, std::string_view done) {
    context.out.facts(agent_json(info), done);
    return ExitCode::ok;
}

Result<ExitCode> create_agent(const AgentArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(std::string system, text_argument(arguments.system));
    ENGRAM_TRY(require_text(system, "the system prompt"));
    ENGRAM_TRY(require_text(arguments.description, "the description"));
    AgentSpec spec{.id = arguments.agent, .system_prompt = system, .description = arguments.description, .tools = {}};
    if (!arguments.tools.empty()) {
        ENGRAM_ASSIGN(spec.tools, read_bounded_file(arguments.tools, kMaxInputBytes));
        auto checked = checked_tools(spec.tools);
        if (!checked) return std::unexpected(std::move(checked.error()).within(arguments.tools));
    }
    ENGRAM_ASSIGN(AgentDirectory directory, open_directory(context, AgentDirectory::Access::change));
    ENGRAM_ASSIGN(AgentInfo info, directory.create(spec));
    return show_agent(context, info, std::format("created {}", info.id));
}

Result<ExitCode> list_agents(const AgentArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(AgentDirectory directory, open_directory(context, AgentDirectory::Access::read));
    ENGRAM_ASSIGN(std::vector<AgentInfo> agents, directory.list());
    Json json = Json::array();
    std::string ids;
    for (const AgentInfo &info : agents) {
        json.push_back(arguments.ids_only ? Json(info.id) : agent_json(info));
        ids += info.id + "\n";
    }
    if (arguments.ids_only) {
        context.out.facts(json, ids);
    } else if (agents.empty()) {
        context.out.facts(json, "no agents yet; `engram agent create NAME` makes one");
    } else {
        context.out.facts(json, agent_table(agents, now_ms()));
    }
    return ExitCode::ok;
}

Result<ExitCode> show(const AgentArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(AgentDirectory directory, open_directory(context, AgentDirectory::Access::read));
    ENGRAM_ASSIGN(AgentInfo info, directory.get(arguments.agent));
    return show_agent(context, info, agent_text(info, now_ms()));
}

Result<ExitCode> show_transcript(const AgentArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(AgentDirectory directory, open_directory(context, AgentDirectory::Access::read));
    ENGRAM_ASSIGN(std::vector<Message> messages, directory.transcript(arguments.agent));
    context.out.facts(transcript_json(messages), transcript_text(messages, context.out));
    return ExitCode::ok;
}

Result<ExitCode> fork_agent(const AgentArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(AgentDirectory directory, open_directory(context, AgentDirectory::Access::change));
    ENGRAM_ASSIGN(AgentInfo info, directory.fork(arguments.agent, arguments.other));
    return show_agent(context, info, std::format("forked {} to {}", arguments.agent, info.id));
}

Result<ExitCode> rename_agent(const AgentArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(AgentDirectory directory, open_directory(context, AgentDirectory::Access::change));
    ENGRAM_ASSIGN(AgentInfo info, directory.rename(arguments.agent, arguments.other));
    return show_agent(context, info, std::format("renamed {} to {}", arguments.agent, info.id));
}

Result<ExitCode> delete_agent(const AgentArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(AgentDirectory directory, open_directory(context, AgentDirectory::Access::change));
    ENGRAM_ASSIGN(std::uint64_t freed, directory.remove(arguments.agent));
    context.out.facts({{"deleted", arguments.agent}, {"freed_bytes", freed}},
                      std::format("deleted {}; {} freed", arguments.agent, human_bytes(freed)));
    return ExitCode::ok;
}

Result<ExitCode> pin_agent(const AgentArguments &arguments, const Context &context, bool pinned) {
    ENGRAM_ASSIGN(AgentDirectory directory, open_directory(context, AgentDirectory::Access::change));
    ENGRAM_TRY(directory.pin(arguments.agent, pinned));
    ENGRAM_ASSIGN(AgentInfo info, directory.get(arguments.agent));
    return show_agent(context, info, std::format("{} {}", pinned ? "pinned" : "unpinned", info.id));
}

Result<ExitCode> retain_agent(const AgentArguments &arguments, const Context &context) {
    const auto retention = retention_from_name(arguments.other);
    if (!retention) {
        return fail(ErrorCode::invalid_argument,
                    std::format("\"{}\" is no time to keep memory for: use 5m, 1h, 24h, forever or standard", arguments.other));
    }
    ENGRAM_ASSIGN(AgentDirectory directory, open_directory(context, AgentDirectory::Access::change));
    ENGRAM_TRY(directory.retain(arguments.agent, *retention));
    ENGRAM_ASSIGN(AgentInfo info, directory.get(arguments.agent));
    return show_agent(context, info, std::format("retention of {}: {}", info.id, retention_name(info.retention)));
}

Result<ExitCode> export_agent(const AgentArguments &arguments, const Context &context) {
    const std::filesystem::path file = std::filesystem::absolute(arguments.file);
    std::error_code error;
    if (!arguments.force && std::filesystem::exists(file, error)) {
        return fail(ErrorCode::already_exists, std::format("{} is already there; --force overwrites it", file.string()));
    }
    ENGRAM_ASSIGN(auto manager, open_manager(context));
    ENGRAM_TRY(manager->export_agent(arguments.agent, file));
    const std::uintmax_t bytes = std::filesystem::file_size(file, error);
    context.out.facts({{"exported", arguments.agent}, {"file", file.string()}, {"bytes", bytes}},
                      std::format("exported {} to {} ({})", arguments.agent, file.string(), human_bytes(bytes)));
    return ExitCode::ok;
}

Result<ExitCode> import_agent(const AgentArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(auto manager, open_manager(context));
    ENGRAM_ASSIGN(AgentInfo info, manager->import_agent(std::filesystem::absolute(arguments.file),
                                                        {.as = arguments.other, .recompute = arguments.recompute}));
    return show_agent(context, info, std::format("imported {} with {} tokens", info.id, human_count(info.n_tokens)));
}

// load, save and evict: something is done to the agent's memory, then the agent is shown.
Result<ExitCode> with_manager(const AgentArguments &arguments, const Context &context, std::string_view done,
                              const std::function<Result<void>(AgentManager &)> &act) {
    ENGRAM_TRY(validate_agent_id(arguments.agent));
    ENGRAM_ASSIGN(auto manager, open_manager(context));
    ENGRAM_TRY(act(*manager));
    ENGRAM_ASSIGN(AgentInfo info, manager->get(arguments.agent));
    return show_agent(context, info,
                      std::format("{} {}: {} tokens, {} on disk, now in {}", done, info.id, human_count(info.n_tokens),
                                  human_bytes(info.disk_bytes), info.tier));
}

CLI::App &agent_command(CommandLine &line, CLI::App &group, const Arguments &arguments, const std::string &name,
                        const std::string &help, std::function<Result<ExitCode>(const AgentArguments &, const Context &)> act) {
    CLI::App &app =
        line.command(group, name, help, [arguments, act = std::move(act)](Context &context) { return act(*arguments, context); });
    app.add_option("AGENT", arguments->agent, "the agent's id")->required();
    return app;
}

void add_metadata_commands(CommandLine &line, CLI::App &group) {
    auto arguments = argument<AgentArguments>();
    CLI::App &create = agent_command(line, group, arguments, "create", "create an agent", create_agent);
    create.add_option("--system", arguments->system, "system prompt; @FILE: from a file, -: from standard input")
        ->type_name("TEXT");
    create.add_option("--description", arguments->description, "one line for lists")->type_name("TEXT");
    create.add_option("--tools", arguments->tools, "JSON file with the functions that it may call, in OpenAI's shape")
        ->type_name("FILE");

    CLI::App &list = line.command(group, "list", "list the agents",
                                  [arguments](Context &context) { return list_agents(*arguments, context); });
    list.add_flag("--ids", arguments->ids_only, "ids only, one on each line");

    agent_command(line, group, arguments, "show", "show what is known about an agent", show);
    agent_command(line, group, arguments, "transcript", "print an agent's conversation", show_transcript);
    agent_command(line, group, arguments, "fork", "copy an agent; both go on from the same memory", fork_agent)
        .add_option("NEW", arguments->other, "the copy's id")
        ->required();
    agent_command(line, group, arguments, "rename", "give an agent another id", rename_agent)
        .add_option("NEW", arguments->other, "the new id")
        ->required();
    agent_command(line, group, arguments, "delete", "delete an agent and the memory that only it needs", delete_agent);
    agent_command(line, group, arguments, "pin", "never evict the agent's memory from disk",
                  [](const AgentArguments &a, const Context &context) { return pin_agent(a, context, true); });
    agent_command(line, group, arguments, "unpin", "let the agent's memory be evicted again",
                  [](const AgentArguments &a, const Context &context) { return pin_agent(a, context, false); });
    agent_command(line, group, arguments, "retain", "keep the agent's memory on disk, for so long after each use, before others'",
                  retain_agent)
        .add_option("TIME", arguments->other, "5m, 1h, 24h, forever (as if it were pinned), or standard: no promise")
        ->required();
}

void add_memory_commands(CommandLine &line, CLI::App &group) {
    auto arguments = argument<AgentArguments>();
    CLI::App &out = agent_command(line, group, arguments, "export", "write an agent with its memory to one file", export_agent);
    out.add_option("FILE", arguments->file, "the file to write")->required();
    out.add_flag("--force", arguments->force, "overwrite the file");

    CLI::App &in = line.command(group, "import", "read an agent from an exported file",
                                [arguments](Context &context) { return import_agent(*arguments, context); });
    in.add_option("FILE", arguments->file, "the exported file")->required()->check(CLI::ExistingFile);
    in.add_option("--as", arguments->other, "another id than the exported one")->type_name("NEW");
    in.add_flag("--recompute", arguments->recompute, "take the conversation only, for another model or setting");

    agent_command(line, group, arguments, "load", "bring the agent's memory into the context (checks that it can be)",
                  [](const AgentArguments &a, const Context &context) {
                      return with_manager(a, context, "loaded", [&a](AgentManager &manager) { return manager.load(a.agent); });
                  });
    agent_command(line, group, arguments, "save", "make sure that the agent's memory is on disk",
                  [](const AgentArguments &a, const Context &context) {
                      return with_manager(a, context, "saved", [&a](AgentManager &manager) { return manager.save(a.agent); });
                  });
    agent_command(line, group, arguments, "evict", "take the agent's memory out of the context",
                  [](const AgentArguments &a, const Context &context) {
                      const auto to = a.to_memory ? AgentManager::EvictTo::memory : AgentManager::EvictTo::disk;
                      return with_manager(a, context, "evicted",
                                          [&a, to](AgentManager &manager) { return manager.evict(a.agent, to); });
                  })
        .add_flag("--to-memory", arguments->to_memory, "keep it in host memory");
}

}  // namespace

void add_agent_commands(CommandLine &line) {
    CLI::App &group = line.group("agent", "create, look at and manage agents");
    add_metadata_commands(line, group);
    add_memory_commands(line, group);
    add_role_commands(line, group);
}

}  // namespace engram::cli
