// The rows of table `model_hashes`: the content hash of a model file, as long as the file looks unchanged.
//
// Threads: as sqlite::Statement.
#pragma once

#include <optional>

#include "registry/registry.h"
#include "sqlite/database.h"

namespace engram {

class HashTable {
  public:
    static Result<HashTable> open(sqlite::Database &database);

    // nullopt when the path is unknown, the stamp differs, or the row is damaged: the file is then hashed again.
    std::optional<Digest> find(const Registry::FileStamp &stamp);
    Result<void> replace(const Registry::FileStamp &stamp, const Digest &digest);

  private:
    sqlite::Statement find_, replace_;
};

}  // namespace engram
