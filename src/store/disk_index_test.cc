#include "store/disk_index.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace engram {
namespace {

constexpr std::int64_t kHour = 3'600'000;

PartKey part(std::uint8_t number, PartKind kind = PartKind::attention) {
    PartKey key{.id = {}, .kind = kind};
    key.id.bytes[0] = number;
    return key;
}

class Index : public ::testing::Test {
  protected:
    void add(const PartKey &key, std::uint64_t bytes = 100, std::int64_t used = 0, std::string_view tenant = "t") {
        index_.add(key, {.bytes = bytes, .last_used_ms = used, .tokens = 256, .rows = std::nullopt}, tenant);
    }
    void claim(const std::string &agent, std::vector<PartKey> parts, std::int64_t used = 0, bool pinned = false,
               const std::string &tenant = "t") {
        index_.claim({.claimant = agent, .tenant = tenant, .pinned = pinned, .last_used_ms = used, .parts = std::move(parts)});
    }
    std::vector<PartKey> victims(std::uint64_t bytes, const std::string &writer = "t/writer", const std::string &tenant = "t") {
        // A budget of which everybody's share is more than anybody has.
        return index_.victims({.bytes = bytes, .incoming = 100, .budget = 1 << 20}, {.claimant = writer, .tenant = tenant},
                              100 * kHour);
    }

