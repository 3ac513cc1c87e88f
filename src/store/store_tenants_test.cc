// What tenants may have: counts, limits, fair shares, promises. On a real file system.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "store/block_store.h"
#include "store/memory_tier.h"
#include "store/testing/samples.h"

namespace engram {
namespace {

using namespace testing;

struct SetClock final : Clock {
    std::int64_t wall_ms() const override { return wall; }
    std::int64_t steady_us() const override { return wall * 1000; }
    std::int64_t wall = 1'000'000'000;
};

constexpr std::int64_t kMinute = 60'000;
constexpr std::uint64_t kNoBudget = 64 << 20;

// Agents whose chains don't share anything; each part has the same size.
class StoreTenants : public ::testing::Test {
  protected:
    void open(std::uint64_t disk_budget = kNoBudget, std::uint64_t memory_budget = 0) {
        store_.reset();
        auto store = BlockStore::open({.root = folder_.path(),
                                       .disk_budget_bytes = disk_budget,
                                       .memory_budget_bytes = memory_budget,
                                       .queue_budget_bytes = 1 << 20},
                                      posix_file_system(), clock_, nullptr);
        ASSERT_TRUE(store.has_value()) << store.error().message;
        store_ = std::move(*store);
    }

    // The parts of an agent, "tenant/name" with a name of one letter.
    static std::vector<PutRequest> parts_of(const std::string &agent, std::size_t count) {
        const std::string tenant = agent.substr(0, agent.find('/'));
        std::vector<PutRequest> puts;
        for (const SegmentIdentity &segment : sample_chain(static_cast<std::uint32_t>(agent.back()), count * 32, 32, tenant)) {
            puts.push_back(sample_put(segment, agent));
        }
        return puts;
    }
    void claim(const std::string &agent, std::size_t count, std::int64_t kept_until_ms = 0, bool pinned = false) {
        Claim claim{.claimant = agent,
                    .tenant = agent.substr(0, agent.find('/')),
                    .pinned = pinned,
                    .last_used_ms = clock_.wall,
                    .kept_until_ms = kept_until_ms,
                    .account = agent.substr(agent.find('/') + 1)};
        for (const PutRequest &put : parts_of(agent, count)) claim.parts.push_back({.id = put.segment.id});
        store_->claim(std::move(claim));
    }
    void write(const std::string &agent, std::size_t count, std::int64_t kept_until_ms = 0, bool pinned = false) {
        for (PutRequest &put : parts_of(agent, count)) store_->put(std::move(put));
        store_->wait_until_written();
        claim(agent, count, kept_until_ms, pinned);
        clock_.wall += 1;
    }
    // How many of the agent's first `count` parts are on disk; they are always the first ones.
    std::size_t on_disk(const std::string &agent, std::size_t count) {
        std::size_t found = 0;
        bool gap = false;
        for (const PutRequest &put : parts_of(agent, count)) {
            const bool there = store_->find({.id = put.segment.id}) == Tier::disk;
            EXPECT_FALSE(there && gap) << agent << ": what remains must be a prefix";
            gap |= !there;
            found += there ? 1 : 0;
        }
        return found;
    }
    std::uint64_t bytes_of(const std::string &agent, std::size_t count) const {
        std::uint64_t bytes = 0;
        for (const PutRequest &put : parts_of(agent, count)) {
            bytes += std::filesystem::file_size(store_->info({.id = put.segment.id})->path);
        }
        return bytes;
    }
    TenantUse use(std::string_view tenant) const {
        const auto tenants = store_->tenants();
        const auto found = std::ranges::find(tenants, tenant, &TenantUse::tenant);
        return found == tenants.end() ? TenantUse{} : *found;
    }
    std::uint64_t part_bytes() {
        if (part_bytes_ == 0) {
            open();
            write("probe/p", 1);
            part_bytes_ = store_->stats().disk_bytes;
            store_->release("probe/p");
            EXPECT_TRUE(store_->remove_unclaimed());
        }
        return part_bytes_;
    }
    // Room for so many parts, and half a one, so that the little more than needed which is evicted at a time isn't a part.
    std::uint64_t room_for(std::uint64_t parts) { return parts * part_bytes() + part_bytes() / 2; }
    void may_have(std::string_view tenant, std::uint64_t parts) {
        const auto limited = store_->limit(tenant, {.disk_bytes = room_for(parts), .memory_bytes = std::nullopt});
        EXPECT_TRUE(limited) << limited.error().message;
    }

