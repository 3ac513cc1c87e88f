#include "store/disk_store.h"

#include <algorithm>
#include <format>
#include <system_error>
#include <utility>

namespace engram {

namespace {

BlockStore::PartRows rows_of(const PartImage &image) {
    return {.first_position = image.first_position, .rows = image.layout->rows};
}

bool same_rows(const BlockStore::PartRows &a, const BlockStore::PartRows &b) {
    return a.first_position == b.first_position && a.rows == b.rows;
}

std::unexpected<Error> not_stored(const PartKey &key) {
    return fail(ErrorCode::not_found,
                std::format("the store doesn't hold the {} part of block {}", part_kind_name(key.kind), key.id.hex()));
}

// Verifies a file against nothing but its own name.
Result<void> check_by_name(ReadableFile &file, const PartKey &key) {
    ENGRAM_ASSIGN(const PartHeader header, read_part_header(file, key));
    ENGRAM_TRY(match_chain(header));
    return verify_part_payload(file, header);
}

}  // namespace

std::string_view tier_name(Tier tier) {
    switch (tier) {
        case Tier::hot: return "hot";
        case Tier::memory: return "memory";
        case Tier::disk: return "disk";
    }
    return "disk";
}

Result<std::unique_ptr<BlockStore>> BlockStore::open(StoreOptions options, FileSystem &files, Clock &clock,
                                                     const TensorCodec *codec) {
    if (options.root.empty()) return fail(ErrorCode::invalid_argument, "the store needs a folder");
    if (options.stored_type.has_value() && codec == nullptr) {
        return fail(ErrorCode::invalid_argument, "lossy storage needs a codec");
    }
    std::error_code error;
    options.root = std::filesystem::absolute(options.root, error).lexically_normal();
    if (error) return fail(ErrorCode::io, std::format("can't find the folder of the store: {}", error.message()));
    if (!options.root.has_filename()) options.root = options.root.parent_path();  // a trailing slash
    auto store = std::make_unique<DiskStore>(std::move(options), files, clock, codec);
    ENGRAM_TRY(store->start());
    return store;
}

DiskStore::DiskStore(StoreOptions options, FileSystem &files, Clock &clock, const TensorCodec *codec)
    : options_(std::move(options)),
      clock_(clock),
      codec_(codec),
      queue_(options_.queue_budget_bytes),
      folder_(files, options_.root),
      quarantine_(files, options_.root / "quarantine", options_.quarantine_budget_bytes),
      memory_(options_.memory_budget_bytes) {}

DiskStore::~DiskStore() {
    writer_.request_stop();
    if (writer_.joinable()) writer_.join();
    if (scanner_.joinable()) scanner_.join();
}

Result<void> DiskStore::start() {
    if (!options_.read_only) {
        ENGRAM_TRY(folder_.prepare());
        ENGRAM_ASSIGN(lock_, StoreLock::acquire(options_.root / "lock"));
        recovery_.stale_lock_taken_over = lock_->taken_over();
    } else {
        // Nothing is made here, so what is missing must be said now.
        std::uint64_t foreign = 0;
        ENGRAM_TRY(folder_.list_shards(foreign));
    }
    scanner_ = std::jthread([this] { scan(); });
    if (!options_.read_only) writer_ = std::jthread([this](std::stop_token stop) { write_queued(std::move(stop)); });
    return {};
}

// The background count

void DiskStore::scan() {
    const std::int64_t start_us = clock_.steady_us();
    Result<void> result = scan_folders();
    const std::scoped_lock lock(mutex_);
    recovery_.elapsed_ms = static_cast<double>(clock_.steady_us() - start_us) / 1000.0;
    scan_result_ = std::move(result);
    scanned_ = true;
    scan_finished_.notify_all();
}

Result<void> DiskStore::scan_folders() {
    {
        const PublishLock publishing(publish_mutex_);
        ENGRAM_TRY(quarantine_.load());
    }
    std::uint64_t foreign = 0;
    ENGRAM_ASSIGN(const std::vector<std::string> shards, folder_.list_shards(foreign));
    {
        const std::scoped_lock lock(mutex_);
        recovery_.foreign_files += foreign;
    }
    for (const std::string &shard : shards) ENGRAM_TRY(scan_shard(shard));
    return {};
}

Result<void> DiskStore::scan_shard(const std::string &shard) {
    // A file that a reader quarantines between the listing and its entry would be counted for ever.
    const PublishLock publishing(publish_mutex_);
    ENGRAM_ASSIGN(const PartFolder::Listing listing, folder_.list_shard(shard));
    std::uint64_t removed = 0;
    if (!options_.read_only) {
        for (const std::filesystem::path &path : listing.temporary) {
            ENGRAM_TRY(folder_.remove(path));
            ++removed;
        }
    }
    const std::scoped_lock lock(mutex_);
    recovery_.temporary_files_removed += removed;
    recovery_.foreign_files += listing.foreign;
    for (const PartFolder::Found &found : listing.parts) {
        ++recovery_.parts;
        recovery_.bytes += found.bytes;
        index_.add(found.key, {.bytes = found.bytes, .last_used_ms = found.modified_ms, .tokens = 0, .rows = std::nullopt});
    }
    return {};
}

void DiskStore::wait_for_scan() const {
    std::unique_lock lock(mutex_);
    scan_finished_.wait(lock, [&] { return scanned_; });
}

// Looking up and reading

bool DiskStore::stored(const PartKey &key) const { return index_.find(key) != nullptr && !condemned_.contains(key); }

std::optional<Tier> DiskStore::find(const PartKey &key) const {
    {
        const std::scoped_lock lock(mutex_);
        if (memory_.contains(key)) return Tier::memory;
    }
    if (queue_.contains(key)) return Tier::memory;
    {
        const std::scoped_lock lock(mutex_);
        if (stored(key)) return Tier::disk;
        if (scanned_ || condemned_.contains(key)) return std::nullopt;
    }
    // The count hasn't come to it yet.
    return folder_.open(key).has_value() ? std::optional(Tier::disk) : std::nullopt;
}

std::optional<PartImage> DiskStore::memory_image(const PartKey &key) {
    {
        const std::scoped_lock lock(mutex_);
        if (std::optional<PartImage> image = memory_.use(key); image.has_value()) return image;
    }
    return queue_.find(key);
}

void DiskStore::keep_in_memory(const PartKey &key, const PartImage &image) {
    const std::scoped_lock lock(mutex_);
    memory_.insert(key, image, index_.tenant_of(key));
}

MemoryTier::Gate DiskStore::may_leave_for(const MemoryGuess &guess) const {
    std::unordered_set<PartKey> kept;
    for (const std::string &claimant : guess.kept) {
        const std::span<const PartKey> parts = index_.claimed_by(claimant);
        kept.insert(parts.begin(), parts.end());
    }
    return [this, kept = std::move(kept)](const PartKey &key) { return stored(key) && !kept.contains(key); };
}

bool DiskStore::keep_guess_in_memory(const PartKey &key, const PartImage &image, const MemoryGuess &guess) {
    const std::scoped_lock lock(mutex_);
    if (!stored(key) || !index_.claimed(key)) return false;
    return memory_.insert_behind(key, image, guess.tenant, may_leave_for(guess));
}

std::uint64_t DiskStore::room_for_guess(const MemoryGuess &guess) const {
    const std::scoped_lock lock(mutex_);
    return memory_.room(guess.tenant, may_leave_for(guess));
}

void DiskStore::drop_from_memory(std::span<const PartKey> keys) {
    const std::scoped_lock lock(mutex_);
    for (const PartKey &key : keys) memory_.erase(key);
}

Result<ReadOutcome> DiskStore::read(const SegmentIdentity &segment, PartKind kind, Position part_first_position,
                                    std::uint32_t part_rows, PartImage &target, std::uint32_t target_row) {
    if (target.layout == nullptr || target.buffer == nullptr)
        return fail(ErrorCode::invalid_argument, "the target has no memory");
    ENGRAM_TRY(validate_layout(*target.layout));
    const ScatterTarget place{.image = &target, .row = target_row};
    const PartRows rows{.first_position = part_first_position, .rows = part_rows};
    const std::optional<PartImage> image = memory_image({.id = segment.id, .kind = kind});
    if (image.has_value() && same_rows(rows_of(*image), rows)) return read_memory(*image, place);
    return read_disk(segment, kind, rows, place);
}

Result<ReadOutcome> DiskStore::read_memory(const PartImage &image, const ScatterTarget &target) {
    std::vector<KvType> types;
    types.reserve(image.layout->tensors.size());
    for (const PartTensor &tensor : image.layout->tensors) types.push_back(tensor.type);
    ENGRAM_TRY(match_target(*image.layout, types, target));
    copy_rows(image, target);
    return ReadOutcome{.tier = Tier::memory, .bytes = image.layout->payload_bytes()};
}

Result<std::unique_ptr<ReadableFile>> DiskStore::open_part(const PartKey &key) {
    {
        const std::scoped_lock lock(mutex_);
        if (condemned_.contains(key) || (scanned_ && index_.find(key) == nullptr)) return not_stored(key);
    }
    Result<std::unique_ptr<ReadableFile>> file = folder_.open(key);
    if (file.has_value() || file.error().code != ErrorCode::not_found) return file;
    // Evicted or quarantined since, or somebody else removed it.
    const PublishLock publishing(publish_mutex_);
    examine_again(publishing, key);
    return not_stored(key);
}

Result<ReadOutcome> DiskStore::read_disk(const SegmentIdentity &segment, PartKind kind, const PartRows &rows,
                                         const ScatterTarget &target) {
    const PartKey key{.id = segment.id, .kind = kind};
    const auto read_header = [&](ReadableFile &file) -> Result<PartHeader> {
        ENGRAM_ASSIGN(PartHeader header, read_part_header(file));
        ENGRAM_TRY(match_part(header, segment, kind));
        ENGRAM_TRY(match_rows(header, rows.first_position, rows.rows));
        return header;
    };
    const auto load = [&](ReadableFile &file) -> Result<std::uint64_t> {
        ENGRAM_ASSIGN(const PartHeader header, read_header(file));
        ENGRAM_TRY(match_target(header.layout, header.source_types, target));
        ENGRAM_TRY(read_part_payload(file, header, target, codec_));
        return header.layout.image_bytes;
    };
    ENGRAM_ASSIGN(const std::unique_ptr<ReadableFile> file, open_part(key));
    Result<std::uint64_t> bytes = load(*file);
    if (bytes.has_value()) {
        const std::scoped_lock lock(mutex_);
        index_.use(key, clock_.wall_ms());
        counters_.read_bytes += file->size();
        ++counters_.read_parts;
        return ReadOutcome{.tier = Tier::disk, .bytes = *bytes};
    }
    if (bytes.error().code == ErrorCode::corrupt) {
        condemn(key, [&](ReadableFile &again) -> Result<void> {
            ENGRAM_ASSIGN(const PartHeader header, read_header(again));
            return verify_part_payload(again, header);
        });
    }
    return std::unexpected(std::move(bytes.error()).within(folder_.path_of(key).string()));
}

bool DiskStore::condemn(const PartKey &key, const FileCheck &check) {
    const PublishLock publishing(publish_mutex_);
    return condemn_locked(publishing, key, check);
}

bool DiskStore::condemn_locked(const PublishLock &held, const PartKey &key, const FileCheck &check) {
    // Another reader may have quarantined the file since, and a put may have written it anew: the name must be judged again.
    const Result<std::unique_ptr<ReadableFile>> file = folder_.open(key);
    if (!file.has_value()) {
        examine_again(held, key);
        return false;
    }
    const Result<void> verdict = check(**file);
    if (verdict.has_value() || verdict.error().code != ErrorCode::corrupt) return false;
    const bool moved = !options_.read_only && quarantine_.take(folder_.path_of(key), key, (*file)->size()).has_value();
    const std::scoped_lock lock(mutex_);
    ++counters_.corrupt_parts;
    if (moved) {
        index_.erase(key);
        return true;
    }
    // It can't be moved, so it still takes its room; it must not be read again for ever.
    condemned_.insert(key);
    return true;
}

Result<BlockStore::PartRows> DiskStore::part_rows(const PartKey &key) {
    if (const std::optional<PartImage> image = memory_image(key); image.has_value()) return rows_of(*image);
    {
        const std::scoped_lock lock(mutex_);
        const DiskIndex::File *known = index_.find(key);
        if (known != nullptr && known->rows.has_value() && !condemned_.contains(key)) return *known->rows;
    }
    ENGRAM_ASSIGN(const std::unique_ptr<ReadableFile> file, open_part(key));
    Result<PartHeader> header = read_part_header(*file, key);
    if (!header.has_value()) {
        if (header.error().code == ErrorCode::corrupt)
            condemn(key, [&](ReadableFile &again) { return check_by_name(again, key); });
        return std::unexpected(std::move(header.error()).within(folder_.path_of(key).string()));
    }
    return PartRows{.first_position = header->first_position, .rows = header->layout.rows};
}

// Claims

void DiskStore::claim(Claim claim) {
    const std::scoped_lock lock(mutex_);
    index_.claim(claim);
}

void DiskStore::release(std::string_view claimant) {
    const std::scoped_lock lock(mutex_);
    index_.release(claimant);
}

// Facts

RecoveryReport DiskStore::recovery() const {
    wait_for_scan();
    const std::scoped_lock lock(mutex_);
    return recovery_;
}

StoreStats DiskStore::stats() const {
    wait_for_scan();
    const std::scoped_lock lock(mutex_);
    StoreStats stats = counters_;
    stats.disk_bytes = index_.bytes();
    stats.disk_parts = index_.parts();
    stats.disk_budget_bytes = options_.disk_budget_bytes;
    stats.memory_bytes = memory_.bytes();
    stats.memory_parts = memory_.parts();
    stats.memory_budget_bytes = options_.memory_budget_bytes;
    stats.evicted_memory_parts = memory_.evicted_parts();
    stats.queue_bytes = queue_.bytes();
    stats.queue_parts = queue_.parts();
    stats.queue_budget_bytes = options_.queue_budget_bytes;
    stats.quarantine_bytes = quarantine_.bytes();
    stats.quarantine_parts = quarantine_.parts();
    stats.unclaimed_disk_bytes = index_.unclaimed_bytes();
    stats.unclaimed_disk_parts = index_.unclaimed_parts();
    return stats;
}

std::vector<PartInfo> DiskStore::parts() const {
    wait_for_scan();
    const std::scoped_lock lock(mutex_);
    std::vector<PartInfo> list;
    list.reserve(index_.parts());
    for (const PartKey &key : index_.keys()) list.push_back(describe(key));
    return list;
}

bool DiskStore::would_block(std::uint64_t bytes) const {
    return queue_.bytes() > 0 && queue_.bytes() + bytes > options_.queue_budget_bytes;
}

std::string DiskStore::last_write_error() const {
    const std::scoped_lock lock(mutex_);
    return counters_.last_write_error;
}

PartInfo DiskStore::describe(const PartKey &key) const {
    const DiskIndex::File *file = index_.find(key);
    return {.key = key,
            .file_bytes = file == nullptr ? 0 : file->bytes,
            .path = folder_.path_of(key),
            .claims = index_.claims(key),
            .memory_bytes = memory_.bytes_of(key)};
}

std::optional<PartInfo> DiskStore::info(const PartKey &key) const {
    wait_for_scan();
    const bool queued = queue_.contains(key);
    const std::scoped_lock lock(mutex_);
    if (!queued && !memory_.contains(key) && !stored(key)) return std::nullopt;
    return describe(key);
}

Result<VerifyReport> DiskStore::verify(const std::function<void(std::uint64_t, std::uint64_t)> &progress) {
    wait_for_scan();
    std::vector<PartKey> keys;
    {
        const std::scoped_lock lock(mutex_);
        keys = index_.keys();
    }
    VerifyReport report;
    for (std::uint64_t done = 0; const PartKey &key : keys) {
        if (progress) progress(done++, keys.size());
        const Result<std::unique_ptr<ReadableFile>> file = open_part(key);
        if (!file.has_value() && file.error().code == ErrorCode::not_found) continue;  // evicted since
        if (!file.has_value()) return std::unexpected(file.error());
        ++report.parts;
        report.bytes += (*file)->size();
        const Result<void> verdict = check_by_name(**file, key);
        if (verdict.has_value()) continue;
        if (verdict.error().code != ErrorCode::corrupt) return std::unexpected(verdict.error());
        ++report.corrupt;
        report.messages.push_back(std::format("{}: {}", folder_.path_of(key).string(), verdict.error().message));
        condemn(key, [&](ReadableFile &again) { return check_by_name(again, key); });
    }
    if (progress) progress(keys.size(), keys.size());
    return report;
}

Result<std::vector<std::byte>> DiskStore::read_file(const PartKey &key) {
    if (queue_.contains(key)) queue_.wait_until_written();
    ENGRAM_ASSIGN(const std::unique_ptr<ReadableFile> file, open_part(key));
    std::vector<std::byte> bytes(file->size());
    const iovec all{.iov_base = bytes.data(), .iov_len = bytes.size()};
    ENGRAM_TRY(file->read(0, std::span(&all, 1)));
    const auto check = [&]() -> Result<void> {
        ENGRAM_ASSIGN(const PartHeader header, verify_part_bytes(bytes));
        if (header.segment.id == key.id && header.layout.kind == key.kind) return {};
        return fail(ErrorCode::corrupt, "it holds another part than its name says");
    };
    if (Result<void> verdict = check(); !verdict.has_value()) {
        condemn(key, [&](ReadableFile &again) { return check_by_name(again, key); });
        return std::unexpected(std::move(verdict.error()).within(folder_.path_of(key).string()));
    }
    const std::scoped_lock lock(mutex_);
    counters_.read_bytes += bytes.size();
    ++counters_.read_parts;
    return bytes;
}

}  // namespace engram
