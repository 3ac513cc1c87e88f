#include "core/beginning.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

TEST(BeginningTest, IsTheTextItselfWhenItFits) {
    EXPECT_EQ(beginning_of("", 0), "");
    EXPECT_EQ(beginning_of("tide", 4), "tide");
    EXPECT_EQ(beginning_of("tide", 100), "tide");
}

TEST(BeginningTest, EndsBeforeACharacterThatDoesNotFitWhole) {
    EXPECT_EQ(beginning_of("tides", 4), "tide");
    const std::string_view text = "a\u00e9\u20ac\U0001F600";  // of 1, 2, 3 and 4 bytes
    EXPECT_EQ(beginning_of(text, 10), text);
    for (const std::size_t most : {6U, 7U, 8U, 9U}) EXPECT_EQ(beginning_of(text, most), "a\u00e9\u20ac") << most;
    for (const std::size_t most : {3U, 4U, 5U}) EXPECT_EQ(beginning_of(text, most), "a\u00e9") << most;
    for (const std::size_t most : {1U, 2U}) EXPECT_EQ(beginning_of(text, most), "a") << most;
    EXPECT_EQ(beginning_of(text, 0), "");
}

TEST(BeginningTest, BearsBytesThatAreNoUtf8) {
    EXPECT_EQ(beginning_of("\x80\x80\x80", 2), "");
    EXPECT_EQ(beginning_of("\xff\xfe\xfd", 2), "\xff\xfe");
}

}  // namespace
}  // namespace engram
