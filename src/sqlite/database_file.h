// Database files of ours: their tables and their versions.
//
// PRAGMA application_id says what a file is, PRAGMA user_version which version its tables have. A migration is the SQL from one
// version to the next; all that are missing run in one transaction. A new file is made under another name and appears only when
// its tables are there: a file of that name which is empty or has no tables was damaged, and isn't mistaken for a new one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "sqlite/database.h"

namespace engram::sqlite {

struct FileKind {
    std::string_view name;   // for messages: "the registry"
    std::string_view holds;  // what is lost without the file: "agents"
    std::int64_t application_id = 0;
    std::span<const std::string> migrations;  // element i leads from version i to version i + 1
};

// Creates the file when absent (0600), opens it, checks what it is, migrates it, and sets the connection up for durable commits.
// Its folder must exist. io, corrupt, incompatible, locked.
Result<Database> open_file(const std::filesystem::path &file, const FileKind &kind);

}  // namespace engram::sqlite
