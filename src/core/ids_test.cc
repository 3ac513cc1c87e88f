#include "core/ids.h"

#include <gtest/gtest.h>

#include <numeric>

namespace engram {
namespace {

std::vector<Token> tokens(std::size_t n, Token first = 0) {
    std::vector<Token> list(n);
    std::iota(list.begin(), list.end(), first);
    return list;
}

TEST(AgentId, RefusesWhatCouldLeaveTheStore) {
    for (const std::string_view bad : {"", ".", "..", ".hidden", "a/b", "a\\b", "a b", "../../etc/passwd", "a\n", "ä", "a%2fb"}) {
        const Result<void> result = validate_agent_id(bad);
        ASSERT_FALSE(result.has_value()) << bad;
        EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
    }
    EXPECT_FALSE(validate_agent_id(std::string(129, 'a')).has_value());
    EXPECT_FALSE(validate_agent_id(std::string_view("a\0b", 3)).has_value());
}

TEST(AgentId, AcceptsTheDocumentedCharacters) {
    for (const std::string_view good : {"a", "tech_specialist", "A.b-c_9", "-", "_x"}) {
        EXPECT_TRUE(validate_agent_id(good).has_value()) << good;
    }
    EXPECT_TRUE(validate_agent_id(std::string(128, 'z')).has_value());
}

TEST(Chain, EqualPrefixesHaveEqualIds) {
    const BlockId root = chain_root("default", Fingerprint{}, 32);
    const auto longer = chain_of(root, tokens(100), 32);
    const auto shorter = chain_of(root, tokens(64), 32);
    ASSERT_EQ(longer.size(), 4U);
    ASSERT_EQ(shorter.size(), 2U);
    EXPECT_EQ(longer[0], shorter[0]);
    EXPECT_EQ(longer[1], shorter[1]);
}

TEST(Chain, DependsOnTenantFingerprintBlockSizeAndEveryToken) {
    Fingerprint other;
    other.bytes[31] = 1;
    const BlockId root = chain_root("default", Fingerprint{}, 32);
    EXPECT_NE(root, chain_root("other", Fingerprint{}, 32));
    EXPECT_NE(root, chain_root("default", other, 32));
    EXPECT_NE(root, chain_root("default", Fingerprint{}, 64));
    auto changed = tokens(64);
    changed[0] = 7;
    const auto a = chain_of(root, tokens(64), 32);
    const auto b = chain_of(root, changed, 32);
    EXPECT_NE(a[0], b[0]);
    EXPECT_NE(a[1], b[1]) << "a difference in the first block must change every later id";
    EXPECT_NE(chain_next(root, tokens(31)), chain_next(root, tokens(32)));
}

TEST(Digest, HexRoundTripAndBadInput) {
    const BlockId id = chain_next(BlockId{}, tokens(3));
    const Result<Digest> back = Digest::from_hex(id.hex());
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->bytes, id.bytes);
    EXPECT_FALSE(Digest::from_hex("").has_value());
    EXPECT_FALSE(Digest::from_hex(id.hex().substr(1)).has_value());
    EXPECT_FALSE(Digest::from_hex(std::string(64, 'g')).has_value());
}

TEST(BlockTokens, ArePowersOfTwoInRange) {
    for (const std::uint32_t good : {32U, 64U, 128U, 256U, 512U, 1024U}) EXPECT_TRUE(validate_block_tokens(good).has_value());
    for (const std::uint32_t bad : {0U, 1U, 16U, 31U, 33U, 100U, 2048U}) EXPECT_FALSE(validate_block_tokens(bad).has_value());
}

}  // namespace
}  // namespace engram
