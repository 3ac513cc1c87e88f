// The KV block store: parts of segments in host memory (warm) and in files (cold), by identity.
//
// Model: a map from PartKey (block id, part kind) to verified bytes. Blocks are immutable; a put of a part that is already
// there is a no-op that counts as a use. Files are valid safetensors, one part each (docs/FORMAT.md):
//
//   ROOT/blocks/ab/abcdef….attention.safetensors     0600, folders 0700
//   ROOT/quarantine/abcdef….attention.<n>.safetensors  parts that failed verification, kept for inspection, within a budget
//   ROOT/lock                                        flock(2) + the holder's pid
//
// Publish order of a part: temporary file in the same folder, write, fsync, rename, fsync of the folder. A reader never sees
// what isn't whole. Reads verify magic, format version, identity (id, parent, fingerprint, tokens, positions), layout and the
// payload's checksum before they report success; what doesn't match is moved to quarantine, counted, and reported as `corrupt`.
// `incompatible` (another fingerprint under the same id) can't happen without corruption, since ids are salted with it.
//
// Threads: all methods are thread-safe. One writer thread ("store-io") of the store's own does all writes in order of
// submission; `put` blocks only when the queue's byte limit is reached (back-pressure) and never drops. Reads run on the
// caller's thread.
//
// Budgets are hard: disk_budget_bytes is checked against what is really there (counted from the files at open, in the
// background; writes wait for the count) before a file is written; memory_budget_bytes covers the memory tier; images waiting to
// be written count against queue_budget_bytes, and are found by reads (they are warm).
//
// Eviction from disk, when a write needs room: first what nobody claims (superseded states, oldest use first), then claimed
// parts: of claimants without a promise (Claim::kept_until_ms) before those with one, in that order by eviction_score
// (core/eviction_score.h), deepest position first within a chain, never pinned ones, never parts of the claimant that is being
// written. When nothing may go, the put's result is over_budget and nothing was written. What is put for a claimant counts as
// claimed by it until its next claim() or release(). So load all claims before the first put, and claim the prefix that was found
// for an agent before its new parts are put.
//
// Tenants: a part belongs to one, since ids are salted with it. A tenant's own limit (limit()) is made room under with its own
// parts only. What can't be made to fit isn't written, and is counted as refused: no error of the store's, and none that another
// tenant hears of. Under the budgets that all share, disk and memory alike, a tenant's fair share is the budget divided by the
// tenants that have something there. Who is above his share makes room with his own parts; who isn't takes from those above
// theirs, from the one with most first, and not below the share (to within a part). So nobody loses what is within his share by
// another's writes, and nobody can fill a budget for good.
//
// Whose a file is follows from who puts or claims it, not from its header: at start the registry's manifests name every file that
// is needed, and the others are removed. Until then a file belongs to nobody ("").
//
// Evicted parts leave memory as well, so that what is found in memory only is queued, could not be written, or was quarantined
// since.
//
// Faults: when the disk is full or read-only, puts fail with `io`, are counted, and the part stays only in memory; reads and
// later puts go on working. To have such a part written after all, put it again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/kv_part.h"
#include "engram/error.h"
#include "ports/clock.h"
#include "ports/file_system.h"

