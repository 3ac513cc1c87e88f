#include "store/part_folder.h"

#include <utility>

#include "store/part_file.h"

namespace engram {

namespace fs = std::filesystem;

PartFolder::PartFolder(FileSystem &files, fs::path root) : files_(files), root_(std::move(root)), blocks_(root_ / "blocks") {}

Result<void> PartFolder::prepare() {
    ENGRAM_TRY(files_.make_directories(blocks_));
    ENGRAM_TRY(files_.sync_directory(root_));
    // The folder above may be one that we mayn't open; then its owner made the root, and saw to its name.
    [[maybe_unused]] const Result<void> above = files_.sync_directory(root_.parent_path());
    return {};
}

fs::path PartFolder::path_of(const PartKey &key) const {
    const std::string name = part_file_name(key);
    return blocks_ / name.substr(0, 2) / name;
}

Result<void> PartFolder::prepare_shard(const PartKey &key) {
    const std::size_t number = key.id.bytes[0];
    if (prepared_[number]) return {};
    ENGRAM_TRY(files_.make_directories(path_of(key).parent_path()));
    ENGRAM_TRY(files_.sync_directory(blocks_));
    prepared_[number] = true;
    return {};
}

Result<void> PartFolder::publish(const PartKey &key, std::span<const iovec> pieces) {
    ENGRAM_TRY(prepare_shard(key));
    const fs::path final_path = path_of(key);
    const fs::path temporary = final_path.parent_path() / part_temporary_name(key);
    const auto give_up = [&](const fs::path &leftover, Result<void> why) {
        // What can't be removed now is found by the next start.
        if (const Result<void> removed = files_.remove(leftover); !removed.has_value())
            why.error().message += " (and it can't be removed)";
        return why;
    };
    Result<std::unique_ptr<WritableFile>> file = files_.create(temporary);
    if (!file.has_value()) {
        // An earlier attempt's leftover, or what makes this attempt fail as well.
        if (!files_.remove(temporary).has_value()) return std::unexpected(std::move(file.error()));
        file = files_.create(temporary);
        if (!file.has_value()) return std::unexpected(std::move(file.error()));
    }
    Result<void> written = (*file)->write(pieces);
    // The content must be durable before the name is, or a crash could leave a whole name on half a file.
    if (written.has_value()) written = (*file)->sync();
    file->reset();
    if (!written.has_value()) return give_up(temporary, std::move(written));
    if (Result<void> renamed = files_.rename(temporary, final_path); !renamed.has_value())
        return give_up(temporary, std::move(renamed));
    // Until the folder is durable, a crash could take the name away again; the manifest that names the part must not be written
    // before.
    if (Result<void> synced = files_.sync_directory(final_path.parent_path()); !synced.has_value()) {
        return give_up(final_path, std::move(synced));
    }
    return {};
}

Result<std::vector<std::string>> PartFolder::list_shards(std::uint64_t &foreign) const {
    ENGRAM_ASSIGN(const std::vector<DirectoryEntry> entries, files_.list(blocks_));
    std::vector<std::string> shards;
    for (const DirectoryEntry &entry : entries) {
        const bool ours =
            entry.is_directory && entry.name.size() == 2 && entry.name.find_first_not_of("0123456789abcdef") == std::string::npos;
        if (ours) {
            shards.push_back(entry.name);
        } else {
            ++foreign;
        }
    }
    return shards;
}

Result<PartFolder::Listing> PartFolder::list_shard(const std::string &shard) const {
    ENGRAM_ASSIGN(const std::vector<DirectoryEntry> entries, files_.list(blocks_ / shard));
    Listing listing;
    for (const DirectoryEntry &entry : entries) {
        const bool belongs = !entry.is_directory && entry.name.starts_with(shard);
        const std::optional<PartKey> key = part_key_of_file(entry.name);
        if (belongs && key.has_value()) {
            listing.parts.push_back({.key = *key, .bytes = entry.bytes, .modified_ms = entry.modified_ms});
        } else if (belongs && is_part_temporary(entry.name)) {
            listing.temporary.push_back(blocks_ / shard / entry.name);
        } else {
            ++listing.foreign;
        }
    }
    return listing;
}

}  // namespace engram
