#include "config/config_file.h"

#include <gtest/gtest.h>
#include <filesystem>
#include <fstream>
#include <random>

namespace engram {

using namespace std::string_view_literals;
namespace {

std::string complaint(std::string_view toml) {
    auto entries = parse_config(toml, "f.toml");
    EXPECT_FALSE(entries.has_value()) << toml;
    return entries ? "" : entries.error().message;
}

TEST(ConfigFile, GivesEachSettingWithItsLine) {
    auto entries =
        parse_config("top-p = 0.5\nseed = 7\nstop = [\"a\",\n \"b\"]\ndisk-budget = \"1G\"\nmemory-budget = 1024\n", "f.toml");
    ASSERT_TRUE(entries.has_value()) << entries.error().message;
    ASSERT_EQ(entries->size(), 5U);
    EXPECT_EQ((*entries)[0].spec->name, "top-p");
    EXPECT_EQ((*entries)[0].texts, std::vector<std::string>{"0.5"});
    EXPECT_EQ((*entries)[2].texts, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ((*entries)[3].line, 5U);
    EXPECT_EQ((*entries)[4].texts, std::vector<std::string>{"1024"});
}

TEST(ConfigFile, RefusesWhatItDoesNotKnow) {
    EXPECT_EQ(complaint("\ncontxt = 3\n"), "f.toml:2: there is no setting \"contxt\"; did you mean context?");
    EXPECT_EQ(complaint("xyzzyxyzzy = 3\n"), "f.toml:1: there is no setting \"xyzzyxyzzy\"; `engram config show` lists them");
    EXPECT_EQ(complaint("[model]\npath = \"x\"\n"), "f.toml:1: model must be a text, not a table");
    EXPECT_EQ(complaint("config = \"x\"\n"),
              "f.toml:1: config can only be given as a flag (--config) or variable (ENGRAM_CONFIG)");
}

TEST(ConfigFile, RefusesWrongTypes) {
    EXPECT_EQ(complaint("context = \"8192\"\n"), "f.toml:1: context must be a whole number, not a text");
    EXPECT_EQ(complaint("context = 1.5\n"), "f.toml:1: context must be a whole number, not a number with a fraction");
    EXPECT_EQ(complaint("temp = true\n"), "f.toml:1: temp must be a number, not true or false");
    EXPECT_EQ(complaint("tenant = 5\n"), "f.toml:1: tenant must be a text, not a whole number");
    EXPECT_EQ(complaint("stop = [1]\n"), "f.toml:1: stop must be a text or a list of texts, not a list");
    EXPECT_EQ(complaint("tenant = [\"a\"]\n"), "f.toml:1: tenant must be a text, not a list");
    EXPECT_EQ(complaint("seed = 1979-05-27\n"), "f.toml:1: seed must be a whole number, not a date or time");
}

TEST(ConfigFile, SaysWhereTheTextIsNotToml) {
    EXPECT_TRUE(complaint("seed = 1\ncontext = = 2\n").starts_with("f.toml:2: not valid TOML: "));
    EXPECT_TRUE(complaint("seed = 1\nseed = 2\n").starts_with("f.toml:2: not valid TOML: "));
}

TEST(ConfigFile, ATableWithoutANameIsAMistakeAndNothingWorse) {
    for (const std::string_view text : {"[=]"sv, "[.a]"sv, "[#]"sv, "[\n]"sv, "[[=]]"sv, "[(a)]"sv, "[a.=]"sv, "[\0\0]"sv}) {
        EXPECT_TRUE(complaint(text).starts_with("f.toml:1: not valid TOML: ")) << text << complaint(text);
    }
}

TEST(ConfigFile, IsBounded) {
    EXPECT_EQ(complaint(std::string(kMaxConfigBytes + 1, '#')), "f.toml: larger than 1048576 bytes");
    EXPECT_FALSE(parse_config("stop = " + std::string(100000, '['), "f.toml").has_value())
        << "deep nesting is refused, not followed";
}

TEST(ConfigFile, LettersOutsideTextsAreMistakesAndNothingWorse) {
    for (const char *letter : {"\u00e9", "\u0410", "\u3042", "\ufe00"}) {
        for (const std::string &text :
             {letter + std::string("x = 1"), std::string("x = 1 ") + letter, "x" + std::string(letter) + " = 1"}) {
            EXPECT_FALSE(parse_config(text, "f.toml").has_value()) << text;
        }
        EXPECT_TRUE(parse_config(std::string("stop = [\"") + letter + "\"] # " + letter, "f.toml").has_value()) << letter;
    }
}

TEST(ConfigFile, SurvivesAnyBytes) {
    std::mt19937 random(20240607);
    const std::string seed_text = "context = 1024\nstop = [\"a\", \"b\"]\n[x.y]\nz = {a = 1, b = 1979-05-27T07:32:00Z}\n";
    std::size_t refused = 0;
    for (int round = 0; round < 2000; ++round) {
        std::string text = seed_text;
        for (int change = 0; change < 4; ++change) {
            text[random() % text.size()] = static_cast<char>(random());
        }
        refused += parse_config(text, "f.toml").has_value() ? 0 : 1;
    }
    EXPECT_GT(refused, 1000U);
}

TEST(ReadBoundedFile, StopsAtTheLimit) {
    const auto path = std::filesystem::temp_directory_path() / ("engram-bounded-" + std::to_string(::getpid()));
    std::ofstream(path) << std::string(100, 'x');
    EXPECT_EQ(read_bounded_file(path, 100)->size(), 100U);
    EXPECT_EQ(read_bounded_file(path, 99).error().code, ErrorCode::invalid_argument);
    std::filesystem::remove(path);
    EXPECT_EQ(read_bounded_file(path, 99).error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace engram
