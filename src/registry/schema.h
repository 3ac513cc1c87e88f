// The registry's tables and their versions.
//
// PRAGMA application_id says that a file is ours, PRAGMA user_version which version its tables have. A migration is the SQL from
// one version to the next; all that are missing run in one transaction. A new file is made under another name and appears only
// when its tables are there: a file of that name which is empty or has no tables was damaged, and isn't mistaken for a new one.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "registry/sqlite_statement.h"

namespace engram {

std::span<const std::string> registry_migrations();  // element i leads from version i to version i + 1

// Creates the file when absent (0600), opens it, checks what it is, migrates it, and sets the connection up for durable commits.
// io, corrupt, incompatible, locked.
Result<sqlite::Database> open_registry_file(const std::filesystem::path &file, std::span<const std::string> migrations);

}  // namespace engram
