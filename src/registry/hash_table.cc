#include "registry/hash_table.h"

#include <cstring>

#include "sqlite/row_checksum.h"

namespace engram {
namespace {

std::int64_t checksum_of(const Registry::FileStamp &stamp, std::span<const std::byte> digest) {
    return RowChecksum()
        .text(stamp.path)
        .integer(static_cast<std::int64_t>(stamp.bytes))
        .integer(stamp.modified_ns)
        .integer(static_cast<std::int64_t>(stamp.inode))
        .blob(digest)
        .value();
}

}  // namespace

Result<HashTable> HashTable::open(sqlite::Database &database) {
    HashTable table;
    ENGRAM_ASSIGN(table.find_, database.prepare("SELECT checksum, digest FROM model_hashes"
                                                " WHERE path = ?1 AND bytes = ?2 AND modified_ns = ?3 AND inode = ?4"));
    ENGRAM_ASSIGN(table.replace_,
                  database.prepare("INSERT OR REPLACE INTO model_hashes"
                                   " (path, bytes, modified_ns, inode, checksum, digest) VALUES (?1,?2,?3,?4,?5,?6)"));
    return table;
}

std::optional<Digest> HashTable::find(const Registry::FileStamp &stamp) {
    auto run = find_.run(stamp.path, stamp.bytes, stamp.modified_ns, stamp.inode);
    if (!run.next().value_or(false)) return std::nullopt;
    const auto bytes = run.blob(1);
    Digest digest;
    if (bytes.size() != digest.bytes.size() || checksum_of(stamp, bytes) != run.integer(0)) return std::nullopt;
    std::memcpy(digest.bytes.data(), bytes.data(), bytes.size());
    return digest;
}

Result<void> HashTable::replace(const Registry::FileStamp &stamp, const Digest &digest) {
    const auto bytes = std::as_bytes(std::span(digest.bytes));
    return replace_
        .run(stamp.path, stamp.bytes, stamp.modified_ns, stamp.inode, checksum_of(stamp, bytes),
             std::span<const std::byte>(bytes))
        .finish();
}

}  // namespace engram
