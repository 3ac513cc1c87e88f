#include "config/installed_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <format>
#include <fstream>

namespace engram {
namespace {

TEST(InstalledFile, LiesBesideTheProgramsFolder) {
    const auto folder = installed_folder();
    ASSERT_TRUE(folder.has_value());
    EXPECT_EQ(folder->parent_path().parent_path(), std::filesystem::canonical("/proc/self/exe").parent_path().parent_path());
    const std::string name = std::format("engram-test-{}", ::getpid());
    EXPECT_FALSE(installed_file(name).has_value());
    std::filesystem::create_directories(*folder);
    std::ofstream(*folder / name) << "x";
    EXPECT_EQ(installed_file(name), *folder / name);
    std::filesystem::remove(*folder / name);
    std::filesystem::create_directory(*folder / name);
    EXPECT_FALSE(installed_file(name).has_value()) << "a folder is no file";
    std::filesystem::remove(*folder / name);
}

}  // namespace
}  // namespace engram
