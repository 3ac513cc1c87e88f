#include "bench/page_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace engram::bench {
namespace {

class PageCacheTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "engram-pages-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        page_ = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        std::ofstream(folder_ / "file", std::ios::binary) << std::string(8 * page_ + 1, 'x');
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path folder_;
    std::size_t page_ = 0;
};

TEST_F(PageCacheTest, CountsThePagesOfAllFiles) {
    EXPECT_EQ(drop_from_page_cache(folder_ / "file").pages, 9U);
    std::filesystem::create_directory(folder_ / "deeper");
    std::ofstream(folder_ / "deeper" / "another") << "short";
    std::ofstream(folder_ / "empty").close();
    const CachedPages found = drop_folder_from_page_cache(folder_);
    EXPECT_EQ(found.pages, 10U);
    EXPECT_LE(found.stayed, found.pages);
    EXPECT_EQ(drop_from_page_cache(folder_ / "no such file").pages, 0U);
    EXPECT_EQ(drop_folder_from_page_cache(folder_ / "no such folder").share(), 0);
}

// The system keeps pages that somebody has mapped and locked, whatever it is asked.
TEST_F(PageCacheTest, TellsThatPagesStayed) {
    const int file = ::open((folder_ / "file").c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(file, 0);
    void *mapped = ::mmap(nullptr, 8 * page_, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
    ASSERT_NE(mapped, MAP_FAILED);
    if (::mlock(mapped, 8 * page_) != 0) GTEST_SKIP() << "memory can't be locked here";
    EXPECT_GE(drop_from_page_cache(folder_ / "file").stayed, 8U);
    EXPECT_GE(drop_from_page_cache(folder_ / "file").share(), kStayedTooMuch);
    ::munmap(mapped, 8 * page_);
    ::close(file);
}

}  // namespace
}  // namespace engram::bench