    DiskIndex index_;
};

TEST_F(Index, CountsWhatIsThereAndWhatNobodyClaims) {
    add(part(1), 100);
    add(part(2), 50);
    claim("t/a", {part(1), part(3)});
    EXPECT_EQ(index_.bytes(), 150U);
    EXPECT_EQ(index_.parts(), 2U);
    EXPECT_EQ(index_.unclaimed_bytes(), 50U);
    EXPECT_EQ(index_.unclaimed(), std::vector{part(2)});
    EXPECT_EQ(index_.find(part(3)), nullptr) << "claimed, but not on disk";
    add(part(3), 7);
    EXPECT_EQ(index_.unclaimed_bytes(), 50U);
    add(part(2), 60);
    EXPECT_EQ(index_.bytes(), 167U);
    index_.release("t/a");
    EXPECT_EQ(index_.unclaimed_parts(), 3U);
    index_.erase(part(1));
    index_.erase(part(1));
    EXPECT_EQ(index_.bytes(), 67U);
    EXPECT_EQ(index_.unclaimed_bytes(), 67U);
}

TEST_F(Index, ANewClaimReplacesTheOldOne) {
    for (std::uint8_t i = 1; i <= 3; ++i) add(part(i));
    claim("t/a", {part(1), part(2)});
    claim("t/a", {part(1), part(3), part(3)});
    EXPECT_FALSE(index_.claimed(part(2)));
    EXPECT_TRUE(index_.claimed(part(3)));
    claim("t/a", {});
    EXPECT_EQ(index_.unclaimed_parts(), 3U) << "a part that was listed twice is released as well";
}

TEST_F(Index, HoldsUntilTheNextClaim) {
    index_.hold(part(1), "t/a", "t", 0);
    index_.hold(part(1), "t/a", "t", 0);
    add(part(1));
    EXPECT_TRUE(index_.claimed(part(1)));
    claim("t/a", {});
    EXPECT_FALSE(index_.claimed(part(1)));
}

TEST_F(Index, UnclaimedPartsLeaveFirstAndOldestFirst) {
    add(part(1), 100, 30);
    add(part(2), 100, 10);
    add(part(3), 100, 20);
    add(part(4), 100, 0);
    claim("t/a", {part(4)});
    EXPECT_EQ(victims(150), (std::vector{part(2), part(3)}));
    index_.use(part(2), 99);
    EXPECT_EQ(victims(150), (std::vector{part(3), part(1)}));
    EXPECT_EQ(victims(400).back(), part(4));
    EXPECT_TRUE(victims(401).empty()) << "when not enough can go, nothing goes";
}

TEST_F(Index, ChainsLoseTheirEndsFirst) {
    for (std::uint8_t i = 1; i <= 4; ++i) add(part(i));
    claim("t/a", {part(1), part(2), part(3), part(4)});
    EXPECT_EQ(victims(250), (std::vector{part(4), part(3), part(2)}));
}

TEST_F(Index, TheLeastValuableChainLosesFirst) {
    for (std::uint8_t i = 1; i <= 4; ++i) add(part(i));
    claim("t/old", {part(1), part(2)}, 10 * kHour);
    claim("t/new", {part(3), part(4)}, 90 * kHour);
    EXPECT_EQ(victims(300), (std::vector{part(2), part(1), part(4)}));
    // Dearer to compute by more than its age makes up for: 80 hours are 6.67 half lives.
    index_.claim({.claimant = "t/old",
                  .tenant = "t",
                  .last_used_ms = 10 * kHour,
                  .recompute_ms_per_token = 200,
                  .parts = {part(1), part(2)}});
    EXPECT_EQ(victims(100), std::vector{part(4)});
}

TEST_F(Index, SharedPartsLeaveOnlyWhenTheyAreTheEndOfAllTheirChains) {
    for (std::uint8_t i = 1; i <= 4; ++i) add(part(i));
    claim("t/a", {part(1), part(2), part(3)}, 10 * kHour);
    claim("t/b", {part(1), part(2), part(4)}, 90 * kHour);
    EXPECT_EQ(victims(400), (std::vector{part(3), part(4), part(2), part(1)}));
    EXPECT_EQ(victims(100, "t/a"), std::vector{part(4)});
    EXPECT_TRUE(victims(101, "t/a").empty()) << "the writer needs what it shares";
}

TEST_F(Index, PinnedPartsAndWhatTheyShareStay) {
    for (std::uint8_t i = 1; i <= 3; ++i) add(part(i));
    claim("t/pinned", {part(1), part(2)}, 0, true);
    claim("t/a", {part(1), part(3)});
    EXPECT_EQ(victims(100), std::vector{part(3)});
    EXPECT_TRUE(victims(101).empty());
}

TEST_F(Index, AnotherTenantsPartsStayClaimedOrNot) {
    add(part(1), 100, 0, "other");
    add(part(2), 100, 0, "other");
    add(part(3), 100, 50, "");
    claim("other/a", {part(1)}, 0, false, "other");
    EXPECT_EQ(victims(100), std::vector{part(3)}) << "a leftover of an unknown owner may go";
    EXPECT_TRUE(victims(101).empty());
    EXPECT_EQ(victims(300, "other/b", "other").size(), 3U);
}

TEST_F(Index, WhatIsAboveAShareMakesRoomForWhoIsBelowHis) {
    for (std::uint8_t i = 1; i <= 6; ++i) add(part(i), 100, 0, "rich");
    for (std::uint8_t i = 7; i <= 9; ++i) add(part(i), 100, 0, "poor");
    claim("rich/a", {part(1), part(2), part(3), part(4), part(5)}, 0, false, "rich");
    claim("poor/a", {part(7), part(8), part(9)}, 0, false, "poor");
    const auto victims = [&](std::uint64_t bytes, std::uint64_t incoming, const std::string &tenant) {
        return index_.victims({.bytes = bytes, .incoming = incoming, .budget = 900},
                              {.claimant = tenant + "/writer", .tenant = tenant}, 0);
    };
    EXPECT_EQ(victims(100, 100, "poor"), std::vector{part(6)}) << "what nobody claims first";
    EXPECT_EQ(victims(150, 150, "poor"), (std::vector{part(6), part(5)}));
    EXPECT_EQ(victims(200, 200, "poor"), (std::vector{part(9), part(8)})) << "above his share afterwards: from himself";
    EXPECT_EQ(victims(100, 100, "rich"), std::vector{part(6)});
    EXPECT_EQ(victims(400, 300, "new"), (std::vector<PartKey>{})) << "only 300 are above the share";
    EXPECT_EQ(victims(300, 300, "new"), (std::vector{part(6), part(5), part(4)}));
}

TEST_F(Index, WhatWasPromisedLeavesLast) {
    for (std::uint8_t i = 1; i <= 5; ++i) add(part(i));
    const auto promise = [&](const std::string &agent, std::vector<PartKey> parts, std::int64_t kept_until_ms) {
        index_.claim({.claimant = agent, .tenant = "t", .kept_until_ms = kept_until_ms, .parts = std::move(parts)});
    };
    promise("t/kept", {part(1), part(2)}, 101 * kHour);
    promise("t/over", {part(1), part(3)}, 100 * kHour);
    claim("t/none", {part(4), part(5)}, 99 * kHour);
    EXPECT_EQ(victims(500), (std::vector{part(3), part(5), part(4), part(2), part(1)})) << "the prefix that they share is kept";
}

TEST_F(Index, CountsEachByteForOneAccount) {
    for (std::uint8_t i = 1; i <= 3; ++i) add(part(i), 100, 0, "");
    const auto stored = [&] {
        std::string text;
        for (const StoredBytes &bytes : index_.stored()) {
            text += bytes.tenant + "/" + bytes.account + "=" + std::to_string(bytes.bytes) + " ";
        }
        return text;
    };
    const auto claim_for = [&](const std::string &account, const std::string &agent, std::vector<PartKey> parts) {
        index_.claim({.claimant = agent, .tenant = "t", .account = account, .parts = std::move(parts)});
    };
    EXPECT_EQ(stored(), "/=300 ");
    claim_for("a", "t/a", {part(1), part(2)});
    claim_for("b", "t/b", {part(1), part(2), part(3)});
    EXPECT_EQ(stored(), "t/a=200 t/b=100 ");
    index_.hold(part(4), "t/a", "t", 0);
    add(part(4), 10, 0, "t");
    EXPECT_EQ(stored(), "t/a=210 t/b=100 ");
    claim_for("a", "t/a", {part(1), part(4)});
    EXPECT_EQ(stored(), "t/a=110 t/b=100 t/=100 ") << "what a gave up is b's with its next claim";
    claim_for("b", "t/b", {part(1), part(2), part(3)});
    EXPECT_EQ(stored(), "t/a=110 t/b=200 ");
    add(part(2), 50, 0, "t");
    index_.erase(part(3));
    EXPECT_EQ(stored(), "t/a=110 t/b=50 ");
    index_.release("t/a");
    index_.release("t/b");
    EXPECT_EQ(stored(), "t/=160 ");
    EXPECT_EQ(index_.bytes_of("t"), index_.bytes());
}

TEST_F(Index, PartsOfOnePositionLeaveTogetherFromTheEnd) {
    std::vector<PartKey> list;
    for (std::uint8_t i = 1; i <= 2; ++i) {
        for (const PartKind kind : {PartKind::attention, PartKind::window, PartKind::state}) {
            add(part(i, kind), 10);
            list.push_back(part(i, kind));
        }
    }
    claim("t/a", list);
    std::ranges::reverse(list);
    EXPECT_EQ(victims(60), list);
}

}  // namespace
}  // namespace engram
