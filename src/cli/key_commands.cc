// engram key ...: create, list, revoke.
#include <charconv>
#include <format>
#include <ranges>

#include "cli/commands.h"
#include "cli/home.h"
#include "cli/humanise.h"
#include "cli/tenant_files.h"
#include "cli/text_input.h"

namespace engram::cli {
namespace {

struct KeyArguments {
    std::string id, label, scopes = Scopes::usual().text(), expires;
};

// "90d" in milliseconds: a whole number of hours, days or weeks, ten years at most.
Result<std::int64_t> parse_lifetime(std::string_view text) {
    constexpr std::int64_t kHourMs = 3'600'000;
    constexpr std::int64_t kLongestMs = 87'600 * kHourMs;
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    const std::string_view unit(end, text.data() + text.size());
    const std::int64_t unit_ms = unit == "h" ? kHourMs : unit == "d" ? 24 * kHourMs : unit == "w" ? 168 * kHourMs : 0;
    if (error != std::errc{} || unit_ms == 0 || count < 1 || count > kLongestMs / unit_ms) {
        return fail(ErrorCode::invalid_argument,
                    std::format("\"{}\" isn't a time such as 12h, 90d or 4w, of ten years at most", text));
    }
    return count * unit_ms;
}

std::string_view state_of(const KeyRow &key, std::int64_t now) {
    return key.revoked_ms != 0 ? "revoked" : key.valid_at(now) ? "valid" : "expired";
}

Json key_json(const KeyRow &key, std::int64_t now) {
    Json scopes = Json::array();
    for (const auto piece : std::views::split(key.scopes.text(), ',')) scopes.push_back(std::string(piece.begin(), piece.end()));
    return {{"id", key.id},
            {"tenant", key.tenant},
            {"label", key.label},
            {"scopes", scopes},
            {"ending", key.ending},
            {"state", state_of(key, now)},
            {"created_ms", key.created_ms},
            {"expires_ms", key.expires_ms},
            {"last_used_ms", key.last_used_ms},
            {"revoked_ms", key.revoked_ms}};
}

Result<ExitCode> create_key(const KeyArguments &arguments, const Context &context) {
    ENGRAM_TRY(require_text(arguments.label, "the label"));
    const std::int64_t now = now_ms();
    KeySpec spec{.tenant = context.settings.text("tenant"), .label = arguments.label};
    ENGRAM_ASSIGN(spec.scopes, Scopes::parse(arguments.scopes));
    if (!arguments.expires.empty()) {
        ENGRAM_ASSIGN(const std::int64_t lifetime_ms, parse_lifetime(arguments.expires));
        spec.expires_ms = now + lifetime_ms;
    }
    ENGRAM_ASSIGN(TenantStore store, open_tenants(context));
    ENGRAM_ASSIGN(const NewKey key, store.create_key(spec, now));
    Json json = key_json(key.row, now);
    json["key"] = key.text;
    context.out.facts(json, key.text);
    context.out.say(LogLevel::warn, std::format("key {0} of tenant {1} is shown this once; `engram key revoke {0}` ends it",
                                                key.row.id, key.row.tenant));
    return ExitCode::ok;
}

Result<ExitCode> list_keys(const Context &context) {
    ENGRAM_ASSIGN(TenantTables tables, read_tenants(context));
    const std::string tenant = named_tenant(context);
    const std::int64_t now = now_ms();
    Json json = Json::array();
    Table table({"KEY", "TENANT", "LABEL", "ENDS IN", "SCOPES", "STATE", "CREATED", "EXPIRES", "LAST USED"});
    for (const KeyRow &key : tables.keys) {
        if (!tenant.empty() && key.tenant != tenant) continue;
        json.push_back(key_json(key, now));
        table.add({key.id, key.tenant, one_line(key.label, 30), key.ending, key.scopes.text(), std::string(state_of(key, now)),
                   human_age(key.created_ms, now), key.expires_ms == 0 ? "never" : iso_time(key.expires_ms),
                   human_age(key.last_used_ms, now)});
    }
    context.out.facts(json, table.empty() ? "no keys; `engram key create` makes one" : table.text());
    return ExitCode::ok;
}

Result<ExitCode> revoke_key(const KeyArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const TenantTables tables, read_tenants(context));
    if (tables.keys.empty() && tables.problems.empty())
        return fail(ErrorCode::not_found, "there are no keys in this home folder");
    ENGRAM_ASSIGN(TenantStore store, open_tenants(context));
    const std::int64_t now = now_ms();
    ENGRAM_ASSIGN(const KeyRow key, store.revoke_key(arguments.id, now));
    context.out.facts(key_json(key, now),
                      std::format("revoked {} of tenant {}; a running server refuses it within two seconds", key.id, key.tenant));
    return ExitCode::ok;
}

}  // namespace

void add_key_commands(CommandLine &line) {
    CLI::App &group = line.group("key", "API keys for the server: make, list and revoke them");
    auto arguments = argument<KeyArguments>();
    CLI::App &create = line.command(group, "create", "make a key for a tenant (--tenant) and print it, this once",
                                    [arguments](Context &context) { return create_key(*arguments, context); });
    create.add_option("--label", arguments->label, "what lists call it")->type_name("TEXT");
    create
        .add_option("--scopes", arguments->scopes,
                    "chat, agents (the tenant's own) and admin (all tenants, metrics, the model), with commas between")
        ->type_name("LIST")
        ->capture_default_str();
    create.add_option("--expires", arguments->expires, "when it ends by itself: 12h, 90d, 4w [never]")->type_name("TIME");
    line.command(group, "list", "list the keys (of all tenants, or of --tenant), without their text",
                 [](Context &context) { return list_keys(context); });
    line.command(group, "revoke", "end a key, for good",
                 [arguments](Context &context) { return revoke_key(*arguments, context); })
        .add_option("KEY", arguments->id, "the key's id, as `engram key list` shows it")
        ->required();
}

}  // namespace engram::cli
