// The store's contract on a real file system: round trips, gathering, tiers, claims, budgets, back-pressure.
#include "store/block_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>

#include "store/testing/samples.h"

namespace engram {
namespace {

using namespace testing;

StoreOptions options_at(const std::filesystem::path &root) {
    return {.root = root, .disk_budget_bytes = 64 << 20, .memory_budget_bytes = 0, .queue_budget_bytes = 1 << 20};
}

std::unique_ptr<BlockStore> open_store(const StoreOptions &options) {
    auto store = BlockStore::open(options, posix_file_system(), system_clock(), nullptr);
    EXPECT_TRUE(store.has_value()) << store.error().message;
    return store.has_value() ? std::move(*store) : nullptr;
}

Result<ReadOutcome> read_back(BlockStore &store, const PutRequest &put, PartImage &target, std::uint32_t row = 0) {
    return store.read(put.segment, put.image.layout->kind, put.image.first_position, put.image.layout->rows, target, row);
}

// The part's rows, read into an empty image of its own shape.
::testing::AssertionResult stored_as_put(BlockStore &store, const PutRequest &put, Tier tier) {
    PartImage target{.layout = put.image.layout, .first_position = put.image.first_position, .buffer = nullptr};
    target.buffer = std::make_shared<std::byte[]>(target.layout->image_bytes);
    std::memset(target.buffer.get(), 0xAA, target.layout->image_bytes);
    const Result<ReadOutcome> outcome = read_back(store, put, target);
    if (!outcome.has_value()) return ::testing::AssertionFailure() << outcome.error().message;
    if (outcome->tier != tier) return ::testing::AssertionFailure() << "from tier " << tier_name(outcome->tier);
    if (outcome->bytes != put.image.layout->payload_bytes()) return ::testing::AssertionFailure() << outcome->bytes << " bytes";
    if (!rows_equal(target, 0, put.image)) return ::testing::AssertionFailure() << "other bytes";
    return ::testing::AssertionSuccess();
}

TEST(BlockStore, ReturnsTheSameBytesOfEveryTypeAndKindAfterAReopen) {
    const TemporaryFolder folder;
    std::vector<PutRequest> puts;
    for (int type = 0; type <= static_cast<int>(KvType::u8); ++type) {
        for (int kind = 0; kind < static_cast<int>(kPartKinds); ++kind) {
            const auto chain = sample_chain(static_cast<std::uint32_t>(type), 40);
            const Shape shape{.kind = static_cast<PartKind>(kind), .type = static_cast<KvType>(type), .rows = 1};
            for (const SegmentIdentity &segment : chain) puts.push_back(sample_put(segment, "default/a", shape));
        }
    }
    {
        const auto store = open_store(options_at(folder.path()));
        for (const PutRequest &put : puts) store->put(put);
        ASSERT_TRUE(store->drain().has_value());
        EXPECT_EQ(store->stats().written_parts, puts.size());
    }
    const auto store = open_store(options_at(folder.path()));
    EXPECT_EQ(store->recovery().parts, puts.size());
    EXPECT_FALSE(store->recovery().stale_lock_taken_over);
    for (const PutRequest &put : puts) {
        EXPECT_TRUE(stored_as_put(*store, put, Tier::disk)) << kv_type_name(put.image.layout->tensors[0].type);
    }
    EXPECT_EQ(store->stats().corrupt_parts, 0U);
}

TEST(BlockStore, GathersConsecutiveBlocksInOneImage) {
    const TemporaryFolder folder;
    const auto store = open_store(options_at(folder.path()));
    const auto chain = sample_chain(1, 32 * 3 + 7);
    std::vector<PutRequest> puts;
    for (const SegmentIdentity &segment : chain) puts.push_back(sample_put(segment, "default/a"));
    for (const PutRequest &put : puts) store->put(put);
    ASSERT_TRUE(store->drain().has_value());
    PartImage target = empty_image({.rows = 32 * 3 + 7}, 0);
    for (const PutRequest &put : puts) {
        ASSERT_TRUE(read_back(*store, put, target, static_cast<std::uint32_t>(put.segment.first_position)).has_value());
    }
    for (const PutRequest &put : puts) {
        EXPECT_TRUE(rows_equal(target, static_cast<std::uint32_t>(put.segment.first_position), put.image));
    }
}

TEST(BlockStore, RefusesATargetOfAnotherShape) {
    const TemporaryFolder folder;
    StoreOptions options = options_at(folder.path());
    for (const std::uint64_t memory : {0ULL, 1ULL << 20}) {
        options.memory_budget_bytes = memory;
        const auto store = open_store(options);
        const PutRequest put = sample_put(sample_chain(1, 32)[0], "default/a");
        store->put(put);
        ASSERT_TRUE(store->drain().has_value());
        for (const Shape &other : {Shape{.layers = 3}, Shape{.heads = 4}, Shape{.head_dim = 64}, Shape{.rows = 31},
                                   Shape{.type = KvType::bf16}, Shape{.heads = 1, .head_dim = 64}}) {
            PartImage target = empty_image(other, 0);
            const Result<ReadOutcome> outcome = read_back(*store, put, target);
            ASSERT_FALSE(outcome.has_value());
            EXPECT_EQ(outcome.error().code, ErrorCode::incompatible) << outcome.error().message;
        }
        PartImage target = empty_image({}, 0);
        EXPECT_EQ(read_back(*store, put, target, 1).error().code, ErrorCode::incompatible) << "the rows don't fit from row 1 on";
        EXPECT_TRUE(stored_as_put(*store, put, memory == 0 ? Tier::disk : Tier::memory)) << "nothing was quarantined";
    }
}

TEST(BlockStore, WritesAPartOnce) {
    const TemporaryFolder folder;
    const auto store = open_store(options_at(folder.path()));
    const PutRequest put = sample_put(sample_chain(1, 32)[0], "default/a");
    for (int i = 0; i < 5; ++i) store->put(put);
    ASSERT_TRUE(store->drain().has_value());
    for (int i = 0; i < 5; ++i) store->put(put);
    ASSERT_TRUE(store->drain().has_value());
    EXPECT_EQ(store->stats().written_parts, 1U);
    EXPECT_EQ(store->stats().deduplicated_parts, 9U);
}

TEST(BlockStore, AWindowPartWithOtherRowsReplacesTheStoredOne) {
    const TemporaryFolder folder;
    const auto store = open_store(options_at(folder.path()));
    const SegmentIdentity segment = sample_chain(1, 32)[0];
    PutRequest whole = sample_put(segment, "default/a", {.kind = PartKind::window});
    PutRequest half = whole;
    half.image = sample_image({.kind = PartKind::window, .rows = 16}, 16, 7);
    store->put(half);
    store->put(whole);
    ASSERT_TRUE(store->drain().has_value());
    EXPECT_TRUE(stored_as_put(*store, whole, Tier::disk));
    EXPECT_EQ(store->stats().written_parts, 2U);
    EXPECT_EQ(store->stats().disk_parts, 1U);
    const auto rows = store->part_rows({.id = segment.id, .kind = PartKind::window});
    ASSERT_TRUE(rows.has_value());
    EXPECT_EQ(rows->rows, 32U);
}

TEST(BlockStore, AnswersFromMemoryWithinItsBudget) {
    const TemporaryFolder folder;
    const auto chain = sample_chain(1, 32 * 4);
    std::vector<PutRequest> puts;
    for (const SegmentIdentity &segment : chain) puts.push_back(sample_put(segment, "default/a"));
    StoreOptions options = options_at(folder.path());
    options.memory_budget_bytes = 2 * puts[0].image.layout->image_bytes + 1;
    const auto store = open_store(options);
    for (const PutRequest &put : puts) {
        store->put(put);
        EXPECT_LE(store->stats().memory_bytes, options.memory_budget_bytes);
    }
    ASSERT_TRUE(store->drain().has_value());
    EXPECT_EQ(store->stats().memory_parts, 2U);
    EXPECT_TRUE(stored_as_put(*store, puts[0], Tier::disk));
    EXPECT_TRUE(stored_as_put(*store, puts[2], Tier::memory));
    store->keep_in_memory({.id = puts[0].segment.id}, puts[0].image);
    EXPECT_EQ(store->find({.id = puts[0].segment.id}), Tier::memory);
    EXPECT_EQ(store->find({.id = puts[3].segment.id}), Tier::disk) << "the least recently used one had to go";
    const std::vector<PartKey> keys{{.id = puts[2].segment.id}};
    store->drop_from_memory(keys);
    EXPECT_TRUE(stored_as_put(*store, puts[2], Tier::disk));
    EXPECT_TRUE(store->memory_image({.id = puts[0].segment.id}).has_value());
    EXPECT_FALSE(store->memory_image({.id = puts[2].segment.id}).has_value());
}

TEST(BlockStore, KeepsFoldersAndFilesPrivate) {
    const TemporaryFolder folder;
    const auto root = folder.path() / "deep" / "store";
    const auto store = open_store(options_at(root));
    store->put(sample_put(sample_chain(1, 32)[0], "default/a"));
    ASSERT_TRUE(store->drain().has_value());
    std::size_t files = 0;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(root)) {
        struct stat facts{};
        ASSERT_EQ(::stat(entry.path().c_str(), &facts), 0);
        EXPECT_EQ(facts.st_mode & 07777, entry.is_directory() ? 0700U : 0600U) << entry.path();
        files += entry.is_regular_file();
    }
    EXPECT_EQ(files, 2U) << "the part and the lock";
}

TEST(BlockStore, CountsWhatItFindsAndLeavesForeignFilesAlone) {
    const TemporaryFolder folder;
    const PutRequest put = sample_put(sample_chain(1, 32)[0], "default/a");
    std::filesystem::path shard;
    {
        const auto store = open_store(options_at(folder.path()));
        store->put(put);
        ASSERT_TRUE(store->drain().has_value());
        shard = store->parts()[0].path.parent_path();
    }
    const std::string id = put.segment.id.hex();
    std::ofstream(shard / (id + ".window.tmp")) << "half";
    std::ofstream(shard / "notes.txt") << "mine";
    std::ofstream(shard / (std::string(64, 'f') + ".attention.safetensors")) << "in another block's folder";
    std::ofstream(folder.path() / "blocks" / "README") << "mine";
    const auto store = open_store(options_at(folder.path()));
    const RecoveryReport report = store->recovery();
    EXPECT_EQ(report.parts, 1U);
    EXPECT_EQ(report.temporary_files_removed, 1U);
    EXPECT_EQ(report.foreign_files, 3U);
    EXPECT_EQ(report.bytes, store->stats().disk_bytes);
    EXPECT_FALSE(std::filesystem::exists(shard / (id + ".window.tmp")));
    EXPECT_TRUE(std::filesystem::exists(shard / "notes.txt"));
    EXPECT_EQ(store->stats().unclaimed_disk_parts, 1U);
}

TEST(BlockStore, RemovesWhatNobodyClaims) {
    const TemporaryFolder folder;
    const auto chain = sample_chain(1, 96);
    const auto other = sample_chain(2, 96);
    {
        const auto store = open_store(options_at(folder.path()));
        for (const auto *list : {&chain, &other}) {
            for (const SegmentIdentity &segment : *list) store->put(sample_put(segment, "default/a"));
        }
    }
    const auto store = open_store(options_at(folder.path()));
    store->claim({.claimant = "default/a", .tenant = "default", .parts = {{.id = chain[0].id}, {.id = chain[1].id}}});
    const Result<RecoveryReport> report = store->remove_unclaimed();
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(report->orphans_removed, 4U);
    EXPECT_GT(report->orphan_bytes, 0U);
    EXPECT_EQ(store->stats().disk_parts, 2U);
    EXPECT_EQ(store->find({.id = chain[1].id}), Tier::disk);
    EXPECT_EQ(store->find({.id = chain[2].id}), std::nullopt);
    EXPECT_EQ(store->find({.id = other[0].id}), std::nullopt);
}

TEST(BlockStore, RemovesOnlyWhatNoOtherAgentHolds) {
    const TemporaryFolder folder;
    StoreOptions options = options_at(folder.path());
    options.memory_budget_bytes = 1 << 20;
    const auto store = open_store(options);
    const auto chain = sample_chain(1, 64);
    std::vector<PartKey> keys;
    for (const SegmentIdentity &segment : chain) {
        store->put(sample_put(segment, "default/a"));
        keys.push_back({.id = segment.id});
    }
    store->claim({.claimant = "default/b", .tenant = "default", .parts = {keys[0]}});
    ASSERT_TRUE(store->drain().has_value());
    store->release("default/a");
    ASSERT_TRUE(store->remove(keys).has_value());
    EXPECT_EQ(store->find(keys[0]), Tier::memory);
    EXPECT_EQ(store->find(keys[1]), std::nullopt);
    EXPECT_EQ(store->stats().disk_parts, 1U);
}

TEST(BlockStore, ExportsAndImportsFiles) {
    const TemporaryFolder from;
    const TemporaryFolder to;
    const PutRequest put = sample_put(sample_chain(1, 32)[0], "default/a");
    const PartKey key{.id = put.segment.id};
    const auto source = open_store(options_at(from.path()));
    source->put(put);
    const auto bytes = source->read_file(key);
    ASSERT_TRUE(bytes.has_value()) << bytes.error().message;
    const auto target = open_store(options_at(to.path()));
    EXPECT_EQ(target->read_file(key).error().code, ErrorCode::not_found);
    auto damaged = *bytes;
    damaged.back() ^= std::byte{1};
    const auto refused = target->write_file(put.segment, PartKind::attention, damaged, "default/a", "default");
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
    EXPECT_EQ(target->find(key), std::nullopt);
    SegmentIdentity wrong = put.segment;
    wrong.tokens[3] += 1;
    EXPECT_EQ(target->write_file(wrong, PartKind::attention, *bytes, "default/a", "default").error().code, ErrorCode::corrupt);
    ASSERT_TRUE(target->write_file(put.segment, PartKind::attention, *bytes, "default/a", "default").has_value());
    EXPECT_TRUE(stored_as_put(*target, put, Tier::disk));
    ASSERT_TRUE(target->parts().size() == 1);
    EXPECT_TRUE(target->parts()[0].claims > 0);
}

TEST(BlockStore, AReadOnlyStoreReadsAndChangesNothing) {
    const TemporaryFolder folder;
    const PutRequest put = sample_put(sample_chain(1, 32)[0], "default/a");
    const auto writer = open_store(options_at(folder.path()));
    writer->put(put);
    ASSERT_TRUE(writer->drain().has_value());
    StoreOptions options = options_at(folder.path());
    options.read_only = true;
    const auto reader = open_store(options);  // beside the process that holds the lock
    EXPECT_TRUE(stored_as_put(*reader, put, Tier::disk));
    reader->put(sample_put(sample_chain(2, 32)[0], "default/a"));
    EXPECT_EQ(reader->drain().error().code, ErrorCode::io);
    EXPECT_EQ(reader->stats().failed_writes, 1U);
    EXPECT_FALSE(reader->remove_unclaimed().has_value());
    EXPECT_EQ(reader->stats().disk_parts, 1U);
    options.root = folder.path() / "absent";
    const auto absent = BlockStore::open(options, posix_file_system(), system_clock(), nullptr);
    ASSERT_FALSE(absent.has_value());
    EXPECT_EQ(absent.error().code, ErrorCode::not_found);
}

TEST(BlockStore, RefusesPartsThatCannotBeStored) {
    const TemporaryFolder folder;
    const auto store = open_store(options_at(folder.path()));
    PutRequest put = sample_put(sample_chain(1, 32)[0], "default/a");
    auto layout = std::make_shared<PartLayout>(*put.image.layout);
    layout->tensors[1].offset = layout->image_bytes - 1;
    put.image.layout = layout;
    store->put(put);
    PutRequest no_tokens = sample_put(sample_chain(1, 32)[0], "default/a");
    no_tokens.segment.tokens.clear();
    store->put(no_tokens);
    PutRequest no_image = sample_put(sample_chain(1, 32)[0], "default/a");
    no_image.image = {};
    store->put(no_image);
    const Result<void> drained = store->drain();
    ASSERT_FALSE(drained.has_value());
    EXPECT_EQ(drained.error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(store->stats().failed_writes, 3U);
    EXPECT_TRUE(store->drain().has_value()) << "an error is reported once";
}

}  // namespace
}  // namespace engram
