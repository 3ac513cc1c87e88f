// The writing side of DiskStore: queue, publication, room, removal.
#include <format>
#include <utility>

#include "store/disk_store.h"

namespace engram {

namespace {

PartKey key_of(const PutRequest &request) { return {.id = request.segment.id, .kind = request.image.layout->kind}; }

Result<void> validate(const PutRequest &request) {
    if (request.image.layout == nullptr || request.image.buffer == nullptr) {
        return fail(ErrorCode::invalid_argument, "the part to store has no image");
    }
    if (request.segment.tokens.empty()) return fail(ErrorCode::invalid_argument, "a segment has at least one token");
    return validate_layout(*request.image.layout);
}

std::unexpected<Error> opened_read_only() { return fail(ErrorCode::io, "the store was opened read-only: nothing is written"); }

// Only window parts of one segment can differ in their rows: how many are left depends on when they were taken.
bool rows_vary(PartKind kind) { return kind == PartKind::window; }

}  // namespace

void DiskStore::put(PutRequest request) {
    if (const Result<void> valid = validate(request); !valid.has_value()) return record_write(valid);
    const PartKey key = key_of(request);
    {
        const std::scoped_lock lock(mutex_);
        if (!request.claimant.empty()) index_.hold(key, request.claimant, request.tenant, clock_.wall_ms());
        memory_.insert(key, request.image, request.tenant);
        if (!rows_vary(key.kind) && stored(key)) {
            ++counters_.deduplicated_parts;
            index_.use(key, clock_.wall_ms());
            return;
        }
    }
    if (options_.read_only) return record_write(opened_read_only());
    if (queue_.push(std::move(request))) return;
    const std::scoped_lock lock(mutex_);
    ++counters_.deduplicated_parts;
}

Result<void> DiskStore::drain() {
    queue_.wait_until_written();
    const std::scoped_lock lock(mutex_);
    if (!first_write_error_.has_value()) return {};
    return std::unexpected(*std::exchange(first_write_error_, std::nullopt));
}

void DiskStore::write_queued(std::stop_token stop) {
    wait_for_scan();
    while (const std::optional<PutRequest> request = queue_.next(stop)) {
        Result<bool> result = true;
        {
            const PublishLock publishing(publish_mutex_);
            if (!queue_.cancelled()) result = write_part(publishing, *request);
        }
        if (!result.has_value()) record_write(std::unexpected(std::move(result.error())));
        queue_.done();
    }
}

Result<void> DiskStore::write(const PutRequest &request) {
    ENGRAM_TRY(validate(request));
    if (options_.read_only) return opened_read_only();
    wait_for_scan();
    queue_.wait_until_written();
    {
        const std::scoped_lock lock(mutex_);
        if (!request.claimant.empty()) index_.hold(key_of(request), request.claimant, request.tenant, clock_.wall_ms());
    }
    const PublishLock publishing(publish_mutex_);
    const Result<bool> written = write_part(publishing, request);
    if (written.has_value()) return *written ? Result<void>() : fail(ErrorCode::over_budget, refusal(request.tenant));
    const std::scoped_lock lock(mutex_);
    count_failure(written.error());
    return std::unexpected(written.error());
}

Result<bool> DiskStore::write_part(const PublishLock &held, const PutRequest &request) {
    const PartKey key = key_of(request);
    const PartRows rows{.first_position = request.image.first_position, .rows = request.image.layout->rows};
    if (holds_rows(held, key, rows)) return true;
    ENGRAM_ASSIGN(const EncodedPart part, encode_part(request, options_.stored_type, codec_));
    const DiskIndex::Writer writer{.claimant = request.claimant, .tenant = request.tenant};
    ENGRAM_ASSIGN(const bool admitted, admit(held, part.bytes, writer));
    if (!admitted) return false;
    ENGRAM_TRY(publish(held, {.key = key,
                              .pieces = part.pieces,
                              .bytes = part.bytes,
                              .tokens = static_cast<std::uint32_t>(request.segment.tokens.size()),
                              .rows = rows,
                              .writer = writer}));
    return true;
}

// True, and counted as a use, when the part is on disk with those rows.
bool DiskStore::holds_rows(const PublishLock &held, const PartKey &key, const PartRows &rows) {
    std::optional<PartRows> known;
    {
        const std::scoped_lock lock(mutex_);
        if (!stored(key)) return false;
        known = rows_vary(key.kind) ? index_.find(key)->rows : rows;
    }
    if (!known.has_value()) {
        const Result<std::unique_ptr<ReadableFile>> file = folder_.open(key);
        if (!file.has_value()) return false;
        const auto check = [&](ReadableFile &again) -> Result<void> {
            const Result<PartHeader> header = read_part_header(again, key);
            return header.has_value() ? Result<void>() : std::unexpected(header.error());
        };
        const Result<PartHeader> header = read_part_header(**file, key);
        if (!header.has_value()) {
            condemn_locked(held, key, check);
            return false;
        }
        known = PartRows{.first_position = header->first_position, .rows = header->layout.rows};
    }
    if (known->first_position != rows.first_position || known->rows != rows.rows) return false;
    const std::scoped_lock lock(mutex_);
    ++counters_.deduplicated_parts;
    index_.use(key, clock_.wall_ms());
    return true;
}

Result<void> DiskStore::publish(const PublishLock &held, const Publication &publication) {
    ENGRAM_TRY(make_room(held, publication.bytes, publication.writer));
    Result<void> published = folder_.publish(publication.key, publication.pieces);
    if (!published.has_value()) {
        examine_again(held, publication.key);
        return published;
    }
    const std::scoped_lock lock(mutex_);
    condemned_.erase(publication.key);
    index_.add(
        publication.key,
        {.bytes = publication.bytes, .last_used_ms = clock_.wall_ms(), .tokens = publication.tokens, .rows = publication.rows},
        publication.writer.tenant);
    counters_.written_bytes += publication.bytes;
    ++counters_.written_parts;
    counters_.last_write_error.clear();
    Tenant &tenant = tenants_[std::string(publication.writer.tenant)];
    if (publication.bytes >= tenant.refused_bytes) tenant.refusal.clear();  // a short tail fits where a block doesn't
    return {};
}

Result<void> DiskStore::make_room(const PublishLock &held, std::uint64_t bytes, const DiskIndex::Writer &writer) {
    const std::uint64_t budget = options_.disk_budget_bytes;
    std::vector<PartKey> victims;
    {
        const std::scoped_lock lock(mutex_);
        if (!scan_result_.has_value()) {
            return std::unexpected(
                Error(scan_result_.error()).within("nothing can be written, since the store's files couldn't be counted"));
        }
        const std::uint64_t used = index_.bytes();
        if (used + bytes <= budget) return {};
        const std::uint64_t needed = used + bytes - budget;
        // Some room more than needed, when it can be had: choosing victims looks at every claimant, which mustn't happen for each
        // write.
        const auto choose = [&](std::uint64_t wanted) {
            return index_.victims({.bytes = wanted, .incoming = bytes, .budget = budget}, writer, clock_.wall_ms());
        };
        victims = choose(needed + budget / 64);
        if (victims.empty()) victims = choose(needed);
        if (victims.empty()) {
            return fail(
                ErrorCode::over_budget,
                std::format(
                    "{} bytes don't fit into the disk budget of {} bytes, of which {} are in use and none may be evicted for "
                    "this write",
                    bytes, budget, used));
        }
        forget(victims);
    }
    return evict(held, victims);
}

// The files of parts that the index has forgotten already.
Result<void> DiskStore::evict(const PublishLock &held, std::span<const PartKey> victims) {
    ENGRAM_ASSIGN(const std::uint64_t freed, remove_files(held, victims));
    const std::scoped_lock lock(mutex_);
    counters_.evicted_disk_parts += victims.size();
    counters_.evicted_disk_bytes += freed;
    return {};
}

void DiskStore::forget(std::span<const PartKey> victims) {
    for (const PartKey &key : victims) {
        ++tenants_[std::string(index_.tenant_of(key))].evicted_parts;
        index_.erase(key);
        // Found only in memory, it would be taken for stored, and be missing after a restart in the middle of a chain.
        memory_.erase(key);
    }
}

Result<std::uint64_t> DiskStore::remove_files(const PublishLock &held, std::span<const PartKey> keys) {
    Result<void> first_error;
    std::uint64_t bytes = 0;
    for (const PartKey &key : keys) {
        const Result<std::unique_ptr<ReadableFile>> file = folder_.open(key);
        const std::uint64_t file_bytes = file.has_value() ? (*file)->size() : 0;
        Result<void> removed = folder_.remove(key);
        if (!removed.has_value() && removed.error().code != ErrorCode::not_found) {
            examine_again(held, key);
            if (first_error.has_value()) first_error = std::move(removed);
            continue;
        }
        bytes += file_bytes;
        const std::scoped_lock lock(mutex_);
        condemned_.erase(key);
    }
    if (!first_error.has_value()) return std::unexpected(std::move(first_error.error()));
    return bytes;
}

// After a failure: what does the file system really hold under this name?
void DiskStore::examine_again(const PublishLock &, const PartKey &key) {
    const Result<std::unique_ptr<ReadableFile>> file = folder_.open(key);
    const std::scoped_lock lock(mutex_);
    if (file.has_value()) {
        index_.add(key, {.bytes = (*file)->size(), .last_used_ms = clock_.wall_ms(), .tokens = 0, .rows = std::nullopt});
    } else if (file.error().code == ErrorCode::not_found) {
        index_.erase(key);
    }
}

void DiskStore::record_write(const Result<void> &result) {
    const std::scoped_lock lock(mutex_);
    count_failure(result.error());
    if (!first_write_error_.has_value()) first_write_error_ = result.error();
}

void DiskStore::count_failure(const Error &error) {
    ++counters_.failed_writes;
    counters_.last_write_error = error.message;
}

Result<void> DiskStore::remove(std::span<const PartKey> keys) {
    {
        const std::scoped_lock lock(mutex_);
        for (const PartKey &key : keys) {
            if (index_.claimed(key)) continue;
            memory_.erase(key);
            queue_.cancel(key);
        }
    }
    if (options_.read_only) return opened_read_only();
    wait_for_scan();
    const PublishLock publishing(publish_mutex_);
    std::vector<PartKey> leaving;
    {
        const std::scoped_lock lock(mutex_);
        for (const PartKey &key : keys) {
            if (index_.claimed(key) || index_.find(key) == nullptr) continue;
            index_.erase(key);
            leaving.push_back(key);
        }
    }
    const Result<std::uint64_t> removed = remove_files(publishing, leaving);
    return removed.has_value() ? Result<void>() : std::unexpected(removed.error());
}

Result<RecoveryReport> DiskStore::remove_unclaimed() {
    if (options_.read_only) return opened_read_only();
    wait_for_scan();
    const PublishLock publishing(publish_mutex_);
    std::vector<PartKey> leaving;
    {
        const std::scoped_lock lock(mutex_);
        leaving = index_.unclaimed();
        for (const PartKey &key : leaving) {
            memory_.erase(key);
            index_.erase(key);
        }
    }
    ENGRAM_ASSIGN(const std::uint64_t bytes, remove_files(publishing, leaving));
    const std::scoped_lock lock(mutex_);
    recovery_.orphans_removed += leaving.size();
    recovery_.orphan_bytes += bytes;
    return recovery_;
}

Result<std::uint64_t> DiskStore::clear_quarantine() {
    if (options_.read_only) return opened_read_only();
    const PublishLock publishing(publish_mutex_);
    return quarantine_.clear();
}

Result<void> DiskStore::write_file(const SegmentIdentity &segment, PartKind kind, std::span<const std::byte> file,
                                   std::string_view claimant, std::string_view tenant) {
    ENGRAM_ASSIGN(const PartHeader header, verify_part_bytes(file));
    ENGRAM_TRY(match_part(header, segment, kind));
    if (options_.read_only) return opened_read_only();
    wait_for_scan();
    const PartKey key{.id = segment.id, .kind = kind};
    const PartRows rows{.first_position = header.first_position, .rows = header.layout.rows};
    {
        const std::scoped_lock lock(mutex_);
        if (!claimant.empty()) index_.hold(key, claimant, tenant, clock_.wall_ms());
    }
    const PublishLock publishing(publish_mutex_);
    if (holds_rows(publishing, key, rows)) return {};
    const DiskIndex::Writer writer{.claimant = claimant, .tenant = tenant};
    ENGRAM_ASSIGN(const bool admitted, admit(publishing, file.size(), writer));
    if (!admitted) return fail(ErrorCode::over_budget, refusal(tenant));
    const iovec piece{.iov_base = const_cast<std::byte *>(file.data()), .iov_len = file.size()};
    const Result<void> written = publish(publishing, {.key = key,
                                                      .pieces = std::span(&piece, 1),
                                                      .bytes = file.size(),
                                                      .tokens = static_cast<std::uint32_t>(segment.tokens.size()),
                                                      .rows = rows,
                                                      .writer = writer});
    if (written.has_value()) return {};
    const std::scoped_lock lock(mutex_);
    count_failure(written.error());
    return written;
}

}  // namespace engram
