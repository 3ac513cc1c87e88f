// Images that nobody has asked for yet: whose room they take, and who takes theirs.
#include <gtest/gtest.h>

#include "store/block_store.h"
#include "store/testing/samples.h"

namespace engram {
namespace {

using namespace testing;

// A store whose memory holds three images. Each agent has one part.
class MemoryGuessTest : public ::testing::Test {
  protected:
    void SetUp() override {
        const PutRequest sample = put_of("default/any");
        auto store = BlockStore::open({.root = folder_.path(),
                                       .disk_budget_bytes = 64 << 20,
                                       .memory_budget_bytes = 3 * sample.image.layout->image_bytes + 100,
                                       .queue_budget_bytes = 1 << 20},
                                      posix_file_system(), system_clock(), nullptr);
        ASSERT_TRUE(store.has_value()) << store.error().message;
        store_ = std::move(*store);
    }

    static PutRequest put_of(const std::string &claimant) {
        const auto seed = static_cast<std::uint32_t>(std::hash<std::string>()(claimant) % 100'000);
        return sample_put(sample_chain(seed, 32, 32, claimant.substr(0, claimant.find('/')))[0], claimant);
    }
    static PartKey key_of(const std::string &claimant) { return {.id = put_of(claimant).segment.id}; }

    void put(const std::string &claimant) {
        store_->put(put_of(claimant));
        ASSERT_TRUE(store_->drain().has_value());
    }
    bool guess(const std::string &claimant, std::vector<std::string> kept = {}) {
        kept.push_back(claimant);
        const std::string tenant = claimant.substr(0, claimant.find('/'));
        return store_->keep_guess_in_memory(key_of(claimant), put_of(claimant).image, {.tenant = tenant, .kept = kept});
    }
    bool in_memory(const std::string &claimant) { return store_->find(key_of(claimant)) == Tier::memory; }
    std::uint64_t room(std::vector<std::string> kept) {
        return store_->room_for_guess({.tenant = "default", .kept = kept}) / put_of("default/any").image.layout->image_bytes;
    }

    const TemporaryFolder folder_;
    std::unique_ptr<BlockStore> store_;
};

TEST_F(MemoryGuessTest, TakesFreeRoomAndThenTheLeastRecentlyUsed) {
    for (const char *agent : {"default/a", "default/b", "default/c"}) put(agent);
    const std::vector<PartKey> c{key_of("default/c")};
    store_->drop_from_memory(c);
    EXPECT_TRUE(guess("default/c"));
    EXPECT_TRUE(in_memory("default/a")) << "there was room";
    put("default/d");
    EXPECT_FALSE(in_memory("default/a"));
    EXPECT_TRUE(guess("default/a"));
    EXPECT_FALSE(in_memory("default/b"));
    EXPECT_TRUE(in_memory("default/a") && in_memory("default/c") && in_memory("default/d"));
}

TEST_F(MemoryGuessTest, LeavesThoseThatMatterAsMuch) {
    for (const char *agent : {"default/a", "default/b", "default/c", "default/d"}) put(agent);
    EXPECT_EQ(room({}), 3U);
    EXPECT_EQ(room({"default/b", "default/d"}), 1U);
    EXPECT_TRUE(guess("default/a", {"default/b", "default/d"}));
    EXPECT_FALSE(in_memory("default/c")) << "the only one that might go";
    EXPECT_FALSE(guess("default/c", {"default/a", "default/b", "default/d"}));
    EXPECT_TRUE(in_memory("default/a") && in_memory("default/b") && in_memory("default/d"));
}

TEST_F(MemoryGuessTest, GoesBeforeThoseThatMatterAsMuch) {
    for (const char *agent : {"default/a", "default/b", "default/c"}) put(agent);
    const std::vector<PartKey> c{key_of("default/c")};
    store_->drop_from_memory(c);
    EXPECT_TRUE(guess("default/c", {"default/a"}));  // free room: but a, though used longest ago, is worth more
    put("default/d");
    EXPECT_FALSE(in_memory("default/c"));
    EXPECT_TRUE(in_memory("default/a") && in_memory("default/b") && in_memory("default/d"));
}

TEST_F(MemoryGuessTest, TakesNothingFromAnotherTenant) {
    for (const char *agent : {"other/a", "other/b", "other/c", "default/a"}) put(agent);
    EXPECT_FALSE(in_memory("other/a"));
    EXPECT_EQ(room({}), 1U);
    put("default/b");
    EXPECT_TRUE(guess("default/a"));
    EXPECT_FALSE(in_memory("default/b"));
    EXPECT_TRUE(in_memory("other/b") && in_memory("other/c"));
    const std::vector<PartKey> a{key_of("default/a")};
    store_->drop_from_memory(a);
    put("other/d");
    EXPECT_FALSE(guess("default/a"));
    EXPECT_TRUE(in_memory("other/b") && in_memory("other/c") && in_memory("other/d"));
}

TEST_F(MemoryGuessTest, KeepsToItsTenantsLimit) {
    const std::uint64_t bytes = put_of("default/a").image.layout->image_bytes;
    ASSERT_TRUE(store_->limit("default", {.disk_bytes = {}, .memory_bytes = 2 * bytes}));
    for (const char *agent : {"default/a", "default/b", "default/c"}) put(agent);
    EXPECT_EQ(room({}), 2U);
    EXPECT_EQ(room({"default/b"}), 1U);
    EXPECT_FALSE(guess("default/a", {"default/b", "default/c"})) << "there is free memory, but not for this tenant";
    EXPECT_TRUE(guess("default/a", {"default/c"}));
    EXPECT_FALSE(in_memory("default/b"));
}

TEST_F(MemoryGuessTest, WhatIsGoneFromDiskOrClaimedByNobodyDoesNotComeBack) {
    put("default/a");
    put("default/b");
    store_->release("default/a");
    const std::vector<PartKey> a{key_of("default/a")};
    store_->drop_from_memory(a);
    EXPECT_FALSE(guess("default/a"));
    ASSERT_TRUE(store_->remove(a).has_value());
    EXPECT_FALSE(guess("default/a"));
    EXPECT_FALSE(in_memory("default/a"));
}

}  // namespace
}  // namespace engram
