// The files of a store: ROOT/blocks/ab/<id>.<kind>.safetensors. Names, folders and the publish order; no budgets, no claims.
//
// publish() and list_shard() must not run at the same time (the store's publish mutex sees to that); the others may.
#pragma once

#include <bitset>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ports/file_system.h"
#include "store/block_store.h"

namespace engram {

class PartFolder {
  public:
    struct Found {
        PartKey key;
        std::uint64_t bytes = 0;
        std::int64_t modified_ms = 0;
    };
    struct Listing {
        std::vector<Found> parts;
        std::vector<std::filesystem::path> temporary;  // writes that a crash interrupted
        std::uint64_t foreign = 0;                     // names that aren't ours, or not where they belong
    };

    PartFolder(FileSystem &files, std::filesystem::path root);

    Result<void> prepare();  // makes what is missing, durably
    std::filesystem::path path_of(const PartKey &key) const;

    // Temporary file, write, fsync, rename, fsync of the folder. After an error the part's name holds what it held before, or
    // nothing.
    Result<void> publish(const PartKey &key, std::span<const iovec> pieces);
    Result<std::unique_ptr<ReadableFile>> open(const PartKey &key) const { return files_.open(path_of(key)); }
    Result<void> remove(const PartKey &key) { return files_.remove(path_of(key)); }
    Result<void> remove(const std::filesystem::path &path) { return files_.remove(path); }

    Result<std::vector<std::string>> list_shards(std::uint64_t &foreign) const;  // names of the folders under blocks/
    Result<Listing> list_shard(const std::string &shard) const;

  private:
    Result<void> prepare_shard(const PartKey &key);

    FileSystem &files_;
    const std::filesystem::path root_;
    const std::filesystem::path blocks_;
    std::bitset<256> prepared_;  // folders that are known to be durable
};

}  // namespace engram
