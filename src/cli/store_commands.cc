// engram store ...: stat, verify, gc, quarantine.
#include <format>

#include "agents/paths.h"
#include "cli/agent_directory.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/humanise.h"
#include "cli/progress.h"
#include "cli/store_survey.h"
#include "config/options.h"

namespace engram::cli {
namespace {

struct StoreArguments {
    bool force = false, read_only = false;
};

// ---- stat ----

Json survey_json(const StoreSurvey &survey, const ManagerOptions &options) {
    Json kinds = Json::object();
    for (std::size_t kind = 0; kind < kPartKinds; ++kind) {
        kinds[std::string(part_kind_name(static_cast<PartKind>(kind)))] = survey.bytes_by_kind.at(kind);
    }
    Json types = Json::object();
    for (std::size_t i = 0; i < kStoredTypes.size(); ++i) {
        types[std::string(kv_type_name(kStoredTypes.at(i)))] = survey.payload_bytes_as.at(i);
    }
    Json tenants = Json::array();
    for (const TenantBytes &tenant : survey.tenants) {
        tenants.push_back(
            {{"tenant", tenant.tenant}, {"agents", tenant.agents}, {"parts", tenant.parts}, {"bytes", tenant.bytes}});
    }
    Json agents = Json::array();
    for (const AgentBytes &agent : survey.agents) {
        agents.push_back({{"tenant", agent.tenant},
                          {"agent", agent.id},
                          {"pinned", agent.pinned},
                          {"parts", agent.parts},
                          {"bytes", agent.bytes},
                          {"exclusive_bytes", agent.exclusive_bytes}});
    }
    const StoreStats &stats = survey.stats;
    return {{"path", store_path(options.home).string()},
            {"tiers",
             {{"disk", {{"bytes", stats.disk_bytes}, {"parts", stats.disk_parts}, {"budget_bytes", stats.disk_budget_bytes}}},
              {"memory",
               {{"bytes", stats.memory_bytes}, {"parts", stats.memory_parts}, {"budget_bytes", stats.memory_budget_bytes}}}}},
            {"unclaimed", {{"bytes", stats.unclaimed_disk_bytes}, {"parts", stats.unclaimed_disk_parts}}},
            {"quarantine", {{"bytes", stats.quarantine_bytes}, {"parts", stats.quarantine_parts}}},
            {"foreign_files", survey.recovery.foreign_files},
            {"bytes_by_kind", kinds},
            {"payload_bytes", survey.payload_bytes},
            {"payload_bytes_as", types},
            {"unreadable_parts", survey.unreadable_parts},
            {"unreadable_manifests", survey.unreadable_manifests},
            {"tenants", tenants},
            {"agents", agents}};
}

std::string share_text(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? "" : std::format("{:.0f} %", 100 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string survey_text(const StoreSurvey &survey, const ManagerOptions &options) {
    const StoreStats &stats = survey.stats;
    std::string text = store_path(options.home).string() + "\n\n";
    Table tiers({"TIER", ">BYTES", ">BUDGET", ">USED", ">PARTS"});
    tiers.add({"disk", human_bytes(stats.disk_bytes), human_bytes(stats.disk_budget_bytes),
               share_text(stats.disk_bytes, stats.disk_budget_bytes), human_count(stats.disk_parts)});
    tiers.add({"  unclaimed", human_bytes(stats.unclaimed_disk_bytes), "", "", human_count(stats.unclaimed_disk_parts)});
    tiers.add({"memory", human_bytes(stats.memory_bytes), human_bytes(stats.memory_budget_bytes),
               share_text(stats.memory_bytes, stats.memory_budget_bytes), human_count(stats.memory_parts)});
    tiers.add({"quarantine", human_bytes(stats.quarantine_bytes), "", "", human_count(stats.quarantine_parts)});
    text += tiers.text();

    Table types({"STORED AS", ">BYTES", ">OF NOW"});
    types.add({"as they are", human_bytes(survey.payload_bytes), share_text(survey.payload_bytes, survey.payload_bytes)});
    for (std::size_t i = 0; i < kStoredTypes.size(); ++i) {
        types.add({std::string(kv_type_name(kStoredTypes.at(i))), human_bytes(survey.payload_bytes_as.at(i)),
                   share_text(survey.payload_bytes_as.at(i), survey.payload_bytes)});
    }
    text += "\nKeys and values, with --kv-store-type:\n" + types.text();

    if (!survey.tenants.empty()) {
        Table tenants({"TENANT", ">AGENTS", ">BYTES", ">PARTS"});
        for (const TenantBytes &tenant : survey.tenants) {
            tenants.add({tenant.tenant, human_count(tenant.agents), human_bytes(tenant.bytes), human_count(tenant.parts)});
        }
        Table agents({"AGENT", "TENANT", ">BYTES", ">ONLY ITS", ">PARTS", "PINNED"});
        for (const AgentBytes &agent : survey.agents) {
            agents.add({agent.id, agent.tenant, human_bytes(agent.bytes), human_bytes(agent.exclusive_bytes),
                        human_count(agent.parts), agent.pinned ? "yes" : ""});
        }
        text += "\n" + tenants.text() + "\n" + agents.text();
    }
    return text;
}

Result<ExitCode> stat(const Context &context) {
    ENGRAM_ASSIGN(ManagerOptions options, manager_options(context.settings));
    ENGRAM_ASSIGN(StoreSurvey survey, survey_store(options));
    context.out.facts(survey_json(survey, options), survey_text(survey, options));
    for (const std::string &agent : survey.unreadable_manifests) {
        context.out.say(LogLevel::warn, std::format("the memory of {} can't be counted", agent));
    }
    if (survey.unreadable_parts > 0) {
        context.out.say(LogLevel::warn,
                        std::format("{} parts can't be read; `engram store verify` says why", survey.unreadable_parts));
    }
    return ExitCode::ok;
}

// ---- verify, gc, quarantine ----

Result<std::unique_ptr<BlockStore>> open_store(const ManagerOptions &options, bool read_only) {
    if (!read_only) {
        ENGRAM_TRY(ensure_home(options.home));
    }
    return BlockStore::open(store_options(options, read_only), posix_file_system(), system_clock(), nullptr);
}

bool store_absent(const ManagerOptions &options) {
    std::error_code error;
    return !std::filesystem::exists(store_path(options.home), error);
}

Result<ExitCode> verify(const StoreArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(ManagerOptions options, manager_options(context.settings));
    VerifyReport report;
    if (!store_absent(options)) {
        ENGRAM_ASSIGN(auto store, open_store(options, arguments.read_only));
        Progress progress(context.out, "verifying");
        ENGRAM_ASSIGN(report,
                      store->verify([&progress](std::uint64_t done, std::uint64_t total) { progress.update(done, total); }));
    }
    std::vector<std::string> registry_problems;
    std::error_code error;
    if (std::filesystem::exists(registry_path(options.home), error)) {
        ENGRAM_ASSIGN(auto registry, Registry::open(registry_path(options.home)));
        ENGRAM_ASSIGN(registry_problems, registry->integrity_check());
    }
    std::string text = std::format("{} parts, {}: {}\n", human_count(report.parts), human_bytes(report.bytes),
                                   report.corrupt == 0 ? "all sound" : std::format("{} corrupt", human_count(report.corrupt)));
    for (const std::string &message : report.messages) {
        text += "  " + printable(message) + "\n";
    }
    if (report.corrupt > 0) {
        text += arguments.read_only ? "nothing was moved (--read-only)\n"
                                    : "corrupt parts are in quarantine; their tokens are read again when needed\n";
    }
    for (const std::string &problem : registry_problems) {
        text += "registry: " + printable(problem) + "\n";
    }
    context.out.facts({{"parts", report.parts},
                       {"bytes", report.bytes},
                       {"corrupt", report.corrupt},
                       {"messages", report.messages},
                       {"registry_problems", registry_problems}},
                      text);
    return report.corrupt == 0 && registry_problems.empty() ? ExitCode::ok : ExitCode::corrupt;
}

Result<ExitCode> collect_garbage(const StoreArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(ManagerOptions options, manager_options(context.settings));
    RecoveryReport report;
    if (!store_absent(options)) {
        ENGRAM_ASSIGN(auto store, open_store(options, false));
        std::error_code error;
        if (std::filesystem::exists(registry_path(options.home), error)) {
            ENGRAM_ASSIGN(auto registry, Registry::open(registry_path(options.home)));
            ENGRAM_ASSIGN(std::vector<std::string> unreadable, claim_all(*registry, *store));
            if (!unreadable.empty() && !arguments.force) {
                return fail(ErrorCode::corrupt,
                            std::format("nothing was removed: it isn't known what {} needs ({}); --force removes its parts too",
                                        unreadable.size() == 1 ? "one agent" : "some agents", unreadable.front()));
            }
        }
        const RecoveryReport found = store->recovery();
        ENGRAM_ASSIGN(report, store->remove_unclaimed());
        report.temporary_files_removed = found.temporary_files_removed;
    }
    context.out.facts(
        {{"removed_parts", report.orphans_removed},
         {"removed_bytes", report.orphan_bytes},
         {"removed_temporary_files", report.temporary_files_removed}},
        std::format("removed {} unclaimed parts ({}) and {} half-written files", human_count(report.orphans_removed),
                    human_bytes(report.orphan_bytes), human_count(report.temporary_files_removed)));
    return ExitCode::ok;
}

Result<std::vector<DirectoryEntry>> quarantined(const ManagerOptions &options) {
    const std::filesystem::path folder = store_path(options.home) / "quarantine";
    std::error_code error;
    if (!std::filesystem::exists(folder, error)) {
        return std::vector<DirectoryEntry>{};
    }
    return posix_file_system().list(folder);
}

Result<ExitCode> list_quarantine(const Context &context) {
    ENGRAM_ASSIGN(ManagerOptions options, manager_options(context.settings));
    ENGRAM_ASSIGN(std::vector<DirectoryEntry> files, quarantined(options));
    Json json = Json::array();
    Table table({"FILE", ">BYTES", "SINCE"});
    for (const DirectoryEntry &file : files) {
        json.push_back({{"file", file.name}, {"bytes", file.bytes}, {"modified_ms", file.modified_ms}});
        table.add({one_line(file.name, 100), human_bytes(file.bytes), human_age(file.modified_ms, now_ms())});
    }
    context.out.facts(json, files.empty() ? "nothing is in quarantine" : table.text());
    return ExitCode::ok;
}

Result<ExitCode> clear_quarantine(const Context &context) {
    ENGRAM_ASSIGN(ManagerOptions options, manager_options(context.settings));
    std::uint64_t removed = 0;
    if (!store_absent(options)) {
        ENGRAM_ASSIGN(auto store, open_store(options, false));
        ENGRAM_ASSIGN(removed, store->clear_quarantine());
    }
    context.out.facts({{"removed_files", removed}}, std::format("removed {} files from quarantine", human_count(removed)));
    return ExitCode::ok;
}

}  // namespace

void add_store_commands(CommandLine &line) {
    CLI::App &group = line.group("store", "the agents' memory on disk");
    auto arguments = argument<StoreArguments>();
    line.command(group, "stat", "show bytes by tier, tenant and agent, budgets, and what other types would take",
                 [](Context &context) { return stat(context); });
    line.command(group, "verify", "read and check every stored part; corrupt ones go to quarantine",
                 [arguments](Context &context) { return verify(*arguments, context); })
        .add_flag("--read-only", arguments->read_only, "check only, move nothing; works beside a running program");
    line.command(group, "gc", "remove parts that no agent needs",
                 [arguments](Context &context) { return collect_garbage(*arguments, context); })
        .add_flag("--force", arguments->force, "also when some agent's manifest can't be read");
    CLI::App &quarantine = *group.add_subcommand("quarantine", "parts that failed verification");
    quarantine.require_subcommand(1);
    quarantine.subcommand_fallthrough(false);
    line.command(quarantine, "list", "list them", [](Context &context) { return list_quarantine(context); });
    line.command(quarantine, "clear", "delete them", [](Context &context) { return clear_quarantine(context); });
}

}  // namespace engram::cli
