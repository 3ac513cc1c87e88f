#include "sqlite/database_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sqlite/testing/database_fixture.h"

namespace engram::sqlite {
namespace {

class OpenFileTest : public DatabaseFileTest {
  protected:
    OpenFileTest() : DatabaseFileTest("pets.db") {}
    FileKind kind() const { return {.name = "the pets' file", .holds = "pets", .application_id = 7, .migrations = migrations_}; }

    std::array<std::string, 1> migrations_{"CREATE TABLE pets (name TEXT NOT NULL) STRICT"};
};

TEST_F(OpenFileTest, ANewFileBelongsToItsOwnerAlone) {
    ASSERT_TRUE(open_file(file_, kind()));
    struct stat status{};
    ASSERT_EQ(::stat(file_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1) << "no temporary file stays";
}

TEST_F(OpenFileTest, ManyThatMakeTheFileAtOnceShareOne) {
    std::mutex mutex;
    std::vector<std::string> failures;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&] {
                auto database = open_file(file_, kind());
                const auto inserted = database ? database->execute("INSERT INTO pets VALUES ('cat')")
                                               : Result<void>(std::unexpected(database.error()));
                const std::scoped_lock lock(mutex);
                if (!inserted) failures.push_back(inserted.error().message);
            });
        }
    }
    EXPECT_EQ(failures, std::vector<std::string>());
    EXPECT_EQ(query("SELECT count(*) FROM pets"), 8);
}

TEST_F(OpenFileTest, MessagesNameTheFileAndWhatItHolds) {
    std::ofstream(file_).flush();
    const auto empty = open_file(file_, kind());
    EXPECT_EQ(code_of(empty), ErrorCode::corrupt);
    EXPECT_NE(why(empty).find("the pets' file " + file_.string()), std::string::npos) << why(empty);
    EXPECT_NE(why(empty).find("start without pets"), std::string::npos) << why(empty);
    std::ofstream(file_) << "this was a database once, and is none any more";
    EXPECT_EQ(code_of(open_file(file_, kind())), ErrorCode::corrupt);
}

TEST_F(OpenFileTest, AFileOfAnotherKindIsLeftAlone) {
    ASSERT_TRUE(open_file(file_, kind()));
    FileKind other = kind();
    other.application_id = 8;
    EXPECT_EQ(code_of(open_file(file_, other)), ErrorCode::incompatible);
    EXPECT_TRUE(open_file(file_, kind()));
}

}  // namespace
}  // namespace engram::sqlite