namespace engram {

struct PartKey {
    BlockId id;
    PartKind kind = PartKind::attention;
    bool operator==(const PartKey &) const = default;
};

enum class Tier : std::uint8_t { hot, memory, disk };  // `hot` (cells of the context) is the engine's, never the store's answer
std::string_view tier_name(Tier tier);                 // "hot", "memory", "disk"

struct StoreOptions {
    std::filesystem::path root;                            // created with mode 0700 when absent
    std::uint64_t disk_budget_bytes = 16ULL << 30;         // files under blocks/
    std::uint64_t quarantine_budget_bytes = 256ULL << 20;  // oldest removed first
    std::uint64_t memory_budget_bytes = 1ULL << 30;        // warm tier
    std::uint64_t queue_budget_bytes = 256ULL << 20;       // images waiting to be written
    std::optional<KvType> stored_type = std::nullopt;      // lossy storage: type of attention and window rows on disk
    bool read_only = false;                                // no lock is taken, nothing is written or moved
};

// What a claimant (an agent) needs kept. Claims live in memory; the registry's manifests are their durable form.
struct Claim {
    std::string claimant;  // "tenant/agent"
    std::string tenant;
    bool pinned = false;            // never evicted
    std::int64_t last_used_ms = 0;  // wall clock
    std::int64_t kept_until_ms =
        0;                     // until then (wall clock) evicted only after everything of the tenant's without such a promise
    std::string account = {};  // whom its bytes are counted for in stored(); empty: nobody in particular
    double recompute_ms_per_token = 1.0;
    std::vector<PartKey> parts;  // in order of position
};

struct PutRequest {
    SegmentIdentity segment;
    PartImage image;
    std::string claimant;  // whose write it is; its parts are never victims of this write
    std::string tenant;
};

// The most that a tenant's parts may take; a limit that isn't there limits nothing.
struct TenantLimits {
    std::optional<std::uint64_t> disk_bytes, memory_bytes;
    bool operator==(const TenantLimits &) const = default;
};

// What a tenant has here. Parts that its agents share count once.
struct TenantUse {
    std::string tenant;  // empty: files that nobody has claimed yet
    TenantLimits limits;
    std::uint64_t disk_bytes = 0, disk_parts = 0, memory_bytes = 0;
    std::uint64_t refused_parts = 0;  // since open: not written, since its limit left no room
    std::uint64_t evicted_parts = 0;  // since open, from disk
};

// What a tenant's account has on disk. A part that several claim is counted for the one that had it first, so that the sum over a
// tenant's accounts is what it has.
struct StoredBytes {
    std::string tenant;
    std::string account;  // Claim::account
    std::uint64_t bytes = 0;
    bool operator==(const StoredBytes &) const = default;
};

struct ReadOutcome {
    Tier tier = Tier::disk;
    std::uint64_t bytes = 0;  // payload bytes read from disk or found in memory
};

struct StoreStats {
    std::uint64_t disk_bytes = 0, disk_parts = 0, disk_budget_bytes = 0;
    std::uint64_t memory_bytes = 0, memory_parts = 0, memory_budget_bytes = 0;
    std::uint64_t queue_bytes = 0, queue_parts = 0, queue_budget_bytes = 0;
    std::uint64_t quarantine_bytes = 0, quarantine_parts = 0;
    std::uint64_t written_bytes = 0, written_parts = 0;  // since open; whole files, headers included
    std::uint64_t read_bytes = 0, read_parts = 0;        // since open, from disk
    std::uint64_t deduplicated_parts = 0;                // puts of a part that was already there
    std::uint64_t evicted_disk_parts = 0, evicted_disk_bytes = 0, evicted_memory_parts = 0;
    std::uint64_t corrupt_parts = 0;  // failed verification since open
    std::uint64_t failed_writes = 0;  // puts that ended in an error since open
    std::string last_write_error;     // empty when the last write succeeded
    std::uint64_t unclaimed_disk_bytes = 0, unclaimed_disk_parts = 0;
};

struct RecoveryReport {
    std::uint64_t parts = 0, bytes = 0;                   // found whole by name and size
    std::uint64_t temporary_files_removed = 0;            // half-written
    std::uint64_t foreign_files = 0;                      // names that aren't ours: left alone
    std::uint64_t orphans_removed = 0, orphan_bytes = 0;  // set by remove_unclaimed
    bool stale_lock_taken_over = false;
    double elapsed_ms = 0;
};

struct VerifyReport {
    std::uint64_t parts = 0, bytes = 0, corrupt = 0;
    std::vector<std::string> messages;  // one sentence for each corrupt part
};

// Facts about one stored part, for `store stat` and tests.
struct PartInfo {
    PartKey key;
    std::uint64_t file_bytes = 0;
    std::filesystem::path path;
    std::uint32_t claims = 0;        // claimants that name it
    std::uint64_t memory_bytes = 0;  // of its image in the memory tier; 0: not there
};

// For whom an image is brought to memory that nobody has asked for yet.
struct MemoryGuess {
    std::string_view tenant;
    std::span<const std::string> kept;  // claimants whose images matter at least as much
};

class BlockStore {
  public:
    // Errors: locked (another live process; the message names its pid), io, invalid_argument. `codec` may be null when
    // options.stored_type isn't set and no lossy part will be read; it, `files` and `clock` must outlive the store.
    static Result<std::unique_ptr<BlockStore>> open(StoreOptions options, FileSystem &files, Clock &clock,
                                                    const TensorCodec *codec);
    virtual ~BlockStore() = default;  // drains the queue

    // Where the part is now, without reading it; nullopt when it isn't there.
    virtual std::optional<Tier> find(const PartKey &key) const = 0;

    // Queues the part for writing and keeps it in the memory tier. Blocks while the queue is over its byte limit. A window part
    // that is stored with other rows is replaced. The write's own outcome is reported by drain() and in stats().
    virtual void put(PutRequest request) = 0;

    // Writes the part on the caller's thread, after what is queued, and says how that went: io, over_budget (of the tenant's
    // limit, too). A failure is the caller's to tell, and isn't kept for drain().
    virtual Result<void> write(const PutRequest &request) = 0;

