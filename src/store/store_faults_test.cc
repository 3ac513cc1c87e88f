// The store when the disk refuses, fills up, or loses its power; and its lock when its holder dies.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <atomic>
#include <cstring>
#include <thread>

#include "ports/testing/fault_file_system.h"
#include "store/block_store.h"
#include "store/testing/samples.h"

namespace engram {
namespace {

using namespace testing;

StoreOptions options_at(const std::filesystem::path &root) {
    return {.root = root, .disk_budget_bytes = 64 << 20, .memory_budget_bytes = 0, .queue_budget_bytes = 1 << 20};
}

Result<std::unique_ptr<BlockStore>> open_store(const StoreOptions &options, FileSystem &files) {
    return BlockStore::open(options, files, system_clock(), nullptr);
}

// Reads the part and compares it; the outcome's code when it can't be read.
std::optional<ErrorCode> read_failure(BlockStore &store, const PutRequest &put) {
    PartImage target = put.image;
    target.buffer = std::make_shared<std::byte[]>(target.layout->image_bytes);
    std::memset(target.buffer.get(), 0xAA, target.layout->image_bytes);
    const Result<ReadOutcome> outcome =
        store.read(put.segment, put.image.layout->kind, put.image.first_position, put.image.layout->rows, target, 0);
    if (!outcome.has_value()) return outcome.error().code;
    EXPECT_TRUE(rows_equal(target, 0, put.image)) << "wrong bytes were reported as read";
    return std::nullopt;
}

std::vector<PutRequest> sample_puts(std::uint32_t seed, std::size_t n_blocks, const std::string &claimant = "default/a") {
    std::vector<PutRequest> puts;
    for (const SegmentIdentity &segment : sample_chain(seed, 32 * n_blocks)) puts.push_back(sample_put(segment, claimant));
    return puts;
}

class PowerCutDuringPuts : public ::testing::TestWithParam<PowerCut> {};

TEST_P(PowerCutDuringPuts, LeavesEachPartWholeOrAbsent) {
    // Two parts in one folder make the second one's way shorter; the third replaces a window part.
    std::vector<PutRequest> puts = sample_puts(1, 2);
    PutRequest window = sample_put(puts[0].segment, "default/a", {.kind = PartKind::window});
    puts.push_back(window);
    window.image = sample_image({.kind = PartKind::window, .rows = 16}, 16, 9);
    puts.push_back(window);
    bool finished = false;
    for (std::uint64_t operation = 1; !finished; ++operation) {
        SCOPED_TRACE("power cut at operation " + std::to_string(operation));
        const TemporaryFolder folder;
        FaultFileSystem files(folder.path());
        files.stop_at(operation);
        std::vector<bool> durable(puts.size());
        if (const auto store = open_store(options_at(folder.path()), files); store.has_value()) {
            for (std::size_t i = 0; i < puts.size(); ++i) {
                (*store)->put(puts[i]);
                durable[i] = (*store)->drain().has_value();
            }
            finished = durable.back();
        }
        files.cut_power(GetParam());
        FaultFileSystem after(folder.path());
        const auto store = open_store(options_at(folder.path()), after);
        ASSERT_TRUE(store.has_value()) << store.error().message;
        (*store)->recovery();
        for (std::size_t i = 0; i < 2; ++i) {
            const std::optional<ErrorCode> failure = read_failure(**store, puts[i]);
            if (durable[i]) {
                EXPECT_EQ(failure, std::nullopt) << "part " << i << " was reported as written";
            }
            if (failure.has_value()) {
                EXPECT_EQ(failure, ErrorCode::not_found);
            }
        }
        const auto report = (*store)->verify(nullptr);
        ASSERT_TRUE(report.has_value());
        EXPECT_EQ(report->corrupt, 0U);
        const auto rows = (*store)->part_rows({.id = window.segment.id, .kind = PartKind::window});
        if (durable[2]) {
            ASSERT_TRUE(rows.has_value()) << "replacing a part must not lose it";
            EXPECT_TRUE(rows->rows == 16 || (rows->rows == 32 && !durable[3])) << rows->rows;
        }
        EXPECT_EQ((*store)->stats().corrupt_parts, 0U);
        // Nothing is left that would stand in the way of the same writes.
        for (const PutRequest &put : puts) (*store)->put(put);
        EXPECT_TRUE((*store)->drain().has_value());
        EXPECT_EQ(read_failure(**store, puts[1]), std::nullopt);
    }
}

INSTANTIATE_TEST_SUITE_P(Kinds, PowerCutDuringPuts, ::testing::Values(PowerCut::drop_unsynced, PowerCut::keep_names));

TEST(StoreFaults, OneFailedOperationFailsOnePutAndNothingElse) {
    const std::vector<PutRequest> puts = sample_puts(1, 3);
    std::uint64_t first = 0;
    std::uint64_t last = 1;
    for (std::uint64_t operation = 0; operation < last; ++operation) {
        SCOPED_TRACE("failure of operation " + std::to_string(operation));
        const TemporaryFolder folder;
        FaultFileSystem files(folder.path());
        const auto opened = open_store(options_at(folder.path()), files);
        ASSERT_TRUE(opened.has_value());
        BlockStore &store = **opened;
        store.recovery();
        if (operation == 0) {  // counts the operations that a run without failures needs
            first = files.operations() + 1;
        } else {
            files.fail_at(operation);
        }
        for (const PutRequest &put : puts) store.put(put);
        const Result<void> drained = store.drain();
        if (operation == 0) {
            last = files.operations() + 1;
            operation = first - 1;
            continue;
        }
        ASSERT_FALSE(drained.has_value());
        EXPECT_EQ(drained.error().code, ErrorCode::io);
        EXPECT_EQ(store.stats().failed_writes, 1U);
        for (const PutRequest &put : puts) store.put(put);
        ASSERT_TRUE(store.drain().has_value());
        for (const PutRequest &put : puts) EXPECT_EQ(read_failure(store, put), std::nullopt);
        EXPECT_EQ(store.stats().disk_parts, 3U);
        EXPECT_EQ(store.stats().disk_bytes, store.stats().written_bytes);
        EXPECT_TRUE(store.stats().last_write_error.empty());
    }
}

TEST(StoreFaults, AFullDiskFailsPutsAndKeepsThePartsInMemory) {
    const TemporaryFolder folder;
    FaultFileSystem files(folder.path());
    StoreOptions options = options_at(folder.path());
    options.memory_budget_bytes = 1 << 20;
    const auto opened = open_store(options, files);
    ASSERT_TRUE(opened.has_value());
    BlockStore &store = **opened;
    const std::vector<PutRequest> puts = sample_puts(1, 4);
    store.put(puts[0]);
    ASSERT_TRUE(store.drain().has_value());
    const std::uint64_t one = store.stats().disk_bytes;
    files.set_space(one + one / 2);
    for (const PutRequest &put : puts) store.put(put);
    const Result<void> drained = store.drain();
    ASSERT_FALSE(drained.has_value());
    EXPECT_EQ(drained.error().code, ErrorCode::io);
    EXPECT_NE(drained.error().message.find("No space left"), std::string::npos);
    EXPECT_EQ(store.stats().failed_writes, 3U);
    EXPECT_FALSE(store.stats().last_write_error.empty());
    EXPECT_EQ(store.stats().disk_bytes, one);
    for (const PutRequest &put : puts) EXPECT_EQ(read_failure(store, put), std::nullopt) << "from memory";
    files.set_space(std::nullopt);
    for (const PutRequest &put : puts) store.put(put);
    ASSERT_TRUE(store.drain().has_value());
    EXPECT_EQ(store.stats().disk_parts, 4U) << "a later put writes what couldn't be written";
}

TEST(StoreFaults, AReadOnlyDiskStillAnswersReads) {
    const TemporaryFolder folder;
    FaultFileSystem files(folder.path());
    const auto opened = open_store(options_at(folder.path()), files);
    ASSERT_TRUE(opened.has_value());
    BlockStore &store = **opened;
    const std::vector<PutRequest> puts = sample_puts(1, 2);
    store.put(puts[0]);
    ASSERT_TRUE(store.drain().has_value());
    files.set_read_only(true);
    store.put(puts[1]);
    EXPECT_EQ(store.drain().error().code, ErrorCode::io);
    EXPECT_EQ(read_failure(store, puts[0]), std::nullopt);
    // A part that is corrupt but can't be moved away is found out once, and is not there from then on.
    const std::filesystem::path path = store.parts()[0].path;
    std::vector<std::byte> bytes = read_bytes(path);
    bytes.back() ^= std::byte{1};
    write_bytes(path, bytes);
    EXPECT_EQ(read_failure(store, puts[0]), ErrorCode::corrupt);
    EXPECT_EQ(read_failure(store, puts[0]), ErrorCode::not_found);
    EXPECT_EQ(store.find({.id = puts[0].segment.id}), std::nullopt);
    EXPECT_EQ(store.stats().corrupt_parts, 1U);
    files.set_read_only(false);
    store.put(puts[0]);
    ASSERT_TRUE(store.drain().has_value());
    EXPECT_EQ(read_failure(store, puts[0]), std::nullopt);
}

TEST(StoreFaults, PutWaitsWhileTheQueueIsFullAndGoesOn) {
    const TemporaryFolder folder;
    FaultFileSystem files(folder.path());
    StoreOptions options = options_at(folder.path());
    const std::vector<PutRequest> puts = sample_puts(1, 6);
    options.queue_budget_bytes = 2 * puts[0].image.layout->image_bytes;
    const auto opened = open_store(options, files);
    ASSERT_TRUE(opened.has_value());
    BlockStore &store = **opened;
    store.recovery();
    files.hold_changes(true);
    std::atomic<std::size_t> accepted = 0;
    std::jthread producer([&] {
        for (const PutRequest &put : puts) {
            store.put(put);
            ++accepted;
        }
    });
    while (accepted < 2) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(accepted, 2U) << "a third image doesn't fit into the queue";
    EXPECT_EQ(store.stats().queue_parts, 2U);
    EXPECT_LE(store.stats().queue_bytes, options.queue_budget_bytes);
    EXPECT_EQ(store.find({.id = puts[1].segment.id}), Tier::memory) << "what waits to be written is found";
    EXPECT_EQ(read_failure(store, puts[1]), std::nullopt);
    files.hold_changes(false);
    producer.join();
    ASSERT_TRUE(store.drain().has_value());
    EXPECT_EQ(store.stats().disk_parts, puts.size());
    EXPECT_EQ(store.stats().queue_parts, 0U);
}

TEST(StoreFaults, AnImageLargerThanTheQueueStillGoesThrough) {
    const TemporaryFolder folder;
    FaultFileSystem files(folder.path());
    StoreOptions options = options_at(folder.path());
    options.queue_budget_bytes = 1;
    const auto opened = open_store(options, files);
    ASSERT_TRUE(opened.has_value());
    for (const PutRequest &put : sample_puts(1, 3)) (*opened)->put(put);
    ASSERT_TRUE((*opened)->drain().has_value());
    EXPECT_EQ((*opened)->stats().disk_parts, 3U);
}

TEST(StoreFaults, TheQueueIsWrittenBeforeTheStoreCloses) {
    const TemporaryFolder folder;
    const std::vector<PutRequest> puts = sample_puts(1, 5);
    FaultFileSystem files(folder.path());
    {
        const auto opened = open_store(options_at(folder.path()), files);
        ASSERT_TRUE(opened.has_value());
        for (const PutRequest &put : puts) (*opened)->put(put);
    }
    EXPECT_EQ((*open_store(options_at(folder.path()), files))->recovery().parts, 5U);
}

TEST(StoreFaults, FindsAndReadsBeforeTheCountIsFinished) {
    const TemporaryFolder folder;
    const std::vector<PutRequest> puts = sample_puts(1, 2);
    FaultFileSystem files(folder.path());
    {
        const auto opened = open_store(options_at(folder.path()), files);
        ASSERT_TRUE(opened.has_value());
        (*opened)->put(puts[0]);
    }
    files.hold_lists(true);
    const std::unique_ptr<BlockStore> store = *open_store(options_at(folder.path()), files);
    EXPECT_EQ(store->find({.id = puts[0].segment.id}), Tier::disk);
    EXPECT_EQ(store->find({.id = puts[1].segment.id}), std::nullopt);
    EXPECT_EQ(read_failure(*store, puts[0]), std::nullopt);
    store->put(puts[0]);  // waits for the count, then turns out to be there
    store->put(puts[1]);
    EXPECT_EQ(store->find({.id = puts[1].segment.id}), Tier::memory);
    files.hold_lists(false);
    ASSERT_TRUE(store->drain().has_value());
    EXPECT_EQ(store->stats().deduplicated_parts, 1U);
    EXPECT_EQ(store->stats().disk_parts, 2U);
}

TEST(StoreFaults, TheDiskBudgetHoldsAtEveryMoment) {
    const TemporaryFolder folder;
    FaultFileSystem files(folder.path());
    StoreOptions options = options_at(folder.path());
    std::uint64_t one = 0;
    {
        const TemporaryFolder other;
        FaultFileSystem measured(other.path());
        const auto opened = open_store(options_at(other.path()), measured);
        (*opened)->put(sample_puts(1, 1)[0]);
        ASSERT_TRUE((*opened)->drain().has_value());
        one = (*opened)->stats().disk_bytes;
    }
    options.disk_budget_bytes = 5 * one + one / 2;
    const auto opened = open_store(options, files);
    ASSERT_TRUE(opened.has_value());
    BlockStore &store = **opened;
    for (std::uint32_t agent = 1; agent <= 6; ++agent) {
        const std::string name = "default/" + std::to_string(agent);
        std::vector<PartKey> keys;
        for (const PutRequest &put : sample_puts(agent, 3, name)) {
            store.put(put);
            keys.push_back({.id = put.segment.id});
        }
        ASSERT_TRUE(store.drain().has_value());
        store.claim({.claimant = name, .tenant = "default", .last_used_ms = agent * 3'600'000LL, .parts = keys});
    }
    EXPECT_LE(files.largest_total_bytes(), options.disk_budget_bytes);
    EXPECT_GE(store.stats().evicted_disk_parts, 13U);
    for (const PutRequest &put : sample_puts(6, 3))
        EXPECT_EQ(read_failure(store, put), std::nullopt) << "the last agent is whole";
    EXPECT_EQ(read_failure(store, sample_puts(1, 3)[0]), ErrorCode::not_found) << "the first one is gone";

    const PutRequest huge = sample_put(sample_chain(9, 32)[0], "default/9", {.layers = 64});
    store.put(huge);
    const Result<void> drained = store.drain();
    ASSERT_FALSE(drained.has_value());
    EXPECT_EQ(drained.error().code, ErrorCode::over_budget);
    EXPECT_EQ(read_failure(store, sample_puts(6, 3)[0]), std::nullopt) << "a write that can't succeed evicts nothing";
}

TEST(StoreLocking, ASecondProcessIsRefusedAndACrashedOnesLockTakenOver) {
    const TemporaryFolder folder;
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const auto store = open_store(options_at(folder.path()), posix_file_system());
        const char answer = store.has_value() ? 'y' : 'n';
        if (::write(ready[1], &answer, 1) != 1) ::_exit(1);
        for (;;) ::pause();
    }
    char answer = 0;
    ASSERT_EQ(::read(ready[0], &answer, 1), 1);
    ASSERT_EQ(answer, 'y');
    const auto refused = open_store(options_at(folder.path()), posix_file_system());
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::locked);
    EXPECT_NE(refused.error().message.find(std::to_string(child)), std::string::npos) << refused.error().message;
    EXPECT_NE(refused.error().message.find(folder.path().string()), std::string::npos) << refused.error().message;
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    ::close(ready[0]);
    ::close(ready[1]);
    {
        const auto store = open_store(options_at(folder.path()), posix_file_system());
        ASSERT_TRUE(store.has_value()) << store.error().message;
        EXPECT_TRUE((*store)->recovery().stale_lock_taken_over);
        const auto again = open_store(options_at(folder.path()), posix_file_system());
        ASSERT_FALSE(again.has_value());
        EXPECT_EQ(again.error().code, ErrorCode::locked) << "also within one process";
    }
    const auto store = open_store(options_at(folder.path()), posix_file_system());
    ASSERT_TRUE(store.has_value());
    EXPECT_FALSE((*store)->recovery().stale_lock_taken_over) << "the last one ended properly";
}

}  // namespace
}  // namespace engram
