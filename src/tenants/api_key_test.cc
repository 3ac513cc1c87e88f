#include "tenants/api_key.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace engram {
namespace {

std::string hex(const KeyHash &hash) {
    std::string text;
    for (const std::uint8_t byte : hash) {
        text += "0123456789abcdef"[byte >> 4U];
        text += "0123456789abcdef"[byte & 15U];
    }
    return text;
}

TEST(ApiKey, HasAPrefixAndCharactersThatSurviveEverySetting) {
    for (int i = 0; i < 1000; ++i) {
        const auto text = make_key_text();
        ASSERT_TRUE(text);
        EXPECT_EQ(text->size(), kKeyBytes);
        EXPECT_TRUE(text->starts_with(kKeyPrefix));
        EXPECT_TRUE(std::all_of(text->begin() + kKeyPrefix.size(), text->end(), [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        })) << *text;
    }
}

// Each of the 42 lower digits takes all 62 values (that some digit misses one has a probability of 1e-18), and no key comes
// twice.
TEST(ApiKey, AreDrawnFromAllThatThereAre) {
    std::set<std::string> texts;
    std::vector<std::set<char>> seen(kKeyBytes);
    for (int i = 0; i < 3000; ++i) {
        const std::string text = make_key_text().value();
        texts.insert(text);
        for (std::size_t at = 0; at < text.size(); ++at) seen[at].insert(text[at]);
    }
    EXPECT_EQ(texts.size(), 3000U);
    for (std::size_t at = kKeyPrefix.size() + 1; at < kKeyBytes; ++at) EXPECT_EQ(seen[at].size(), 62U) << at;
}

TEST(ApiKey, IsKeptAsItsSha256) {
    EXPECT_EQ(hex(hash_of_key("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(hex(hash_of_key("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(ApiKey, IdsAreShortAndCanBeReadAloud) {
    std::set<std::string> ids;
    for (int i = 0; i < 1000; ++i) {
        const std::string id = make_key_id().value();
        EXPECT_EQ(id.size(), 8U);
        EXPECT_EQ(id.find_first_not_of("0123456789abcdefghjkmnpqrstvwxyz"), std::string::npos) << id;
        ids.insert(id);
    }
    EXPECT_EQ(ids.size(), 1000U);
}

}  // namespace
}  // namespace engram
