// The one implementation of BlockStore. Internal: callers use BlockStore::open().
//
// Locks, always taken in this order: publish_mutex_ (whoever changes files under ROOT), mutex_ (all bookkeeping; never held over
// I/O), the write queue's own. Who removes a file takes it out of the index first, while it holds mutex_ and has seen that nobody
// claims the part: a put that comes after that doesn't find the part and writes it anew, once the publish mutex is free.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "store/block_store.h"
#include "store/disk_index.h"
#include "store/memory_tier.h"
#include "store/part_folder.h"
#include "store/part_io.h"
#include "store/quarantine.h"
#include "store/store_lock.h"
#include "store/write_queue.h"

namespace engram {

class DiskStore final : public BlockStore {
  public:
    DiskStore(StoreOptions options, FileSystem &files, Clock &clock, const TensorCodec *codec);
    ~DiskStore() override;

    Result<void> start();

    std::optional<Tier> find(const PartKey &key) const override;
    void put(PutRequest request) override;
    Result<void> write(const PutRequest &request) override;
    Result<void> drain() override;
    void wait_until_written() const override { queue_.wait_until_written(); }
    Result<ReadOutcome> read(const SegmentIdentity &segment, PartKind kind, Position part_first_position, std::uint32_t part_rows,
                             PartImage &target, std::uint32_t target_row) override;
    std::optional<PartImage> memory_image(const PartKey &key) override;
    void keep_in_memory(const PartKey &key, const PartImage &image) override;
    bool keep_guess_in_memory(const PartKey &key, const PartImage &image, const MemoryGuess &guess) override;
    std::uint64_t room_for_guess(const MemoryGuess &guess) const override;
    void drop_from_memory(std::span<const PartKey> keys) override;
    void claim(Claim claim) override;
    void release(std::string_view claimant) override;
    Result<void> limit(std::string_view tenant, const TenantLimits &limits) override;
    std::vector<TenantUse> tenants() const override;
    std::vector<StoredBytes> stored() const override;
    std::string refusal(std::string_view tenant) const override;
    Result<RecoveryReport> remove_unclaimed() override;
    Result<void> remove(std::span<const PartKey> keys) override;
    RecoveryReport recovery() const override;
    StoreStats stats() const override;
    std::vector<PartInfo> parts() const override;
    bool would_block(std::uint64_t bytes) const override;
    std::string last_write_error() const override;
    std::optional<PartInfo> info(const PartKey &key) const override;
    Result<VerifyReport> verify(const std::function<void(std::uint64_t, std::uint64_t)> &progress) override;
    Result<std::uint64_t> clear_quarantine() override;
    Result<std::vector<std::byte>> read_file(const PartKey &key) override;
    Result<void> write_file(const SegmentIdentity &segment, PartKind kind, std::span<const std::byte> file,
                            std::string_view claimant, std::string_view tenant) override;
    Result<PartRows> part_rows(const PartKey &key) override;

  private:
    using PublishLock = std::unique_lock<std::mutex>;
    using FileCheck = std::function<Result<void>(ReadableFile &)>;  // `corrupt` when the file isn't the part it should be

    // What is to be written, and for whom.
    struct Publication {
        PartKey key;
        std::span<const iovec> pieces;
        std::uint64_t bytes = 0;
        std::uint32_t tokens = 0;
        PartRows rows;
        DiskIndex::Writer writer;
    };

    struct Tenant {
        TenantLimits limits;
        std::string refusal;              // empty: there is room, as far as is known
        std::uint64_t refused_bytes = 0;  // of the part that it was about
        std::uint64_t refused_parts = 0, evicted_parts = 0;
    };

    void scan();
    Result<void> scan_folders();
    Result<void> scan_shard(const std::string &shard);
    void wait_for_scan() const;

    void write_queued(std::stop_token stop);
    // False: there is no room for it under its tenant's limit.
    Result<bool> write_part(const PublishLock &held, const PutRequest &request);
    Result<void> publish(const PublishLock &held, const Publication &publication);
    // Under the limit of its tenant. False: it doesn't fit there, and is counted as refused.
    Result<bool> admit(const PublishLock &held, std::uint64_t bytes, const DiskIndex::Writer &writer);
    // Under the budget of all.
    Result<void> make_room(const PublishLock &held, std::uint64_t bytes, const DiskIndex::Writer &writer);
    void forget(std::span<const PartKey> victims);  // needs mutex_
    Result<void> evict(const PublishLock &held, std::span<const PartKey> victims);
    Result<std::uint64_t> remove_files(const PublishLock &held,
                                       std::span<const PartKey> keys);  // already out of the index; bytes removed
    void examine_again(const PublishLock &held, const PartKey &key);
    bool holds_rows(const PublishLock &held, const PartKey &key, const PartRows &rows);
    void record_write(const Result<void> &result);
    void count_failure(const Error &error);  // needs mutex_

    bool stored(const PartKey &key) const;                           // needs mutex_
    MemoryTier::Gate may_leave_for(const MemoryGuess &guess) const;  // needs mutex_, also while it is used
    PartInfo describe(const PartKey &key) const;                     // needs mutex_
    Result<ReadOutcome> read_memory(const PartImage &image, const ScatterTarget &target);
    Result<ReadOutcome> read_disk(const SegmentIdentity &segment, PartKind kind, const PartRows &rows,
                                  const ScatterTarget &target);
    Result<std::unique_ptr<ReadableFile>> open_part(const PartKey &key);
    // Looks at the file again, alone, and quarantines it when `check` still finds it corrupt. True when that was done.
    bool condemn(const PartKey &key, const FileCheck &check);
    bool condemn_locked(const PublishLock &held, const PartKey &key, const FileCheck &check);

    // Constant after construction
    const StoreOptions options_;
    Clock &clock_;
    const TensorCodec *const codec_;

    // Own synchronisation
    WriteQueue queue_;

    // Guarded by publish_mutex_
    std::mutex publish_mutex_;
    PartFolder folder_;
    Quarantine quarantine_;

    // Guarded by mutex_
    mutable std::mutex mutex_;
    mutable std::condition_variable scan_finished_;
    bool scanned_ = false;
    Result<void> scan_result_;
    DiskIndex index_;
    MemoryTier memory_;
    std::unordered_set<PartKey> condemned_;  // corrupt, but couldn't be moved: as if they weren't there
    StoreStats counters_;                    // only what can't be asked for elsewhere
    RecoveryReport recovery_;
    std::optional<Error> first_write_error_;  // since the last drain
    std::map<std::string, Tenant, std::less<>> tenants_;

    std::unique_ptr<StoreLock> lock_;
    std::jthread scanner_;
    std::jthread writer_;
};

}  // namespace engram
