// The tests that stand on the model of a power cut are worth as much as the model.
#include "ports/testing/fault_file_system.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace engram::testing {
namespace {

namespace fs = std::filesystem;

class FaultFiles : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "engram-faults-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        root_ = pattern;
        files_ = std::make_unique<FaultFileSystem>(root_);
    }
    void TearDown() override { fs::remove_all(root_); }

    Result<void> write(const std::string &name, std::string text, bool sync) {
        ENGRAM_ASSIGN(const auto file, files_->create(root_ / name));
        const iovec all{.iov_base = text.data(), .iov_len = text.size()};
        ENGRAM_TRY(file->write(std::span(&all, 1)));
        return sync ? file->sync() : Result<void>();
    }

    fs::path root_;
    std::unique_ptr<FaultFileSystem> files_;
};

TEST_F(FaultFiles, AFileSurvivesWhenItsBytesAndItsNameWereSynced) {
    ASSERT_TRUE(write("whole", "12345678", true).has_value());
    ASSERT_TRUE(files_->sync_directory(root_).has_value());
    ASSERT_TRUE(write("nameless", "12345678", true).has_value());
    files_->cut_power(PowerCut::drop_unsynced);
    EXPECT_EQ(fs::file_size(root_ / "whole"), 8U);
    EXPECT_FALSE(fs::exists(root_ / "nameless"));
}

TEST_F(FaultFiles, ANameMaySurviveWithoutItsBytes) {
    ASSERT_TRUE(write("torn", "12345678", false).has_value());
    ASSERT_TRUE(write("whole", "12345678", true).has_value());
    files_->cut_power(PowerCut::keep_names);
    EXPECT_EQ(fs::file_size(root_ / "torn"), 4U);
    EXPECT_EQ(fs::file_size(root_ / "whole"), 8U);
}

TEST_F(FaultFiles, RenamesRemovalsAndFoldersNeedTheirFoldersSync) {
    ASSERT_TRUE(write("old", "1", true).has_value());
    ASSERT_TRUE(write("removed", "1", true).has_value());
    ASSERT_TRUE(files_->sync_directory(root_).has_value());
    ASSERT_TRUE(files_->rename(root_ / "old", root_ / "new").has_value());
    ASSERT_TRUE(files_->remove(root_ / "removed").has_value());
    ASSERT_TRUE(files_->make_directories(root_ / "folder").has_value());
    files_->cut_power(PowerCut::drop_unsynced);
    EXPECT_TRUE(fs::exists(root_ / "old"));
    EXPECT_FALSE(fs::exists(root_ / "new"));
    EXPECT_TRUE(fs::exists(root_ / "removed"));
    EXPECT_FALSE(fs::exists(root_ / "folder"));
}

TEST_F(FaultFiles, FailsWhenTold) {
    files_->fail_at(files_->operations() + 2);
    EXPECT_FALSE(write("a", "12345678", true).has_value());
    EXPECT_EQ(fs::file_size(root_ / "a"), 4U) << "a failed write may get half done";
    EXPECT_TRUE(write("b", "12", true).has_value());
    files_->set_space(8);
    EXPECT_FALSE(write("c", "123", true).has_value());
    EXPECT_EQ(fs::file_size(root_ / "c"), 2U);
    EXPECT_EQ(files_->largest_total_bytes(), 8U);
    EXPECT_EQ(files_->free_bytes(root_), 0U);
    files_->set_space(std::nullopt);
    files_->set_read_only(true);
    EXPECT_FALSE(files_->remove(root_ / "a").has_value());
    files_->set_read_only(false);
    files_->stop_at(files_->operations() + 1);
    EXPECT_FALSE(files_->remove(root_ / "a").has_value());
    EXPECT_FALSE(files_->remove(root_ / "b").has_value());
}

}  // namespace
}  // namespace engram::testing
