#include "cli/text_input.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <format>
#include <fstream>

namespace engram::cli {
namespace {

TEST(TextInput, AFileIsBounded) {
    const auto file = std::filesystem::temp_directory_path() / std::format("engram-input-{}", ::getpid());
    std::ofstream(file).close();
    std::filesystem::resize_file(file, kMaxInputBytes);  // sparse
    const auto most = text_argument("@" + file.string());
    EXPECT_EQ(most ? most->size() : 0, 64UZ << 20U);
    std::filesystem::resize_file(file, kMaxInputBytes + 1);
    const auto more = text_argument("@" + file.string());
    ASSERT_FALSE(more);
    EXPECT_TRUE(more.error().message.ends_with(" is larger than 67108864 bytes")) << more.error().message;
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace engram::cli
