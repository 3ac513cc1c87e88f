#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "ports/clock.h"
#include "ports/file_system.h"

namespace engram {
namespace {

namespace fs = std::filesystem;

class PosixFileSystem : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "engram-ports-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        root_ = pattern;
    }
    void TearDown() override { fs::remove_all(root_); }

    static iovec piece(std::string &text) { return {.iov_base = text.data(), .iov_len = text.size()}; }

    void write(const std::string &name, std::string text) {
        auto file = files_.create(root_ / name);
        ASSERT_TRUE(file.has_value()) << file.error().message;
        const iovec all = piece(text);
        ASSERT_TRUE((*file)->write(std::span(&all, 1)).has_value());
        ASSERT_TRUE((*file)->sync().has_value());
    }

    FileSystem &files_ = posix_file_system();
    fs::path root_;
};

TEST_F(PosixFileSystem, GathersAndScattersMorePiecesThanOneSystemCallTakes) {
    constexpr std::size_t kPieces = 5000;
    std::vector<std::uint32_t> numbers(kPieces);
    std::iota(numbers.begin(), numbers.end(), 0U);
    std::vector<iovec> pieces;
    for (std::uint32_t &number : numbers) {
        pieces.push_back({.iov_base = &number, .iov_len = sizeof number});
        pieces.push_back({.iov_base = nullptr, .iov_len = 0});
    }
    {
        auto file = files_.create(root_ / "numbers");
        ASSERT_TRUE(file.has_value());
        ASSERT_TRUE((*file)->write(pieces).has_value());
        ASSERT_TRUE((*file)->write(std::span(pieces).first(2)).has_value()) << "a second write appends";
    }
    auto file = files_.open(root_ / "numbers");
    ASSERT_TRUE(file.has_value());
    EXPECT_EQ((*file)->size(), 4 * (kPieces + 1));
    std::vector<std::uint32_t> back(kPieces);
    std::vector<iovec> places;
    for (std::uint32_t &number : back) places.push_back({.iov_base = &number, .iov_len = sizeof number});
    ASSERT_TRUE((*file)->read(0, places).has_value());
    EXPECT_EQ(back, numbers);
    std::uint32_t one = 0;
    const iovec place{.iov_base = &one, .iov_len = sizeof one};
    ASSERT_TRUE((*file)->read(4 * 17, std::span(&place, 1)).has_value());
    EXPECT_EQ(one, 17U);
    const Result<void> beyond = (*file)->read(4 * kPieces + 1, std::span(&place, 1));
    ASSERT_FALSE(beyond.has_value());
    EXPECT_EQ(beyond.error().code, ErrorCode::corrupt);
}

TEST_F(PosixFileSystem, MakesPrivateFilesAndFolders) {
    ASSERT_TRUE(files_.make_directories(root_ / "a" / "b").has_value());
    ASSERT_TRUE(files_.make_directories(root_ / "a" / "b").has_value());
    write("a/b/file", "x");
    struct stat facts{};
    ASSERT_EQ(::stat((root_ / "a" / "b" / "file").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777, 0600U);
    ASSERT_EQ(::stat((root_ / "a").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777, 0700U);
    EXPECT_TRUE(files_.sync_directory(root_ / "a").has_value());
    const Result<void> in_the_way = files_.make_directories(root_ / "a" / "b" / "file");
    ASSERT_FALSE(in_the_way.has_value());
    EXPECT_EQ(in_the_way.error().code, ErrorCode::io);
}

TEST_F(PosixFileSystem, SaysWhatIsMissingOrInTheWay) {
    const auto missing = files_.open(root_ / "missing");
    ASSERT_FALSE(missing.has_value());
    EXPECT_EQ(missing.error().code, ErrorCode::not_found);
    EXPECT_NE(missing.error().message.find((root_ / "missing").string()), std::string::npos);
    EXPECT_EQ(files_.remove(root_ / "missing").error().code, ErrorCode::not_found);
    EXPECT_EQ(files_.rename(root_ / "missing", root_ / "other").error().code, ErrorCode::not_found);
    EXPECT_EQ(files_.list(root_ / "missing").error().code, ErrorCode::not_found);
    EXPECT_EQ(files_.sync_directory(root_ / "missing").error().code, ErrorCode::not_found);
    write("there", "x");
    EXPECT_EQ(files_.create(root_ / "there").error().code, ErrorCode::io) << "an existing file is never written over";
    EXPECT_EQ(files_.open(root_).error().code, ErrorCode::io) << "a folder isn't a file";
}

TEST_F(PosixFileSystem, DoesNotFollowSymbolicLinks) {
    write("target", "secret");
    fs::create_symlink(root_ / "target", root_ / "link");
    EXPECT_FALSE(files_.open(root_ / "link").has_value());
    EXPECT_FALSE(files_.create(root_ / "link").has_value());
    ASSERT_EQ(::mkfifo((root_ / "pipe").c_str(), 0600), 0);
    EXPECT_FALSE(files_.open(root_ / "pipe").has_value()) << "and doesn't wait for a pipe's other end";
}

TEST_F(PosixFileSystem, ListsRenamesAndRemoves) {
    write("one", "12345");
    ASSERT_TRUE(files_.make_directories(root_ / "folder").has_value());
    ASSERT_TRUE(files_.rename(root_ / "one", root_ / "two").has_value());
    auto entries = files_.list(root_);
    ASSERT_TRUE(entries.has_value());
    std::ranges::sort(*entries, {}, &DirectoryEntry::name);
    ASSERT_EQ(entries->size(), 2U);
    EXPECT_EQ((*entries)[0].name, "folder");
    EXPECT_TRUE((*entries)[0].is_directory);
    EXPECT_EQ((*entries)[1].name, "two");
    EXPECT_EQ((*entries)[1].bytes, 5U);
    EXPECT_GT((*entries)[1].modified_ms, 1'600'000'000'000) << "milliseconds since 1970";
    ASSERT_TRUE(files_.remove(root_ / "two").has_value());
    EXPECT_EQ(files_.list(root_)->size(), 1U);
    const auto free = files_.free_bytes(root_);
    ASSERT_TRUE(free.has_value());
    EXPECT_GT(*free, 0U);
}

TEST(SystemClock, CountsFromTheEpochAndNeverBack) {
    EXPECT_GT(system_clock().wall_ms(), 1'600'000'000'000);
    const std::int64_t before = system_clock().steady_us();
    EXPECT_LE(before, system_clock().steady_us());
}

}  // namespace
}  // namespace engram
