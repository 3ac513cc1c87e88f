// Damaged files: found out, quarantined once, and replaced by the next put; nothing else suffers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "store/block_store.h"
#include "store/part_file.h"
#include "store/testing/samples.h"

namespace engram {
namespace {

using namespace testing;

StoreOptions options_at(const std::filesystem::path &root) {
    return {.root = root, .disk_budget_bytes = 64 << 20, .quarantine_budget_bytes = 1 << 20, .memory_budget_bytes = 0};
}

std::unique_ptr<BlockStore> open_store(const StoreOptions &options, const TensorCodec *codec = nullptr) {
    auto store = BlockStore::open(options, posix_file_system(), system_clock(), codec);
    EXPECT_TRUE(store.has_value()) << store.error().message;
    return store.has_value() ? std::move(*store) : nullptr;
}

Result<ReadOutcome> read_back(BlockStore &store, const PutRequest &put, PartImage &target) {
    return store.read(put.segment, put.image.layout->kind, put.image.first_position, put.image.layout->rows, target, 0);
}

std::filesystem::path path_of(BlockStore &store, const PutRequest &put) {
    for (const PartInfo &info : store.parts()) {
        if (info.key == PartKey{.id = put.segment.id, .kind = put.image.layout->kind}) return info.path;
    }
    ADD_FAILURE() << "not stored";
    return {};
}

class Corruption : public ::testing::Test {
  protected:
    void SetUp() override {
        store_ = open_store(options_at(folder_.path()));
        for (const PutRequest &put : {put_, neighbour_}) store_->put(put);
        ASSERT_TRUE(store_->drain().has_value());
        path_ = path_of(*store_, put_);
        good_ = read_bytes(path_);
    }

    // With this in the file's place: one read says corrupt, the next one not_found, one file is in quarantine, a put heals it.
    void expect_caught(std::span<const std::byte> bytes) {
        const StoreStats before = store_->stats();
        write_bytes(path_, bytes);
        PartImage target = empty_image({}, 0);
        const Result<ReadOutcome> outcome = read_back(*store_, put_, target);
        ASSERT_FALSE(outcome.has_value());
        EXPECT_EQ(outcome.error().code, ErrorCode::corrupt) << outcome.error().message;
        EXPECT_NE(outcome.error().message.find(path_.string()), std::string::npos);
        EXPECT_EQ(read_back(*store_, put_, target).error().code, ErrorCode::not_found);
        EXPECT_EQ(store_->find({.id = put_.segment.id}), std::nullopt);
        EXPECT_EQ(store_->stats().corrupt_parts, before.corrupt_parts + 1);
        EXPECT_EQ(store_->stats().quarantine_parts, before.quarantine_parts + 1);
        EXPECT_FALSE(std::filesystem::exists(path_));
        EXPECT_TRUE(read_back(*store_, neighbour_, target).has_value()) << "another part suffered";
        store_->put(put_);
        ASSERT_TRUE(store_->drain().has_value());
        target = empty_image({}, 0);
        ASSERT_TRUE(read_back(*store_, put_, target).has_value());
        EXPECT_TRUE(rows_equal(target, 0, put_.image));
        EXPECT_EQ(read_bytes(path_), good_) << "the same part gives the same file";
    }

