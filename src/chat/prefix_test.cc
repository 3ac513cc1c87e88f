#include "chat/prefix.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace engram {
namespace {

using Pieces = std::vector<std::string_view>;

TEST(PrefixMatch, TakesTheLongestRunOfWholeTokens) {
    const Pieces stored = {"The", " cat", " sat"};
    EXPECT_EQ(match_stored_prefix(stored, "The cat sat down"), (PrefixMatch{.tokens = 3, .bytes = 11}));
    EXPECT_EQ(match_stored_prefix(stored, "The cat sat"), (PrefixMatch{.tokens = 3, .bytes = 11}));
    EXPECT_EQ(match_stored_prefix(stored, "The cat sa"), (PrefixMatch{.tokens = 2, .bytes = 7}));
    EXPECT_EQ(match_stored_prefix(stored, "The dog sat"), (PrefixMatch{.tokens = 1, .bytes = 3}));
}

TEST(PrefixMatch, OfNothingIsNothing) {
    EXPECT_EQ(match_stored_prefix(Pieces{"a"}, ""), PrefixMatch{});
    EXPECT_EQ(match_stored_prefix(Pieces{}, "a"), PrefixMatch{});
    EXPECT_EQ(match_stored_prefix(Pieces{"b", "a"}, "ab"), PrefixMatch{});
}

TEST(PrefixMatch, NeverEndsInsideACharacter) {
    // The euro sign in three tokens of one byte.
    const Pieces stored = {"a", "\xE2", "\x82", "\xAC", "b"};
    EXPECT_EQ(match_stored_prefix(stored, "a\u20ACb!"), (PrefixMatch{.tokens = 5, .bytes = 5}));
    EXPECT_EQ(match_stored_prefix(stored, "a\u20ACc"), (PrefixMatch{.tokens = 4, .bytes = 4}));
    // U+20AD shares the first two bytes: none of them may stay.
    EXPECT_EQ(match_stored_prefix(stored, "a\u20AD"), (PrefixMatch{.tokens = 1, .bytes = 1}));
    EXPECT_EQ(match_stored_prefix(Pieces{"\xE2\x82"}, "\u20AC"), PrefixMatch{});
    // The stored tokens stop inside the character that the text completes.
    EXPECT_EQ(match_stored_prefix(std::span(stored).first(3), "a\u20AC"), (PrefixMatch{.tokens = 1, .bytes = 1}));
}

TEST(PrefixMatch, TokensThatSpanCharactersAreTakenWhole) {
    const Pieces stored = {"\xC3", "\xA9\xC3", "\xA8"};
    EXPECT_EQ(match_stored_prefix(stored, "\u00E9\u00E8x"), (PrefixMatch{.tokens = 3, .bytes = 4}));
    EXPECT_EQ(match_stored_prefix(stored, "\u00E9\u00E9"), PrefixMatch{});
}

TEST(PrefixMatch, KeepsTokensWithoutBytes) {
    EXPECT_EQ(match_stored_prefix(Pieces{"", "a", "", ""}, "ab"), (PrefixMatch{.tokens = 4, .bytes = 1}));
    EXPECT_EQ(match_stored_prefix(Pieces{"", ""}, ""), (PrefixMatch{.tokens = 2, .bytes = 0}));
    // An empty one after half a character doesn't make it whole.
    EXPECT_EQ(match_stored_prefix(Pieces{"a", "\xE2", ""}, "a\u20AC"), (PrefixMatch{.tokens = 1, .bytes = 1}));
}

TEST(PrefixMatch, TextThatEndsInsideACharacterMayBeMatchedToItsEnd) {
    EXPECT_EQ(match_stored_prefix(Pieces{"a", "\xE2"}, "a\xE2"), (PrefixMatch{.tokens = 2, .bytes = 2}));
}

}  // namespace
}  // namespace engram
