#include "cli/humanise.h"

#include <gtest/gtest.h>

namespace engram::cli {
namespace {

TEST(Humanise, Bytes) {
    EXPECT_EQ(human_bytes(0), "0 B");
    EXPECT_EQ(human_bytes(1023), "1023 B");
    EXPECT_EQ(human_bytes(1024), "1.0 KiB");
    EXPECT_EQ(human_bytes(1536), "1.5 KiB");
    EXPECT_EQ(human_bytes((1 << 20) - 1), "1.0 MiB") << "never 1024 KiB";
    EXPECT_EQ(human_bytes(369ULL << 20), "369 MiB");
    EXPECT_EQ(human_bytes(UINT64_MAX), "16384 PiB");
}

TEST(Humanise, Counts) {
    EXPECT_EQ(human_count(0), "0");
    EXPECT_EQ(human_count(999), "999");
    EXPECT_EQ(human_count(20000), "20,000");
    EXPECT_EQ(human_count(1234567), "1,234,567");
}

TEST(Humanise, Times) {
    EXPECT_EQ(human_ms(0.34), "0.3 ms");
    EXPECT_EQ(human_ms(14.2), "14 ms");
    EXPECT_EQ(human_ms(1523), "1.52 s");
    EXPECT_EQ(human_ms(125000), "2 min 5 s");
    EXPECT_EQ(human_age(0, 1000), "never");
    EXPECT_EQ(human_age(1000, 2000), "just now");
    EXPECT_EQ(human_age(5000, 1000), "just now") << "clocks may go back";
    EXPECT_EQ(human_age(1, 1 + 300 * 1000), "5 min ago");
    EXPECT_EQ(human_age(1, 1 + 3600 * 1000), "1 hour ago");
    EXPECT_EQ(human_age(1, 1 + 3 * 86400LL * 1000), "3 days ago");
    EXPECT_EQ(iso_time(1769860800000), "2026-01-31T12:00:00Z");
}

TEST(Humanise, OneLineCutsAtCharactersAndSaysSo) {
    EXPECT_EQ(one_line("short", 10), "short");
    EXPECT_EQ(one_line("exactly 10", 10), "exactly 10");
    EXPECT_EQ(one_line("a\nb\tc", 10), "a b c");
    EXPECT_EQ(one_line("ääää", 3), "ää…");
    EXPECT_EQ(one_line("x\xFFy", 10), "x\uFFFDy");
    EXPECT_EQ(display_width("日本"), 4U);
    EXPECT_EQ(display_width(one_line("日本語", 4)), 3U) << "a wide character never straddles the edge";
}

TEST(Humanise, PrintableTakesEscapesOut) {
    EXPECT_EQ(printable("a\033[31mb\ac\n\td"), "a[31mbc\n\td");
    EXPECT_EQ(printable("\xC2\x9B"
                        "31m"),
              "31m")
        << "the one-character form of ESC [";
    EXPECT_EQ(printable("\xE6\x97\xA5\xE6"), "日\uFFFD");
}

TEST(Humanise, TablesAreAligned) {
    Table table({"NAME", ">N"});
    table.add({"ä", "1"});
    table.add({"long name", "1,000"});
    EXPECT_EQ(table.text(), "NAME           N\nä              1\nlong name  1,000\n");
    Table plain({"", ""});
    plain.add({"a", ""});
    EXPECT_EQ(plain.text(), "a\n") << "no headings, no blanks at the end";
}

}  // namespace
}  // namespace engram::cli