    TemporaryFolder folder_;
    SetClock clock_;
    std::unique_ptr<BlockStore> store_;
    std::uint64_t part_bytes_ = 0;
};

TEST_F(StoreTenants, CountsWhatEachHasAlsoAfterAReopen) {
    open();
    write("red/a", 3);
    write("red/b", 2);
    write("blue/c", 4);
    const std::uint64_t a = bytes_of("red/a", 3);
    const std::uint64_t b = bytes_of("red/b", 2);
    const std::uint64_t c = bytes_of("blue/c", 4);
    // A second claimant of what red/a has: the bytes count once, for whom they counted already.
    Claim fork{.claimant = "red/f", .tenant = "red", .account = "f", .parts = {}};
    for (const PutRequest &put : parts_of("red/a", 3)) fork.parts.push_back({.id = put.segment.id});
    store_->claim(fork);
    const auto check = [&] {
        EXPECT_EQ(use("red").disk_bytes, a + b);
        EXPECT_EQ(use("red").disk_parts, 5U);
        EXPECT_EQ(use("blue").disk_bytes, c);
        const std::vector<StoredBytes> expected{{.tenant = "blue", .account = "c", .bytes = c},
                                                {.tenant = "red", .account = "a", .bytes = a},
                                                {.tenant = "red", .account = "b", .bytes = b}};
        auto stored = store_->stored();
        std::ranges::sort(stored, {}, [](const StoredBytes &bytes) { return std::tie(bytes.tenant, bytes.account); });
        EXPECT_EQ(stored, expected);
    };
    check();
    open();
    EXPECT_EQ(use("").disk_bytes, a + b + c) << "nobody has claimed them yet";
    EXPECT_EQ(use("red").disk_bytes, 0U);
    claim("red/a", 3);
    claim("red/b", 2);
    claim("blue/c", 4);
    store_->claim(fork);
    check();
    EXPECT_EQ(use("").disk_bytes, 0U);
    // What the first one gives up is the tenant's, and nobody's in particular until somebody claims it anew.
    store_->release("red/a");
    EXPECT_EQ(use("red").disk_bytes, a + b);
    EXPECT_TRUE(std::ranges::contains(store_->stored(), StoredBytes{.tenant = "red", .account = "", .bytes = a}));
    store_->claim(fork);
    EXPECT_TRUE(std::ranges::contains(store_->stored(), StoredBytes{.tenant = "red", .account = "f", .bytes = a}));
    store_->release("red/f");
    ASSERT_TRUE(store_->remove_unclaimed());
    EXPECT_EQ(use("red").disk_bytes, b);
}

TEST_F(StoreTenants, ALimitIsKeptBeforeTheWriteAndWithOwnPartsOnly) {
    part_bytes();
    open();
    may_have("red", 4);
    write("blue/x", 6);
    write("red/a", 3);
    clock_.wall += 60 * kMinute;
    write("red/b", 3);
    EXPECT_EQ(use("red").disk_parts, 4U);
    EXPECT_EQ(on_disk("red/b", 3), 3U);
    EXPECT_EQ(on_disk("red/a", 3), 1U) << "the older one gave way, from its end";
    EXPECT_EQ(on_disk("blue/x", 6), 6U);
    EXPECT_EQ(use("red").refused_parts, 0U);
    EXPECT_EQ(use("red").evicted_parts, 2U);
    EXPECT_EQ(use("blue").evicted_parts, 0U);
}

TEST_F(StoreTenants, WhatDoesNotFitIsRefusedAndIsNobodysError) {
    part_bytes();
    open(kNoBudget, 1 << 20);
    may_have("red", 2);
    write("red/a", 4);  // its own parts are no victims of its writes
    EXPECT_EQ(use("red").disk_parts, 2U);
    EXPECT_EQ(use("red").refused_parts, 2U);
    EXPECT_NE(store_->refusal("red").find("tenant red may have"), std::string::npos) << store_->refusal("red");
    EXPECT_EQ(store_->refusal("blue"), "");
    EXPECT_EQ(store_->last_write_error(), "");
    EXPECT_EQ(store_->stats().failed_writes, 0U);
    EXPECT_TRUE(store_->drain());
    EXPECT_EQ(store_->find({.id = parts_of("red/a", 4)[3].segment.id}), Tier::memory) << "until memory needs the room";
    may_have("red", 4);
    write("red/a", 4);
    EXPECT_EQ(on_disk("red/a", 4), 0U) << "memory is asked first";
    EXPECT_EQ(use("red").disk_parts, 4U);
    EXPECT_EQ(store_->refusal("red"), "");
    may_have("blue", 0);
    write("blue/b", 1);
    EXPECT_EQ(use("blue").disk_parts, 0U);
    const auto file = store_->read_file({.id = parts_of("red/a", 1)[0].segment.id});
    ASSERT_TRUE(file);
    const PutRequest imported = parts_of("red/a", 1)[0];
    may_have("red", 0);
    const auto refused = store_->write_file(imported.segment, PartKind::attention, *file, "red/z", "red");
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::over_budget);
}

TEST_F(StoreTenants, ALoweredLimitTakesWhatIsLeastWorthAndSparesPins) {
    part_bytes();
    open();
    write("red/a", 4);
    clock_.wall += 60 * kMinute;
    write("red/b", 4);
    write("red/p", 2, 0, true);
    write("blue/x", 4);
    store_->put(parts_of("red/u", 1)[0]);
    store_->wait_until_written();
    store_->release("red/u");  // nobody's any more
    may_have("red", 5);
    EXPECT_EQ(use("red").disk_parts, 5U);
    EXPECT_EQ(on_disk("red/u", 1), 0U);
    EXPECT_EQ(on_disk("red/a", 4), 0U);
    EXPECT_EQ(on_disk("red/b", 4), 3U);
    may_have("red", 1);
    EXPECT_EQ(on_disk("red/p", 2), 2U) << "pinned: over the limit, and so nothing more is written";
    EXPECT_EQ(use("red").disk_parts, 2U);
    EXPECT_EQ(on_disk("blue/x", 4), 4U);
    may_have("red", 5);
    EXPECT_EQ(use("red").disk_parts, 2U) << "a limit that rises brings nothing back";
}

TEST_F(StoreTenants, PromisesAreKeptBeforeWhatHasNone) {
    part_bytes();
    open();
    may_have("red", 6);
    write("red/h", 2, clock_.wall + 60 * kMinute);  // for an hour
    write("red/m", 2, clock_.wall + 5 * kMinute);   // for five minutes
    clock_.wall += kMinute;
    write("red/n", 2);  // used last, but nothing was promised
    write("red/w", 1);
    EXPECT_EQ(on_disk("red/n", 2), 1U);
    EXPECT_EQ(on_disk("red/h", 2) + on_disk("red/m", 2), 4U);
    clock_.wall += 10 * kMinute;
    write("red/x", 2);
    EXPECT_EQ(on_disk("red/m", 2), 0U) << "its five minutes are over, and it is the older one";
    EXPECT_EQ(on_disk("red/h", 2), 2U);
    EXPECT_EQ(on_disk("red/n", 2), 1U);
    write("red/y", 5);
    EXPECT_EQ(on_disk("red/y", 5), 5U);
    EXPECT_EQ(on_disk("red/h", 2), 1U) << "a promise holds as long as the limit allows it";
}

TEST_F(StoreTenants, NobodyFillsTheBudgetForGood) {
    part_bytes();
    open(room_for(10));
    write("red/a", 5);
    write("red/b", 5);
    EXPECT_EQ(use("red").disk_parts, 10U);
    write("blue/x", 3);
    EXPECT_EQ(on_disk("blue/x", 3), 3U) << "the newcomer gets of his share what he needs";
    EXPECT_EQ(use("red").disk_parts, 7U);
    write("blue/y", 4);
    EXPECT_EQ(use("red").disk_parts, 5U) << "nobody goes below his share for another";
    EXPECT_EQ(use("blue").disk_parts, 5U);
    EXPECT_EQ(on_disk("blue/y", 4), 4U) << "the rest he took from himself";
    EXPECT_EQ(on_disk("blue/x", 3), 1U);
    write("red/c", 2);
    EXPECT_EQ(use("red").disk_parts, 5U);
    EXPECT_EQ(use("blue").disk_parts, 5U);
    write("green/g", 3);
    EXPECT_EQ(on_disk("green/g", 3), 3U);
    EXPECT_GE(use("red").disk_parts, 3U);
    EXPECT_GE(use("blue").disk_parts, 3U);
    EXPECT_LE(store_->stats().disk_bytes, room_for(10));
}

TEST_F(StoreTenants, WhoIsAboveHisShareTakesFromNobody) {
    part_bytes();
    open(room_for(10));
    write("blue/x", 3);
    write("red/p", 7, 0, true);  // all of it pinned
    store_->put(parts_of("red/q", 1)[0]);
    EXPECT_EQ(store_->drain().error().code, ErrorCode::over_budget);
    EXPECT_EQ(on_disk("blue/x", 3), 3U);
    write("blue/y", 2);
    EXPECT_EQ(on_disk("red/p", 7), 7U) << "pinned";
    EXPECT_EQ(on_disk("blue/y", 2), 2U);
    EXPECT_EQ(on_disk("blue/x", 3), 1U) << "where nobody else's may go, one's own does";
}

TEST(MemoryTier, SharesItsBudgetLikeTheDisk) {
    const PartImage image = sample_image({}, 0, 1);
    const std::uint64_t bytes = image.layout->image_bytes;
    MemoryTier memory(6 * bytes);
    const auto key = [](std::uint8_t number) {
        PartKey made;
        made.id.bytes[0] = number;
        return made;
    };
    for (std::uint8_t i = 0; i < 8; ++i) memory.insert(key(i), image, "red");
    EXPECT_EQ(memory.bytes(), 6 * bytes);
    EXPECT_FALSE(memory.contains(key(1))) << "the least recently used ones left";
    EXPECT_TRUE(memory.use(key(2)).has_value());
    for (std::uint8_t i = 10; i < 15; ++i) memory.insert(key(i), image, "blue");
    EXPECT_EQ(memory.bytes_by_tenant(), (std::map<std::string, std::uint64_t>{{"blue", 3 * bytes}, {"red", 3 * bytes}}));
    EXPECT_TRUE(memory.contains(key(2)));
    EXPECT_FALSE(memory.contains(key(3)));
    EXPECT_FALSE(memory.contains(key(11))) << "above his share one replaces one's own";
    memory.limit("red", bytes);
    EXPECT_EQ(memory.bytes_by_tenant().at("red"), bytes);
    memory.insert(key(20), image, "red");
    EXPECT_FALSE(memory.contains(key(2)));
    EXPECT_TRUE(memory.contains(key(20)));
    memory.limit("red", bytes - 1);
    memory.insert(key(21), image, "red");
    EXPECT_FALSE(memory.contains(key(21)));
    EXPECT_EQ(memory.bytes(), 3 * bytes);
}

}  // namespace
}  // namespace engram
