// The registry's tables, as the database file (sqlite/database_file.h) that they make up.
#pragma once

#include "sqlite/database_file.h"

namespace engram {

sqlite::FileKind registry_file_kind();

}  // namespace engram
