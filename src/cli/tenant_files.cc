#include "cli/tenant_files.h"

#include "cli/home.h"
#include "tenants/tenants.h"

namespace engram::cli {

Result<TenantStore> open_tenants(const Context &context) {
    ENGRAM_TRY(ensure_home(context.settings.home()));
    return TenantStore::open(tenants_path(context.settings.home()));
}

Result<TenantTables> tenants_in(const std::filesystem::path &home) {
    const std::filesystem::path file = tenants_path(home);
    std::error_code error;
    if (!std::filesystem::exists(file, error)) {
        return TenantTables{.tenants = {{.name = std::string(kDefaultTenant), .quota = {}}}, .keys = {}, .problems = {}};
    }
    return TenantStore::open(file).and_then([](TenantStore store) { return store.read(); });
}

Result<TenantTables> read_tenants(const Context &context) {
    auto tables = tenants_in(context.settings.home());
    if (tables) {
        for (const std::string &problem : tables->problems) context.out.say(LogLevel::warn, problem);
    }
    return tables;
}

std::string named_tenant(const Context &context) {
    const Setting &tenant = context.settings.get("tenant");
    return tenant.origin.kind == Origin::Kind::built_in ? std::string() : tenant.text();
}

}  // namespace engram::cli
