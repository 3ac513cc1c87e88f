// Many threads on one store: what is read is right or honestly absent, whatever is evicted, quarantined or removed meanwhile.
// Worth most under the thread sanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "ports/testing/fault_file_system.h"
#include "store/block_store.h"
#include "store/testing/samples.h"

namespace engram {
namespace {

using namespace testing;

constexpr int kRounds = 60;

class Threads : public ::testing::Test {
  protected:
    void SetUp() override {
        // Room for about half of what is put: evictions go on all the time.
        auto opened = BlockStore::open({.root = folder_.path(),
                                        .disk_budget_bytes = 160 << 10,
                                        .quarantine_budget_bytes = 30 << 10,
                                        .memory_budget_bytes = 60 << 10,
                                        .queue_budget_bytes = 40 << 10},
                                       files_, system_clock(), nullptr);
        ASSERT_TRUE(opened.has_value());
        store_ = std::move(*opened);
        for (std::uint32_t agent = 0; agent < 6; ++agent) {
            for (const SegmentIdentity &segment : sample_chain(agent, 32 * 5))
                puts_[agent].push_back(sample_put(segment, name(agent)));
        }
    }

    static std::string name(std::size_t agent) { return "default/" + std::to_string(agent); }

    void write(std::size_t agent) {
        for (int round = 0; round < kRounds; ++round) {
            Claim claim{.claimant = name(agent), .tenant = "default", .last_used_ms = round, .parts = {}};
            for (const PutRequest &put : puts_[agent]) {
                store_->put(put);
                claim.parts.push_back({.id = put.segment.id});
                if (round % 4 == 0) store_->claim(claim);
            }
            if (round % 5 == 0) store_->release(name(agent));
            if (round % 7 == 0) {
                EXPECT_TRUE(store_->remove(claim.parts).has_value());
            }
        }
    }

    void read(std::uint64_t seed) {
        std::mt19937_64 random(seed);
        for (int round = 0; round < kRounds * 5; ++round) {
            const PutRequest &put = puts_[random() % puts_.size()][random() % 5];
            PartImage target = put.image;
            target.buffer = std::make_shared<std::byte[]>(target.layout->image_bytes);
            std::memset(target.buffer.get(), 0xAA, target.layout->image_bytes);
            const auto outcome = store_->read(put.segment, PartKind::attention, put.image.first_position, 32, target, 0);
            if (outcome.has_value()) {
                ++hits_;
                ASSERT_TRUE(rows_equal(target, 0, put.image));
            } else {
                ASSERT_TRUE(outcome.error().code == ErrorCode::not_found || outcome.error().code == ErrorCode::corrupt)
                    << outcome.error().message;
            }
            const PartKey key{.id = put.segment.id};
            if (random() % 3 == 0) store_->drop_from_memory(std::span(&key, 1));
        }
    }

    void disturb() {
        std::mt19937_64 random(3);
        for (int round = 0; round < kRounds; ++round) {
            for (const PartInfo &info : store_->parts()) {
                if (random() % 8 == 0 && std::filesystem::exists(info.path)) damage(info.path);
            }
            if (round % 3 == 0) {
                EXPECT_TRUE(store_->verify(nullptr).has_value());
            }
            if (round % 5 == 0) {
                EXPECT_TRUE(store_->remove_unclaimed().has_value());
            }
            if (round % 9 == 0) {
                EXPECT_TRUE(store_->clear_quarantine().has_value());
            }
            EXPECT_LE(store_->stats().disk_bytes, 160U << 10);
        }
    }

    // In place, so that the file keeps its size and stays gone when it has been removed meanwhile.
    static void damage(const std::filesystem::path &path) {
        std::FILE *file = std::fopen(path.c_str(), "r+b");
        if (file == nullptr) return;
        std::fseek(file, 3000, SEEK_SET);
        std::fputs("damage", file);
        std::fclose(file);
    }

    const TemporaryFolder folder_;
    FaultFileSystem files_{folder_.path()};
    std::unique_ptr<BlockStore> store_;
    std::array<std::vector<PutRequest>, 6> puts_;
    std::atomic<int> hits_ = 0;
};

TEST_F(Threads, ReadRightBytesOrNone) {
    {
        std::vector<std::jthread> threads;
        for (std::size_t agent = 0; agent < 3; ++agent) {
            threads.emplace_back([this, agent] {
                write(agent);
                write(agent + 3);
            });
        }
        for (std::uint64_t seed = 0; seed < 2; ++seed) threads.emplace_back([this, seed] { read(seed); });
        threads.emplace_back([this] { disturb(); });
    }
    EXPECT_GT(hits_, 0);
    const Result<void> drained = store_->drain();
    if (!drained.has_value()) {
        EXPECT_EQ(drained.error().code, ErrorCode::over_budget) << drained.error().message;
    }
    EXPECT_EQ(store_->stats().queue_parts, 0U);
    EXPECT_LE(files_.largest_total_bytes(), (160U << 10) + (30U << 10)) << "blocks and quarantine";
}

}  // namespace
}  // namespace engram
