#include "engine/huge_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "engine/context.h"
#include "engine/testing/tiny_models.h"

namespace engram {
namespace {

constexpr std::size_t kLeast = std::size_t{16} << 20;

void *map_anonymous(std::size_t bytes, void *where = nullptr) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (where == nullptr ? 0 : MAP_FIXED);
    return mmap(where, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
}

// Memory that is given back with the object.
class Mapping {
  public:
    explicit Mapping(std::size_t bytes) : bytes_(bytes), start_(map_anonymous(bytes)) {}
    ~Mapping() { munmap(start_, bytes_); }
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;
    char *start() const { return static_cast<char *>(start_); }

  private:
    std::size_t bytes_;
    void *start_;
};

// Walks through what smaps says about each mapping: its first address, and the lines below it.
template <typename Visit>
void each_mapping(Visit visit) {
    std::ifstream smaps("/proc/self/smaps");
    std::uintptr_t begin = 0, end = 0;
    for (std::string line; std::getline(smaps, line);) {
        char *dash = nullptr;
        const std::uintptr_t first = std::strtoull(line.c_str(), &dash, 16);
        if (dash != line.c_str() && *dash == '-') {
            begin = first;
            end = std::strtoull(dash + 1, nullptr, 16);
        } else {
            visit(begin, end, line);
        }
    }
}

bool is_advised(const void *address) {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    bool advised = false;
    each_mapping([&](std::uintptr_t begin, std::uintptr_t end, const std::string &line) {
        if (begin <= at && at < end && line.starts_with("VmFlags:")) advised = line.find(" hg") != std::string::npos;
    });
    return advised;
}

std::size_t bytes_in_huge_pages() {
    std::size_t kibibytes = 0;
    each_mapping([&](std::uintptr_t, std::uintptr_t, const std::string &line) {
        constexpr std::string_view kName = "AnonHugePages:";
        if (line.starts_with(kName)) kibibytes += std::strtoull(line.c_str() + kName.size(), nullptr, 10);
    });
    return kibibytes << 10;
}

TEST(HugePageMode, IsTheWordInBrackets) {
    const testing::TemporaryFolder folder;
    const auto mode_of = [&](const std::string &text) {
        std::ofstream(folder.path() / "enabled") << text;
        return huge_page_mode(folder.path() / "enabled");
    };
    EXPECT_EQ(mode_of("always [madvise] never\n"), "madvise");
    EXPECT_EQ(mode_of("always madvise [never]\n"), "never");
    EXPECT_EQ(mode_of("always madvise never\n"), "");
    EXPECT_EQ(mode_of(""), "");
    EXPECT_EQ(huge_page_mode(folder.path() / "nothing here"), "");
}

class HugePagesTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (huge_page_mode().empty()) GTEST_SKIP() << "this kernel has none";
    }
};

TEST_F(HugePagesTest, WhatIsNewAndLargeIsAdvisedOnce) {
    const Mapping before(kLeast);
    HugePages pages(kLeast);
    EXPECT_EQ(pages.advise_new(), 0U);
    const Mapping small(kLeast / 2);
    pages.advise_new();
    EXPECT_FALSE(is_advised(small.start()));
    const Mapping large(2 * kLeast);
    EXPECT_GE(pages.advise_new(), 2 * kLeast);
    EXPECT_TRUE(is_advised(large.start()));
    EXPECT_FALSE(is_advised(before.start()));
    EXPECT_EQ(pages.advise_new(), 0U);
}

TEST_F(HugePagesTest, OfWhatTheKernelJoinsOnlyTheNewPart) {
    const Mapping room(2 * kLeast);
    char *const behind = room.start() + kLeast;
    ASSERT_EQ(munmap(behind, kLeast), 0);
    HugePages pages(kLeast);
    ASSERT_EQ(map_anonymous(kLeast, behind), behind);
    EXPECT_GE(pages.advise_new(), kLeast);
    EXPECT_FALSE(is_advised(room.start()));
    EXPECT_TRUE(is_advised(behind));
}

TEST_F(HugePagesTest, MappedFilesStayAsTheyAre) {
    const testing::TemporaryFolder folder;
    const std::filesystem::path path = folder.path() / "file";
    std::ofstream(path) << "x";
    std::filesystem::resize_file(path, kLeast);
    HugePages pages(kLeast);
    std::FILE *file = std::fopen(path.c_str(), "r+");
    ASSERT_NE(file, nullptr);
    void *const mapped = mmap(nullptr, kLeast, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
    ASSERT_NE(mapped, MAP_FAILED);
    EXPECT_EQ(pages.advise_new(), 0U);
    EXPECT_FALSE(is_advised(mapped));
    munmap(mapped, kLeast);
    std::fclose(file);
}

// What this is for: cells are advised before they are cleared.
TEST_F(HugePagesTest, TheCellsOfAContextLieInThem) {
    const Mapping control(2 * kLeast);
    std::size_t before = bytes_in_huge_pages();
    ASSERT_EQ(madvise(control.start(), 2 * kLeast, MADV_HUGEPAGE), 0);
    std::memset(control.start(), 1, 2 * kLeast);
    if (bytes_in_huge_pages() < before + kLeast) GTEST_SKIP() << "this kernel gives none";
    const auto model = testing::load_tiny(testing::tiny_options("tiny-llama", 131'072));
    ASSERT_NE(model, nullptr);
    before = bytes_in_huge_pages();
    BufferPool pool{1ULL << 20};
    const auto context = Context::create(*model, pool);
    ASSERT_TRUE(context.has_value()) << context.error().message;
    EXPECT_GE(bytes_in_huge_pages(), before + kLeast);
}

}  // namespace
}  // namespace engram
