#include "sqlite/database.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>

#include "sqlite/testing/database_fixture.h"

namespace engram::sqlite {
namespace {

class DatabaseTest : public DatabaseFileTest {
  protected:
    DatabaseTest() : DatabaseFileTest("any.db") {
        std::ofstream(file_).flush();
        auto opened = Database::open(file_);
        EXPECT_TRUE(opened) << why(opened);
        database_ = std::move(*opened);
        EXPECT_TRUE(database_.execute("CREATE TABLE t (n INTEGER, s TEXT NOT NULL, b BLOB NOT NULL)"));
    }

    Result<void> insert(std::int64_t n, std::string_view s, std::span<const std::byte> b) {
        ENGRAM_ASSIGN(Statement statement, database_.prepare("INSERT INTO t VALUES (?1, ?2, ?3)"));
        return statement.run(n, s, b).finish();
    }

    Database database_;
};

TEST_F(DatabaseTest, ValuesRoundTrip) {
    constexpr std::array kBytes{std::byte{0}, std::byte{255}, std::byte{7}};
    constexpr std::string_view kText("a\0b\xff", 4);
    ASSERT_TRUE(insert(INT64_MIN, kText, kBytes));
    ASSERT_TRUE(insert(1, {}, {}));  // empty is not NULL
    auto select = database_.prepare("SELECT n, s, b FROM t ORDER BY n");
    ASSERT_TRUE(select);
    for (int again = 0; again < 2; ++again) {
        auto run = select->run();
        ASSERT_EQ(run.next(), true);
        EXPECT_EQ(run.integer(0), INT64_MIN);
        EXPECT_EQ(run.text(1), kText);
        EXPECT_TRUE(std::ranges::equal(run.blob(2), kBytes));
        ASSERT_EQ(run.next(), true);
        EXPECT_TRUE(run.text(1).empty());
        EXPECT_TRUE(run.blob(2).empty());
        EXPECT_EQ(run.next(), false);
    }
}

TEST_F(DatabaseTest, ATransactionThatIsNotCommittedLeavesNothing) {
    {
        auto transaction = Transaction::begin(database_, Transaction::Kind::write);
        ASSERT_TRUE(transaction);
        ASSERT_TRUE(insert(1, "x", {}));
    }
    EXPECT_EQ(database_.integer("SELECT count(*) FROM t"), 0);
    auto transaction = Transaction::begin(database_, Transaction::Kind::write);
    ASSERT_TRUE(insert(1, "x", {}));
    ASSERT_TRUE(transaction->commit());
    EXPECT_EQ(database_.integer("SELECT count(*) FROM t"), 1);
}

TEST_F(DatabaseTest, AFullFileIsAnIoErrorThatRollsBack) {
    ASSERT_TRUE(database_.execute("PRAGMA max_page_count = 8"));
    {
        auto transaction = Transaction::begin(database_, Transaction::Kind::write);
        ASSERT_TRUE(insert(1, "small", {}));
        const auto inserted = insert(2, std::string(100'000, 'x'), {});
        EXPECT_EQ(code_of(inserted), ErrorCode::io) << why(inserted);
    }
    EXPECT_FALSE(database_.in_transaction());
    EXPECT_EQ(database_.integer("SELECT count(*) FROM t"), 0);
    EXPECT_TRUE(insert(1, "small", {}));
}

TEST_F(DatabaseTest, AWriterThatIsBlockedSaysLocked) {
    ASSERT_TRUE(database_.execute("PRAGMA busy_timeout = 1"));
    auto other = Database::open(file_);
    ASSERT_TRUE(other);
    auto transaction = Transaction::begin(*other, Transaction::Kind::write);
    ASSERT_TRUE(transaction);
    EXPECT_EQ(code_of(Transaction::begin(database_, Transaction::Kind::write)), ErrorCode::locked);
    EXPECT_EQ(code_of(insert(1, "x", {})), ErrorCode::locked);
}

TEST_F(DatabaseTest, ErrorsSayWhatToDo) {
    EXPECT_EQ(code_of(Database::open(folder_ / "none")), ErrorCode::io);
    EXPECT_EQ(code_of(database_.prepare("SELECT nonsense FROM nowhere")), ErrorCode::internal);
    EXPECT_EQ(code_of(database_.integer("SELECT 1 WHERE 0")), ErrorCode::internal);
    const auto missing = Database::open(folder_ / "none");
    EXPECT_NE(why(missing).find("none"), std::string::npos) << why(missing);
}

}  // namespace
}  // namespace engram::sqlite
