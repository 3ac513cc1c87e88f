// engram tenant ...: list, set.
#include <algorithm>
#include <array>
#include <charconv>
#include <format>

#include "cli/commands.h"
#include "cli/home.h"
#include "cli/humanise.h"
#include "cli/tenant_files.h"
#include "config/settings.h"
#include "core/ids.h"

namespace engram::cli {
namespace {

struct TenantArguments {
    std::string name;
    std::array<std::string, kQuotaFields.size()> limits;  // as given, in the order of kQuotaFields; empty: stays as it is
};

// How the commands call the limits, in the order of kQuotaFields.
struct LimitFlag {
    std::string_view flag, heading, value_name, help;
    bool bytes;
};
constexpr std::array<LimitFlag, kQuotaFields.size()> kLimitFlags{{
    {"--disk", ">DISK", "SIZE", "most bytes of memory that its agents keep on disk", true},
    {"--memory", ">MEMORY", "SIZE", "most bytes of memory that they keep in host memory", true},
    {"--agents", ">AGENTS", "N", "most agents that it has", false},
    {"--tokens-per-minute", ">TOKENS/MIN", "N",
     "tokens that are computed for it in a minute: prompts that aren't reused, and answers", false},
    {"--requests", ">REQUESTS", "N", "requests that it has running at the same time", false},
}};

constexpr std::string_view kUnlimited = "unlimited";

// "10GiB", "50" or "unlimited".
Result<std::optional<std::uint64_t>> parse_limit(std::string_view text, const LimitFlag &flag) {
    if (text == kUnlimited) return std::nullopt;
    if (flag.bytes) return parse_bytes(text);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size() && !text.empty()) return value;
    return fail(ErrorCode::invalid_argument, std::format("\"{}\" isn't a whole number or {}", text, kUnlimited));
}

std::string limit_text(const std::optional<std::uint64_t> &limit, const LimitFlag &flag) {
    return !limit ? std::string(kUnlimited) : flag.bytes ? human_bytes(*limit) : human_count(*limit);
}

Json tenant_json(const TenantRow &tenant) {
    Json quota = Json::object();
    for (const QuotaField &field : kQuotaFields) {
        const auto limit = tenant.quota.*field.limit;
        quota[std::string(field.name)] = limit ? Json(*limit) : Json();
    }
    return {{"tenant", tenant.name}, {"created_ms", tenant.created_ms}, {"quota", quota}};
}

Result<ExitCode> list_tenants(const Context &context) {
    ENGRAM_ASSIGN(const TenantTables tables, read_tenants(context));
    const std::int64_t now = now_ms();
    std::vector<std::string> headings{"TENANT", ">VALID KEYS"};
    for (const LimitFlag &flag : kLimitFlags) headings.emplace_back(flag.heading);
    Table table(headings);
    Json json = Json::array();
    for (const TenantRow &tenant : tables.tenants) {
        const auto keys =
            std::ranges::count_if(tables.keys, [&](const KeyRow &key) { return key.tenant == tenant.name && key.valid_at(now); });
        std::vector<std::string> cells{tenant.name, human_count(static_cast<std::uint64_t>(keys))};
        for (std::size_t i = 0; i < kQuotaFields.size(); ++i) {
            cells.push_back(limit_text(tenant.quota.*kQuotaFields.at(i).limit, kLimitFlags.at(i)));
        }
        table.add(std::move(cells));
        json.push_back(tenant_json(tenant));
        json.back()["valid_keys"] = keys;
    }
    context.out.facts(json, table.text());
    return ExitCode::ok;
}

Result<ExitCode> set_tenant(const TenantArguments &arguments, const Context &context) {
    ENGRAM_TRY(validate_tenant_id(arguments.name));
    std::array<std::optional<std::uint64_t>, kQuotaFields.size()> limits;
    for (std::size_t i = 0; i < limits.size(); ++i) {
        if (arguments.limits.at(i).empty()) continue;
        auto limit = parse_limit(arguments.limits.at(i), kLimitFlags.at(i));
        if (!limit) return std::unexpected(std::move(limit.error()).within(kLimitFlags.at(i).flag));
        limits.at(i) = *limit;
    }
    ENGRAM_ASSIGN(TenantStore store, open_tenants(context));
    const auto change = [&](Quota &quota) {
        for (std::size_t i = 0; i < limits.size(); ++i) {
            if (!arguments.limits.at(i).empty()) quota.*kQuotaFields.at(i).limit = limits.at(i);
        }
    };
    ENGRAM_ASSIGN(const TenantRow tenant, store.set_tenant(arguments.name, change, now_ms()));
    std::string text = std::format("tenant {}:", tenant.name);
    for (std::size_t i = 0; i < kQuotaFields.size(); ++i) {
        text += std::format("{} {} {}", i == 0 ? "" : ",", kLimitFlags.at(i).flag.substr(2),
                            limit_text(tenant.quota.*kQuotaFields.at(i).limit, kLimitFlags.at(i)));
    }
    context.out.facts(tenant_json(tenant), text);
    return ExitCode::ok;
}

}  // namespace

void add_tenant_commands(CommandLine &line) {
    CLI::App &group = line.group("tenant", "who shares this server, and how much each may use");
    line.command(group, "list", "list the tenants and their limits", [](Context &context) { return list_tenants(context); });
    auto arguments = argument<TenantArguments>();
    CLI::App &set = line.command(group, "set", "make a tenant, or change its limits; one that isn't given stays as it is",
                                 [arguments](Context &context) { return set_tenant(*arguments, context); });
    set.add_option("NAME", arguments->name, "the tenant's name")->required();
    for (std::size_t i = 0; i < kLimitFlags.size(); ++i) {
        const LimitFlag &flag = kLimitFlags.at(i);
        set.add_option(std::string(flag.flag), arguments->limits.at(i), std::format("{}; or {}", flag.help, kUnlimited))
            ->type_name(std::string(flag.value_name));
    }
}

}  // namespace engram::cli
