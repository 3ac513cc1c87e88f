#include "bench/parts.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>

#include "bench/benchmark.h"

namespace engram::bench {
namespace {

class PartsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "engram-parts-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    static Record whole(const std::string &commit = "abc") {
        Record record{
            .benchmark = "save", .variant = "tiny f16", .title = "Saving", .size = "full", .started = "2026-01-02T03:04:05Z"};
        record.machine = {{"processors", 2}};
        record.configuration = {{"asked", {{"commit", commit}}}, {"model", "tiny"}};
        return record;
    }
    std::filesystem::path file() const { return partial_file(whole(), folder_); }
    Lab lab() const {
        LabOptions options;
        options.partial = file();
        return Lab(options);
    }
    // A part that finds that number, and counts how often it was measured.
    Result<void> measure(const Lab &lab, Record &record, const std::string &name, double value) {
        return lab.part(record, name, [&](Record &part) -> Result<void> {
            ++measured_;
            Row row{.labels = {{"tokens", name}}};
            row.add("time", kEngram, "ms", value);
            part.rows.push_back(std::move(row));
            part.check("it holds " + name, true, "");
            return {};
        });
    }

    std::filesystem::path folder_;
    int measured_ = 0;
};

TEST_F(PartsTest, ARunThatWasKilledBetweenTwoGoesOn) {
    const pid_t child = ::fork();
    if (child == 0) {
        Record record = whole();
        if (!measure(lab(), record, "one", 1)) ::_exit(1);
        (void)lab().part(record, "two", [](Record &) -> Result<void> { return ::raise(SIGKILL), Result<void>{}; });
        ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    Record record = whole();
    ASSERT_TRUE(measure(lab(), record, "one", 11));
    EXPECT_EQ(measured_, 0) << "it is there";
    ASSERT_TRUE(measure(lab(), record, "two", 2));
    EXPECT_EQ(measured_, 1);
    ASSERT_EQ(record.rows.size(), 2U);
    EXPECT_EQ(record.rows[0].find("time", kEngram)->median, 1) << "what was measured first";
    EXPECT_EQ(record.rows[1].find("time", kEngram)->median, 2);
    EXPECT_EQ(record.checks.size(), 2U);
    EXPECT_EQ(record.configuration, whole().configuration);
    ASSERT_EQ(record.notes.size(), 1U);
    EXPECT_TRUE(record.notes[0].starts_with("one: measured by an earlier run")) << record.notes[0];
    EXPECT_TRUE(read_records(folder_)->empty()) << "a part is no result";
    ASSERT_TRUE(write_record(record, folder_));
    EXPECT_FALSE(std::filesystem::exists(file()));
    EXPECT_EQ(read_records(folder_)->size(), 1U);
}

TEST_F(PartsTest, ItsTimeCounts) {
    Record part = whole();
    part.started = "2025-12-31T23:59:59Z";
    part.seconds = 100;
    ASSERT_TRUE(keep_part(file(), "one", part));
    Record record = whole();
    record.seconds = 20;
    ASSERT_TRUE(measure(lab(), record, "one", 1));
    EXPECT_EQ(measured_, 0);
    EXPECT_EQ(record.seconds, 120);
    EXPECT_EQ(record.started, part.started);
}

TEST_F(PartsTest, WhatAnotherProgramMeasuredIsMeasuredAgain) {
    Record record = whole();
    ASSERT_TRUE(measure(lab(), record, "one", 1));
    Record later = whole("def");
    ASSERT_TRUE(measure(lab(), later, "one", 2));
    EXPECT_EQ(measured_, 2);
    EXPECT_EQ(later.rows[0].find("time", kEngram)->median, 2);
    EXPECT_FALSE(kept_part(file(), whole(), "one")) << "and what it had is gone";
    EXPECT_TRUE(kept_part(file(), whole("def"), "one"));
}

TEST_F(PartsTest, ADamagedFileIsNone) {
    Record record = whole();
    ASSERT_TRUE(measure(lab(), record, "one", 1));
    for (const std::string_view text : {"", "{", "[1, {}, {\"name\": \"one\", \"found\": 3}]", "{\"name\": \"one\"}"}) {
        std::ofstream(file(), std::ios::binary) << text;
        Record again = whole();
        EXPECT_TRUE(measure(lab(), again, "one", 2)) << text;
        EXPECT_EQ(again.rows[0].find("time", kEngram)->median, 2) << text;
        EXPECT_TRUE(kept_part(file(), whole(), "one")) << text;
    }
}

TEST_F(PartsTest, OneThatFailsLeavesNothing) {
    Record record = whole();
    const auto failed = lab().part(record, "one", [](Record &part) -> Result<void> {
        part.check("begun", true, "");
        return fail(ErrorCode::io, "no room");
    });
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::io);
    EXPECT_TRUE(record.checks.empty());
    EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(PartsTest, WithoutAFileNothingIsKept) {
    const Lab nowhere{LabOptions{}};
    for (int i = 0; i < 2; ++i) {
        Record record = whole();
        ASSERT_TRUE(measure(nowhere, record, "one", 1));
        EXPECT_EQ(record.rows.size(), 1U);
        EXPECT_TRUE(record.notes.empty());
    }
    EXPECT_EQ(measured_, 2);
}

TEST_F(PartsTest, FiguresOfOneRowComeTogether) {
    Record record = whole();
    ASSERT_TRUE(measure(lab(), record, "one", 1));
    const auto more = lab().part(record, "more of one", [](Record &part) -> Result<void> {
        Row row{.labels = {{"tokens", "one"}}};
        row.add("time", kPeer, "ms", 3);
        part.rows.push_back(std::move(row));
        return {};
    });
    ASSERT_TRUE(more);
    ASSERT_EQ(record.rows.size(), 1U);
    EXPECT_EQ(record.rows[0].find("time", kPeer)->median, 3);
}

}  // namespace
}  // namespace engram::bench
