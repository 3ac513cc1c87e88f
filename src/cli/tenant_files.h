// The tenants' file in the home folder, as the operator's commands open it: beside a running server, and without its lock.
#pragma once

#include <filesystem>

#include "cli/command_line.h"
#include "tenants/tenant_store.h"

namespace engram::cli {

// To change it: makes home folder and file when they are missing.
Result<TenantStore> open_tenants(const Context &context);

// What is in it. A file that isn't there yet isn't made.
Result<TenantTables> tenants_in(const std::filesystem::path &home);

// The same of the settings' home, with a warning for each damaged row.
Result<TenantTables> read_tenants(const Context &context);

// The tenant that was named by flag, variable or file; empty: none was, so that all are meant.
std::string named_tenant(const Context &context);

}  // namespace engram::cli
