#include "teams/tool_name.h"

#include <gtest/gtest.h>

#include <vector>

namespace engram {
namespace {

bool matches(std::vector<std::string> patterns, std::string_view tool) { return tool_matches(patterns, "files", tool); }

TEST(ToolName, PatternsFit) {
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

TEST(ToolName, ModelsGetNamesThatTheirFormsAllow) {
    EXPECT_EQ(model_tool_name("files", "read_file"), "files__read_file");
    const std::string dotted = model_tool_name("files", "read.file"), other = model_tool_name("files", "read file");
    EXPECT_TRUE(dotted.starts_with("files__read_file_"));
    EXPECT_NE(dotted, other);
    const std::string longer = model_tool_name("files", std::string(100, 'x'));
    EXPECT_EQ(longer.size(), 64U);
    EXPECT_NE(longer, model_tool_name("files", std::string(101, 'x')));
}

}  // namespace
}  // namespace engram
