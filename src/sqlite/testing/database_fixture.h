// What tests of database files share: a folder of its own for each test, and hands that reach into the file.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "engram/error.h"

namespace engram {

// Message of a failed result, or "" of a good one: for EXPECT_TRUE(r) << why(r).
template <typename T>
std::string why(const Result<T> &result) {
    return result ? "" : std::string(error_code_name(result.error().code)) + ": " + result.error().message;
}

template <typename T>
ErrorCode code_of(const Result<T> &result) {
    EXPECT_FALSE(result) << "an error was expected";
    return result ? ErrorCode::internal : result.error().code;
}

class DatabaseFileTest : public testing::Test {
  public:
    ~DatabaseFileTest() override;

  protected:
    explicit DatabaseFileTest(const std::string &file_name);
    // Runs SQL through a connection of its own, as a damaged disk or a person with the sqlite3 shell would.
    void tamper(const std::string &sql);
    std::int64_t query(const std::string &sql);  // the first column of the first row

    std::filesystem::path folder_;
    std::filesystem::path file_;
};

}  // namespace engram
