// Random operations against a simple model: what was put, who claims it, which files were damaged. The seed is printed;
// ENGRAM_TEST_SEED repeats it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "core/testing/test_seed.h"
#include "ports/testing/fault_file_system.h"
#include "store/block_store.h"
#include "store/part_file.h"
#include "store/testing/samples.h"

namespace engram {
namespace {

using namespace testing;

constexpr std::uint32_t kBlock = 32;

struct Agent {
    std::vector<SegmentIdentity> chain;
    bool pinned = false;
    std::int64_t last_used_ms = 0;
};

class World {
  public:
    World(std::uint64_t seed, std::uint64_t disk_budget_bytes, bool damages)
        : random_(seed), damages_(damages), tight_(disk_budget_bytes < 1 << 20), files_(folder_.path()) {
        options_ = {.root = folder_.path() / "store", .disk_budget_bytes = disk_budget_bytes, .memory_budget_bytes = 40 << 10};
        restart();
    }

    void step() {
        switch (random_() % 16) {
            case 0:
            case 1: extend(fresh_agent()); break;
            case 2:
            case 3:
            case 4:
            case 5: extend(any_agent()); break;
            case 6:
            case 7: fork(); break;
            case 8: release(); break;
            case 9: remove_unclaimed(); break;
            case 10: restart(); break;
            case 11:
            case 12: damage(); break;
            case 13: verify(); break;
            default: resume(any_agent()); break;
        }
        check();
    }

  private:
    static std::vector<PartKey> keys_of(const SegmentIdentity &segment) {
        return {{.id = segment.id, .kind = PartKind::attention}, {.id = segment.id, .kind = PartKind::state}};
    }
    static PutRequest put_of(const SegmentIdentity &segment, PartKind kind, const std::string &agent) {
        return sample_put(segment, agent, {.kind = kind, .rows = 1, .layers = kind == PartKind::state ? 1U : 2U, .head_dim = 32});
    }

    std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

    std::string fresh_agent() {
        const std::string name = "default/" + std::to_string(++last_agent_);
        agents_[name] = {.chain = {}, .pinned = !tight_ && below(8) == 0, .last_used_ms = 0};
        return name;
    }
    std::string any_agent() {
        if (agents_.empty()) return fresh_agent();
        return std::next(agents_.begin(), static_cast<std::ptrdiff_t>(below(agents_.size())))->first;
    }

    void claim(const std::string &name) {
        Claim claim{.claimant = name,
                    .tenant = "default",
                    .pinned = agents_[name].pinned,
                    .last_used_ms = agents_[name].last_used_ms,
                    .parts = {}};
        for (const SegmentIdentity &segment : agents_[name].chain)
            std::ranges::copy(keys_of(segment), std::back_inserter(claim.parts));
        store_->claim(std::move(claim));
    }

    // Claims what the agent has, computes and puts again what is gone, then puts 1 to 3 new blocks, as a turn would.
    void extend(const std::string &name) {
        Agent &agent = agents_[name];
        agent.last_used_ms = system_clock().wall_ms() - static_cast<std::int64_t>(below(48)) * 3'600'000;
        claim(name);
        if (!resume(name)) return;
        for (std::size_t n = 1 + below(3); n > 0; --n) {
            SegmentIdentity next;
            next.fingerprint = sample_fingerprint();
            next.parent = agent.chain.empty() ? chain_root("default", next.fingerprint, kBlock) : agent.chain.back().id;
            next.first_position = static_cast<Position>(agent.chain.size() * kBlock);
            // Few variants, so that agents come upon the same prefixes.
            const Token variant = static_cast<Token>(below(3));
            for (std::uint32_t i = 0; i < kBlock; ++i) next.tokens.push_back(variant * 100 + static_cast<Token>(i));
            next.id = chain_next(next.parent, next.tokens);
            agent.chain.push_back(next);
            if (!put(next, name)) break;
        }
        claim(name);
    }

    bool put(const SegmentIdentity &segment, const std::string &name) {
        return std::ranges::all_of(keys_of(segment), [&](const PartKey &key) { return put(put_of(segment, key.kind, name)); });
    }

