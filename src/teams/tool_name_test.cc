#include "teams/tool_name.h"

#include <gtest/gtest.h>

#include <string>

namespace engram {
namespace {

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
