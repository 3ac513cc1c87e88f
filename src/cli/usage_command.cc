// engram usage: what tenants and agents used, from the ledger.
#include <format>

#include "cli/commands.h"
#include "cli/humanise.h"
#include "cli/tenant_files.h"
#include "tenants/tenants.h"

namespace engram::cli {
namespace {

struct UsageArguments {
    std::string from, to, by = "day";
    bool csv = false;
};

std::string usage_text(std::span<const UsageRow> rows, const UsageColumns &columns) {
    std::vector<std::string> headings;
    if (columns.day) headings.emplace_back("DAY");
    if (columns.tenant) headings.emplace_back("TENANT");
    if (columns.agent) headings.emplace_back("AGENT");
    headings.insert(headings.end(), {">REQUESTS", ">COMPUTED", ">REUSED", ">GENERATED", ">STORED"});
    Table table(headings);
    for (const UsageRow &row : rows) {
        std::vector<std::string> cells;
        if (columns.day) cells.push_back(row.day);
        if (columns.tenant) cells.push_back(row.tenant);
        if (columns.agent) cells.push_back(row.agent.empty() ? "-" : row.agent);
        for (const std::uint64_t count :
             {row.usage.requests, row.usage.computed_tokens, row.usage.reused_tokens, row.usage.generated_tokens}) {
            cells.push_back(human_count(count));
        }
        cells.push_back(human_bytes(row.usage.stored_byte_seconds / 3600) + " h");
        table.add(std::move(cells));
    }
    return rows.empty() ? "nothing was used" : table.text();
}

Result<ExitCode> show_usage(const UsageArguments &arguments, const Context &context) {
    if (arguments.csv && context.out.json()) {
        return fail(ErrorCode::invalid_argument, "--csv and --json are both given; leave one of the two out");
    }
    UsageQuery query{.from_day = arguments.from, .to_day = arguments.to, .tenant = named_tenant(context)};
    ENGRAM_ASSIGN(query.columns, UsageColumns::parse(arguments.by));
    for (const std::string &day : {query.from_day, query.to_day}) {
        if (!day.empty()) ENGRAM_TRY(validate_day(day));
    }
    const std::filesystem::path file = ledger_path(context.settings.home());
    std::vector<UsageRow> rows;
    std::error_code error;
    if (std::filesystem::exists(file, error)) {
        ENGRAM_ASSIGN(const auto ledger, Ledger::open(file, system_clock()));
        ENGRAM_ASSIGN(rows, ledger->query(query));
    }
    context.out.facts(usage_json(rows, query.columns),
                      arguments.csv ? usage_csv(rows, query.columns) : usage_text(rows, query.columns));
    return ExitCode::ok;
}

}  // namespace

void add_usage_command(CommandLine &line) {
    auto arguments = argument<UsageArguments>();
    CLI::App &app = line.command("usage", "show what was used: requests, tokens computed, reused and generated, bytes stored",
                                 [arguments](Context &context) { return show_usage(*arguments, context); });
    app.add_option("--from", arguments->from, "first day (UTC), such as 2026-01-31")->type_name("DAY");
    app.add_option("--to", arguments->to, "last day")->type_name("DAY");
    app.add_option("--by", arguments->by, "a row for each day, tenant or agent, or several of them with commas between")
        ->type_name("COLUMNS")
        ->capture_default_str();
    app.add_flag("--csv", arguments->csv, "print comma-separated values");
}

}  // namespace engram::cli