    // False when there was no room for it, which only a tight budget explains.
    bool put(const PutRequest &request) {
        const std::pair id{request.segment.id, request.image.layout->kind};
        const bool was_there = on_disk().contains(id);
        store_->put(request);
        const Result<void> drained = store_->drain();
        if (drained.has_value()) {
            if (!was_there) damaged_.erase(id);
            lost_.erase(id);
            unsaved_.erase(id);
            return true;
        }
        EXPECT_TRUE(tight_) << drained.error().message;
        EXPECT_EQ(drained.error().code, ErrorCode::over_budget);
        unsaved_.insert(id);
        return false;
    }

    std::set<std::pair<BlockId, PartKind>> on_disk() const {
        std::set<std::pair<BlockId, PartKind>> there;
        for (const PartInfo &info : store_->parts()) there.emplace(info.key.id, info.key.kind);
        return there;
    }

    void fork() {
        const std::string from = any_agent();
        const std::string name = fresh_agent();
        agents_[name].chain = agents_[from].chain;
        agents_[name].chain.resize(below(agents_[from].chain.size() + 1));
        claim(name);
    }

    void release() {
        if (agents_.size() < 4) return;
        const std::string name = any_agent();
        store_->release(name);
        if (below(2) == 0) {
            std::vector<PartKey> keys;
            for (const SegmentIdentity &segment : agents_[name].chain)
                std::ranges::copy(keys_of(segment), std::back_inserter(keys));
            EXPECT_TRUE(store_->remove(keys).has_value());
        }
        agents_.erase(name);
    }

    void remove_unclaimed() {
        EXPECT_TRUE(store_->remove_unclaimed().has_value());
        EXPECT_EQ(store_->stats().unclaimed_disk_parts, 0U);
        for (const PartInfo &info : store_->parts()) EXPECT_TRUE(claimed(info.key));
    }

    void restart() {
        store_.reset();
        auto opened = BlockStore::open(options_, files_, system_clock(), nullptr);
        ASSERT_TRUE(opened.has_value()) << opened.error().message;
        store_ = std::move(*opened);
        for (const auto &[name, agent] : agents_) claim(name);
        EXPECT_FALSE(store_->recovery().stale_lock_taken_over);
        EXPECT_EQ(store_->recovery().temporary_files_removed, 0U);
    }

    void damage() {
        const std::vector<PartInfo> parts = store_->parts();
        if (!damages_ || parts.empty()) return;
        const PartInfo &info = parts[below(parts.size())];
        if (damaged_.contains({info.key.id, info.key.kind})) return;  // a second flip could undo the first
        std::vector<std::byte> bytes = read_bytes(info.path);
        bytes[below(bytes.size())] ^= std::byte{1} << below(8);
        write_bytes(info.path, bytes);
        damaged_.insert({info.key.id, info.key.kind});
    }

    void verify() {
        const std::size_t expected = static_cast<std::size_t>(std::ranges::count_if(
            store_->parts(), [&](const PartInfo &info) { return damaged_.contains({info.key.id, info.key.kind}); }));
        const auto report = store_->verify(nullptr);
        ASSERT_TRUE(report.has_value());
        EXPECT_EQ(report->corrupt, expected);
        for (auto it = damaged_.begin(); it != damaged_.end();) {
            lost_.insert(*it);
            it = damaged_.erase(it);
        }
    }

    // Reads all that the agent has and puts again what is missing. False when there was no room for that.
    bool resume(const std::string &name) {
        for (const SegmentIdentity &segment : agents_[name].chain) {
            for (const PartKey &key : keys_of(segment)) {
                const PutRequest part = put_of(segment, key.kind, name);
                // As a turn that can't be stored: no holes are made behind it.
                const bool unsaved = unsaved_.contains({key.id, key.kind});
                if ((!read(part) || unsaved) && !put(part)) return false;
            }
        }
        return true;
    }

