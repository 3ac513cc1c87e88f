#include "chat/tool_pattern.h"

#include <gtest/gtest.h>

#include <vector>

namespace engram {
namespace {

bool matches(std::vector<std::string> patterns, std::string_view tool) { return tool_matches(patterns, "files", tool); }

TEST(ToolPattern, PatternsFit) {
    EXPECT_TRUE(matches({"files/read_file"}, "read_file"));
    EXPECT_TRUE(matches({"other/x", "files/*"}, "read_file"));
    EXPECT_TRUE(matches({"*"}, "read_file"));
    EXPECT_TRUE(matches({"files/read_*"}, "read_file"));
    EXPECT_TRUE(matches({"*/*_f*e"}, "read_file"));
    EXPECT_FALSE(matches({"files/read"}, "read_file"));
    EXPECT_FALSE(matches({"files"}, "read_file"));
    EXPECT_FALSE(matches({"file/*"}, "read_file"));
    EXPECT_FALSE(matches({""}, "read_file"));
    EXPECT_FALSE(matches({}, "read_file"));
    const std::vector<std::string> one{"files/read"}, any{"*"}, other{"web/*"}, some{"f*/read"};
    EXPECT_TRUE(server_matches(one, "files") && server_matches(any, "files") && server_matches(some, "files"));
    EXPECT_FALSE(server_matches(other, "files"));
}

}  // namespace
}  // namespace engram