    // True when a put of this many bytes would have to wait for the writer. Never waits itself.
    virtual bool would_block(std::uint64_t bytes) const = 0;

    // Waits until everything queued before the call is on disk or has failed. Returns the first error since the last drain.
    virtual Result<void> drain() = 0;

    // Waits likewise, but leaves the errors for drain().
    virtual void wait_until_written() const = 0;

    // Copies the stored rows into `target`, row 0 of the part going to row `target_row` of each of its tensors (so that
    // consecutive blocks can be gathered in one image). The target's layout must have the same tensors (names, types, heads,
    // head_dim) and enough rows. Lossy parts are converted back. Verified as described above.
    // not_found, corrupt (already quarantined), incompatible (layout differs), io.
    virtual Result<ReadOutcome> read(const SegmentIdentity &segment, PartKind kind, Position part_first_position,
                                     std::uint32_t part_rows, PartImage &target, std::uint32_t target_row) = 0;

    // The image in memory (memory tier or write queue), when it is there; counts as a use.
    virtual std::optional<PartImage> memory_image(const PartKey &key) = 0;
    // Puts a verified image, read from disk, into the memory tier (so that the next restore is warm).
    virtual void keep_in_memory(const PartKey &key, const PartImage &image) = 0;
    // The same for a part that its agent may never ask for. Room is made by images of the same tenant's parts that none of
    // `guess.kept` claims and that are on disk too, no others; and of those that stay, later puts push this one out first. False,
    // and nothing was changed, when there is no such room, or the part isn't on disk and claimed any more.
    virtual bool keep_guess_in_memory(const PartKey &key, const PartImage &image, const MemoryGuess &guess) = 0;
    // Bytes of images that could be kept in this way.
    virtual std::uint64_t room_for_guess(const MemoryGuess &guess) const = 0;
    // Drops the images of these parts from the memory tier (not from the write queue).
    virtual void drop_from_memory(std::span<const PartKey> keys) = 0;

    // Replaces what `claim.claimant` claims. Parts that nobody claims any more become the first to be evicted.
    virtual void claim(Claim claim) = 0;
    virtual void release(std::string_view claimant) = 0;

    // Replaces the tenant's limits. What is above them goes at once, as far as it may be evicted. io.
    virtual Result<void> limit(std::string_view tenant, const TenantLimits &limits) = 0;
    virtual std::vector<TenantUse> tenants() const = 0;   // by name; waits for the background count
    virtual std::vector<StoredBytes> stored() const = 0;  // those who have something; waits likewise
    // Why the tenant's limit refused a part; empty when none was refused, or when one as large was written since, or the limit
    // was changed. Never waits.
    virtual std::string refusal(std::string_view tenant) const = 0;

    // Deletes unclaimed parts. Returns parts and bytes removed through the report's orphan fields.
    virtual Result<RecoveryReport> remove_unclaimed() = 0;
    // Deletes these parts from memory and disk, unless another claimant holds them.
    virtual Result<void> remove(std::span<const PartKey> keys) = 0;

    virtual RecoveryReport recovery() const = 0;  // what open found; waits for the background count
    virtual StoreStats stats() const = 0;         // waits for the background count
    // Of the last write that failed; empty when the last write succeeded. Never waits.
    virtual std::string last_write_error() const = 0;
    virtual std::vector<PartInfo> parts() const = 0;
    // One part's facts (file_bytes is 0 while it is in memory only); nullopt when it is nowhere.
    virtual std::optional<PartInfo> info(const PartKey &key) const = 0;
    // Reads and verifies every file; corrupt ones go to quarantine (unless read_only). `progress(done, total)` may be null.
    virtual Result<VerifyReport> verify(const std::function<void(std::uint64_t, std::uint64_t)> &progress) = 0;
    virtual Result<std::uint64_t> clear_quarantine() = 0;  // files removed

    // The part's file as bytes (header included), for export; and its publication after verification against `segment`, for
    // import.
    virtual Result<std::vector<std::byte>> read_file(const PartKey &key) = 0;
    virtual Result<void> write_file(const SegmentIdentity &segment, PartKind kind, std::span<const std::byte> file,
                                    std::string_view claimant, std::string_view tenant) = 0;

    // Row range of a stored part ([first, first + rows) positions), from its file's header; not_found, corrupt, io.
    struct PartRows {
        Position first_position = 0;
        std::uint32_t rows = 0;
    };
    virtual Result<PartRows> part_rows(const PartKey &key) = 0;
};

}  // namespace engram

template <>
struct std::hash<engram::PartKey> {
    std::size_t operator()(const engram::PartKey &key) const noexcept {
        return std::hash<engram::BlockId>()(key.id) ^ static_cast<std::size_t>(key.kind);
    }
};
