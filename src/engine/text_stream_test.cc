#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/model.h"
#include "engine/utf8.h"

namespace engram {
namespace {

constexpr std::string_view kReplaced = kReplacementCharacter;

std::string shown_of(TextStream &stream, const std::vector<std::string> &pieces) {
    std::string shown;
    for (const std::string &piece : pieces) shown += stream.add(piece);
    return shown;
}

bool is_whole(std::string_view text) { return repair_utf8(text) == text; }

TEST(TextStream, CharactersSplitAtEveryByteComeOutWhole) {
    const std::string text = "aé日🙂b👩‍👧";
    for (std::size_t first = 0; first <= text.size(); ++first) {
        for (std::size_t second = first; second <= text.size(); ++second) {
            TextStream stream({});
            std::string all;
            for (const std::string &piece : {text.substr(0, first), text.substr(first, second - first), text.substr(second)}) {
                const std::string shown = stream.add(piece);
                EXPECT_TRUE(is_whole(shown));
                all += shown;
            }
            EXPECT_EQ(all, text);
            EXPECT_EQ(stream.finish(), "");
            EXPECT_EQ(stream.text(), text);
        }
    }
}

TEST(TextStream, BytesThatNeverBecomeACharacterAreReplaced) {
    const std::string replaced(kReplaced);
    struct Case {
        std::string bytes, text;
    };
    const std::vector<Case> cases{
        {"a\xFFz", "a" + replaced + "z"},
        {"a\x80z", "a" + replaced + "z"},
        {"\xE6\x97z", replaced + "z"},                                    // a character that breaks off
        {"\xC0\xAF", replaced + replaced},                                // overlong
        {"\xED\xA0\x80", replaced + replaced + replaced},                 // a surrogate
        {"\xF4\x90\x80\x80", replaced + replaced + replaced + replaced},  // above U+10FFFF
        {"\xF0\x9F\x99", replaced},                                       // unfinished at the end
        {std::string("a\0b", 3), std::string("a\0b", 3)},
    };
    for (const Case &c : cases) {
        TextStream stream({});
        std::string all;
        for (const char byte : c.bytes) all += stream.add(std::string_view(&byte, 1));
        all += stream.finish();
        EXPECT_EQ(all, c.text);
        EXPECT_EQ(stream.text(), c.text);
    }
}

TEST(TextStream, AnUnfinishedCharacterIsHeldBack) {
    TextStream stream({});
    EXPECT_EQ(stream.add("ab\xF0\x9F"), "ab");
    EXPECT_EQ(stream.add("\x99"), "");
    EXPECT_EQ(stream.add("\x82!"), "🙂!");
}

TEST(TextStream, StopStringsAreFoundHoweverTheyAreSplit) {
    const std::string text = "one STOP two";
    for (std::size_t first = 0; first <= text.size(); ++first) {
        for (std::size_t second = first; second <= text.size(); ++second) {
            TextStream stream({"STOP"});
            const std::string shown =
                shown_of(stream, {text.substr(0, first), text.substr(first, second - first), text.substr(second)}) +
                stream.finish();
            EXPECT_EQ(shown, "one ");
            EXPECT_TRUE(stream.stopped());
            EXPECT_EQ(stream.text(), "one ");
        }
    }
}

TEST(TextStream, AFalseStartIsShownAsSoonAsItIsOne) {
    TextStream stream({"<end>"});
    EXPECT_EQ(stream.add("a <e"), "a ");
    EXPECT_EQ(stream.add("n"), "");
    EXPECT_EQ(stream.add("ter>"), "<enter>");
    EXPECT_EQ(stream.add("<<en"), "<");
    EXPECT_FALSE(stream.stopped());
    EXPECT_EQ(stream.finish(), "<en");
    EXPECT_EQ(stream.text(), "a <enter><<en");
}

TEST(TextStream, OverlappingBeginningsOfAStopString) {
    TextStream repeated({"aab"});
    EXPECT_EQ(shown_of(repeated, {"a", "a", "a", "a", "b", "c"}), "aa");
    EXPECT_TRUE(repeated.stopped());

    TextStream nested({"\n\nuser:", "\n\n"});
    EXPECT_EQ(shown_of(nested, {"hi\n", "\nuser", ": x"}), "hi");
    EXPECT_TRUE(nested.stopped());
}

TEST(TextStream, OfSeveralStopStringsTheEarliestWins) {
    TextStream together({"three", "two", "four"});
    EXPECT_EQ(together.add("one two three four"), "one ");
    EXPECT_TRUE(together.stopped());
    EXPECT_EQ(together.add(" two"), "");
    EXPECT_EQ(together.finish(), "");

    // One that is only possible must not hold back what another one decides, however the text is split.
    for (const std::vector<std::string> &pieces :
         {std::vector<std::string>{"xab", "c", "def"}, std::vector<std::string>{"xabcdef"}}) {
        TextStream stream({"abcdef", "bc", "c"});
        EXPECT_EQ(shown_of(stream, pieces), "xa");
        EXPECT_TRUE(stream.stopped());
        EXPECT_EQ(stream.stop(), "bc");
    }
}

TEST(TextStream, StopStringsOfSeveralByteCharacters) {
    TextStream stream({"日本"});
    EXPECT_EQ(shown_of(stream, {"語日", "\xE6", "\x9C", "\xAC後"}), "語");
    EXPECT_TRUE(stream.stopped());

    TextStream near({"日本"});
    EXPECT_EQ(shown_of(near, {"日", "\xE6\x9C", "\xAD"}), "日札");
    EXPECT_FALSE(near.stopped());
}

TEST(TextStream, AnEmptyStopStringStopsNothing) {
    TextStream stream({""});
    EXPECT_EQ(stream.add("text"), "text");
    EXPECT_FALSE(stream.stopped());
}

}  // namespace
}  // namespace engram