    const TemporaryFolder folder_;
    const PutRequest put_ = sample_put(sample_chain(1, 32)[0], "default/a");
    const PutRequest neighbour_ = sample_put(sample_chain(1, 64)[1], "default/a");
    std::unique_ptr<BlockStore> store_;
    std::filesystem::path path_;
    std::vector<std::byte> good_;
};

TEST_F(Corruption, FlippedBitsInEverySection) {
    const std::size_t payload = *part_header_bytes(good_, good_.size());
    for (const std::size_t at :
         {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{60}, payload / 2, payload - 1, payload, good_.size() - 1}) {
        SCOPED_TRACE(at);
        auto damaged = good_;
        damaged[at] ^= std::byte{0x10};
        expect_caught(damaged);
    }
}

TEST_F(Corruption, TruncationAtEverySectionsEdges) {
    const std::size_t payload = *part_header_bytes(good_, good_.size());
    const std::size_t second_tensor = payload + put_.image.layout->tensors[0].bytes();
    for (const std::size_t edge : {std::size_t{1}, kPartLengthBytes, payload, second_tensor, good_.size() - 1}) {
        for (const std::size_t size : {edge - 1, edge, edge + 1}) {
            SCOPED_TRACE(size);
            if (size < good_.size()) expect_caught(std::span(good_).first(size));
        }
    }
    auto longer = good_;
    longer.push_back(std::byte{0});
    expect_caught(longer);
}

TEST_F(Corruption, ForeignContent) {
    const char *text = "GGUF\3\0\0\0 this is not a part at all, but it is long enough for a header's length and more than that";
    expect_caught(std::as_bytes(std::span(text, std::strlen(text + 8) + 8)));
    expect_caught(std::vector<std::byte>(1 << 16, std::byte{0}));
    expect_caught(std::vector<std::byte>(1 << 16, std::byte{0xFF}));
}

TEST_F(Corruption, AValidFileUnderAnotherName) { expect_caught(read_bytes(path_of(*store_, neighbour_))); }

TEST_F(Corruption, AValidFileOfOtherTokensUnderTheSameId) {
    PutRequest other = put_;
    other.segment.tokens[5] += 1;
    const TemporaryFolder elsewhere;
    const auto store = open_store(options_at(elsewhere.path()));
    store->put(other);
    ASSERT_TRUE(store->drain().has_value());
    expect_caught(read_bytes(path_of(*store, other)));
}

TEST_F(Corruption, IsFoundByVerifyAsWell) {
    auto damaged = good_;
    damaged.back() ^= std::byte{1};
    write_bytes(path_, damaged);
    std::uint64_t steps = 0;
    const auto report = store_->verify([&](std::uint64_t, std::uint64_t total) {
        ++steps;
        EXPECT_EQ(total, 2U);
    });
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(report->parts, 2U);
    EXPECT_EQ(report->corrupt, 1U);
    ASSERT_EQ(report->messages.size(), 1U);
    EXPECT_NE(report->messages[0].find(path_.string()), std::string::npos);
    EXPECT_EQ(steps, 3U);
    EXPECT_EQ(store_->verify(nullptr)->corrupt, 0U);
    EXPECT_EQ(store_->stats().quarantine_parts, 1U);
    EXPECT_EQ(*store_->clear_quarantine(), 1U);
    EXPECT_EQ(store_->stats().quarantine_bytes, 0U);
}

TEST_F(Corruption, IsNeverExported) {
    auto damaged = good_;
    damaged.back() ^= std::byte{1};
    write_bytes(path_, damaged);
    EXPECT_EQ(store_->read_file({.id = put_.segment.id}).error().code, ErrorCode::corrupt);
    EXPECT_EQ(store_->read_file({.id = put_.segment.id}).error().code, ErrorCode::not_found);
}

TEST_F(Corruption, OfTheHeaderIsFoundWhenRowsAreAskedFor) {
    store_.reset();
    auto damaged = good_;
    damaged[100] ^= std::byte{1};
    write_bytes(path_, damaged);
    store_ = open_store(options_at(folder_.path()));
    EXPECT_EQ(store_->part_rows({.id = neighbour_.segment.id})->first_position, 32);
    EXPECT_EQ(store_->part_rows({.id = put_.segment.id}).error().code, ErrorCode::corrupt);
    EXPECT_EQ(store_->part_rows({.id = put_.segment.id}).error().code, ErrorCode::not_found);
}

TEST_F(Corruption, AVanishedFileIsAMiss) {
    std::filesystem::remove(path_);
    PartImage target = empty_image({}, 0);
    EXPECT_EQ(read_back(*store_, put_, target).error().code, ErrorCode::not_found);
    EXPECT_EQ(store_->find({.id = put_.segment.id}), std::nullopt);
    EXPECT_EQ(store_->stats().disk_parts, 1U);
    EXPECT_EQ(store_->stats().corrupt_parts, 0U);
}

TEST(Quarantine, StaysWithinItsBudgetAcrossRestartsOldestOutFirst) {
    const TemporaryFolder folder;
    StoreOptions options = options_at(folder.path());
    const auto chain = sample_chain(1, 32 * 5);
    const PutRequest first = sample_put(chain[0], "default/a");
    {
        const auto store = open_store(options);
        store->put(first);
        ASSERT_TRUE(store->drain().has_value());
        options.quarantine_budget_bytes = 2 * store->stats().disk_bytes + 200;
    }
    for (const SegmentIdentity &segment : chain) {
        const auto store = open_store(options);
        const PutRequest put = sample_put(segment, "default/a");
        store->put(put);
        ASSERT_TRUE(store->drain().has_value());
        auto bytes = read_bytes(path_of(*store, put));
        bytes.back() ^= std::byte{1};
        write_bytes(path_of(*store, put), bytes);
        PartImage target = empty_image({}, 0);
        ASSERT_EQ(read_back(*store, put, target).error().code, ErrorCode::corrupt);
        EXPECT_LE(store->stats().quarantine_bytes, options.quarantine_budget_bytes);
    }
    std::vector<std::string> names;
    for (const auto &entry : std::filesystem::directory_iterator(folder.path() / "quarantine"))
        names.push_back(entry.path().filename());
    std::ranges::sort(names);
    std::vector<std::string> expected{chain[3].id.hex() + ".attention.4.safetensors",
                                      chain[4].id.hex() + ".attention.5.safetensors"};
    std::ranges::sort(expected);
    EXPECT_EQ(names, expected);
}

// float to bfloat16 by cutting the mantissa, and back: enough of a codec to see which bytes went through it.
class CuttingCodec final : public TensorCodec {
  public:
    bool supports(KvType from, KvType to, std::size_t row_elements) const override {
        return row_elements != 64 && ((from == KvType::f32 && to == KvType::bf16) || (from == KvType::bf16 && to == KvType::f32));
    }
    Result<void> convert(KvType from, KvType, std::size_t row_elements, std::size_t rows, std::span<const std::byte> in,
                         std::span<std::byte> out) const override {
        for (std::size_t i = 0; i < row_elements * rows; ++i) {
            if (from == KvType::f32) {
                std::memcpy(&out[2 * i], &in[4 * i + 2], 2);
            } else {
                std::memset(&out[4 * i], 0, 2);
                std::memcpy(&out[4 * i + 2], &in[2 * i], 2);
            }
        }
        return {};
    }
};

TEST(LossyStorage, ConvertsOnTheWayToDiskAndBack) {
    const TemporaryFolder folder;
    const CuttingCodec codec;
    StoreOptions options = options_at(folder.path());
    options.stored_type = KvType::bf16;
    const auto store = open_store(options, &codec);
    const SegmentIdentity segment = sample_chain(1, 32)[0];
    const Shape convertible{.type = KvType::f32, .heads = 4};
    const Shape too_narrow{.kind = PartKind::window, .type = KvType::f32};
    const Shape state{.kind = PartKind::state, .type = KvType::f32, .rows = 1, .heads = 4};
    for (const Shape &shape : {convertible, too_narrow, state}) store->put(sample_put(segment, "default/a", shape));
    ASSERT_TRUE(store->drain().has_value());
    const PutRequest put = sample_put(segment, "default/a", convertible);
    PartImage target = empty_image(convertible, 0);
    const auto outcome = read_back(*store, put, target);
    ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
    EXPECT_EQ(outcome->bytes, put.image.layout->payload_bytes() / 2);
    PartImage cut = put.image;
    cut.buffer = std::make_shared<std::byte[]>(cut.layout->image_bytes);
    for (std::size_t i = 0; i < cut.layout->tensors.size(); ++i) {
        std::ranges::copy(put.image.tensor(i), cut.tensor(i).begin());
        for (std::size_t at = 0; at < cut.tensor(i).size(); at += 4) std::memset(&cut.tensor(i)[at], 0, 2);
    }
    EXPECT_TRUE(rows_equal(target, 0, cut));
    for (const Shape &shape : {too_narrow, state}) {
        const PutRequest exact = sample_put(segment, "default/a", shape);
        Shape rows = shape;
        rows.rows = exact.image.layout->rows;
        PartImage whole = empty_image(rows, 0);
        ASSERT_TRUE(read_back(*store, exact, whole).has_value());
        EXPECT_TRUE(rows_equal(whole, 0, exact.image)) << "what the codec can't do, and states, are stored exactly";
    }
    PartImage other = empty_image({.type = KvType::bf16, .heads = 4}, 0);
    EXPECT_EQ(read_back(*store, put, other).error().code, ErrorCode::incompatible) << "stored as bf16, but it was f32";
}

TEST(LossyStorage, NeedsACodecToBeReadBack) {
    const TemporaryFolder folder;
    const CuttingCodec codec;
    StoreOptions options = options_at(folder.path());
    options.stored_type = KvType::bf16;
    const Shape shape{.type = KvType::f32, .heads = 4};
    const PutRequest put = sample_put(sample_chain(1, 32)[0], "default/a", shape);
    {
        const auto store = open_store(options, &codec);
        store->put(put);
    }
    EXPECT_EQ(BlockStore::open(options, posix_file_system(), system_clock(), nullptr).error().code, ErrorCode::invalid_argument);
    options.stored_type.reset();
    const auto store = open_store(options);
    PartImage target = empty_image(shape, 0);
    EXPECT_EQ(read_back(*store, put, target).error().code, ErrorCode::unsupported);
    EXPECT_EQ(store->verify(nullptr)->corrupt, 0U);
    EXPECT_EQ(store->stats().corrupt_parts, 0U);
}

}  // namespace
}  // namespace engram