    // True: the right bytes. False: an honest miss, for a reason that the model knows.
    bool read(const PutRequest &part) {
        const std::pair id{part.segment.id, part.image.layout->kind};
        PartImage target = part.image;
        target.buffer = std::make_shared<std::byte[]>(target.layout->image_bytes);
        std::memset(target.buffer.get(), 0xAA, target.layout->image_bytes);
        const auto outcome = store_->read(part.segment, id.second, part.image.first_position, part.image.layout->rows, target, 0);
        if (outcome.has_value()) {
            EXPECT_TRUE(rows_equal(target, 0, part.image)) << "wrong bytes were served";
            EXPECT_TRUE(outcome->tier == Tier::memory || !damaged_.contains(id)) << "damage went unnoticed";
            return true;
        }
        if (outcome.error().code == ErrorCode::corrupt) {
            EXPECT_EQ(damaged_.erase(id), 1U) << outcome.error().message;
        } else {
            EXPECT_EQ(outcome.error().code, ErrorCode::not_found) << outcome.error().message;
            EXPECT_TRUE(tight_ || lost_.contains(id)) << "a claimed part is gone without a reason";
        }
        return false;
    }

    bool claimed(const PartKey &key) const {
        return std::ranges::any_of(agents_, [&](const auto &entry) {
            return std::ranges::any_of(entry.second.chain, [&](const SegmentIdentity &segment) { return segment.id == key.id; });
        });
    }

    void check() {
        const StoreStats stats = store_->stats();
        std::uint64_t bytes = 0;
        std::uint64_t parts = 0;
        for (const auto &entry : std::filesystem::recursive_directory_iterator(options_.root / "blocks")) {
            if (!entry.is_regular_file()) continue;
            ++parts;
            bytes += entry.file_size();
        }
        EXPECT_EQ(stats.disk_bytes, bytes);
        EXPECT_EQ(stats.disk_parts, parts);
        EXPECT_LE(bytes, options_.disk_budget_bytes);
        EXPECT_LE(stats.memory_bytes, options_.memory_budget_bytes);
        EXPECT_EQ(stats.queue_bytes, 0U);
        std::uint64_t unclaimed = 0;
        for (const PartInfo &info : store_->parts()) {
            EXPECT_EQ(info.claims > 0, claimed(info.key));
            unclaimed += info.claims == 0 ? 1 : 0;
        }
        EXPECT_EQ(stats.unclaimed_disk_parts, unclaimed);
        if (tight_ && !damages_) check_prefixes();
    }

    // What eviction leaves of a chain is a prefix of it: nothing behind a gap.
    void check_prefixes() {
        const auto there = on_disk();
        for (const auto &[name, agent] : agents_) {
            bool gap = false;
            for (const SegmentIdentity &segment : agent.chain) {
                for (const PartKey &key : keys_of(segment)) {
                    const bool present = there.contains({key.id, key.kind});
                    EXPECT_FALSE(gap && present) << name << " keeps a part behind one that was evicted";
                    gap = gap || !present;
                }
            }
        }
    }

    std::mt19937_64 random_;
    const bool damages_;
    const bool tight_;
    const TemporaryFolder folder_;
    FaultFileSystem files_;  // without faults: it spares the test the waiting for a real disk
    StoreOptions options_;
    std::unique_ptr<BlockStore> store_;
    std::map<std::string, Agent> agents_;
    std::uint64_t last_agent_ = 0;
    std::set<std::pair<BlockId, PartKind>> damaged_;  // files that hold a flipped bit
    std::set<std::pair<BlockId, PartKind>> lost_;     // quarantined and not put since
    std::set<std::pair<BlockId, PartKind>> unsaved_;  // in memory at most, since there was no room for them
};

void run(World &world, int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
        SCOPED_TRACE("step " + std::to_string(i));
        world.step();
    }
}

TEST(StoreProperty, WithRoomNothingClaimedIsEverLostExceptDamagedFiles) {
    World world(test_seed(), 1ULL << 30, true);
    run(world, 400);
}

TEST(StoreProperty, WithLittleRoomChainsShrinkFromTheirEnds) {
    World world(test_seed(), 120 << 10, false);
    run(world, 400);
}

TEST(StoreProperty, WithLittleRoomAndDamageNothingWrongIsServed) {
    World world(test_seed(), 120 << 10, true);
    run(world, 400);
}

}  // namespace
}  // namespace engram
