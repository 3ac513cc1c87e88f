#include "bench/process.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

namespace engram::bench {
namespace {

class ProcessTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "engram-process-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    Result<Process> start(std::vector<std::string> arguments) {
        return Process::start({.arguments = std::move(arguments), .log = folder_ / "log"});
    }
    std::string log() const {
        std::ifstream in(folder_ / "log");
        return {std::istreambuf_iterator<char>(in), {}};
    }

    std::filesystem::path folder_;
};

void wait_for_end(Process &process) {
    while (process.alive()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST_F(ProcessTest, RunsUntilItIsEnded) {
    auto process = start({"sleep", "600"});
    ASSERT_TRUE(process);
    EXPECT_TRUE(process->alive());
    process->end(std::chrono::seconds(60));
    EXPECT_FALSE(process->alive());
}

TEST_F(ProcessTest, WhatItSaysGoesIntoItsLog) {
    auto process = start({"sh", "-c", "echo one; echo two >&2"});
    ASSERT_TRUE(process);
    wait_for_end(*process);
    EXPECT_EQ(log(), "one\ntwo\n");
}

TEST_F(ProcessTest, APausedOneDoesNothingAndCanStillBeEnded) {
    auto process = start({"sh", "-c", "while :; do echo x; sleep 0.01; done"});
    ASSERT_TRUE(process);
    while (log().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    process->pause();
    const std::string before = log();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_EQ(log(), before);
    EXPECT_TRUE(process->alive());
    process->go_on();
    while (log() == before) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    process->pause();
    process->end(std::chrono::seconds(60));
    EXPECT_FALSE(process->alive());
}

TEST_F(ProcessTest, OneThatDoesNotListenIsKilled) {
    auto process = start({"sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done"});
    ASSERT_TRUE(process);
    while (log().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    process->end(std::chrono::milliseconds(50));
    EXPECT_FALSE(process->alive());
}

TEST_F(ProcessTest, TellsTimeAndMemory) {
    auto process = start({"sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; exec sleep 600"});
    ASSERT_TRUE(process);
    while (log().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const auto usage = process->usage();
    ASSERT_TRUE(usage) << usage.error().message;
    EXPECT_GT(usage->cpu_s, 0);
    EXPECT_GT(usage->resident_bytes, 4096U);
    EXPECT_EQ(usage->cpu_s_by_thread.size(), 1U);
}

TEST_F(ProcessTest, AProgramThatIsNotThereEndsAtOnce) {
    auto process = start({"engram-has-no-such-program"});
    ASSERT_TRUE(process);
    wait_for_end(*process);
    EXPECT_TRUE(find_program("engram-has-no-such-program").empty());
    EXPECT_FALSE(find_program("sh").empty());
}

TEST(FreePort, IsAPort) {
    const auto port = free_port();
    ASSERT_TRUE(port);
    EXPECT_GT(*port, 1023);
}

}  // namespace
}  // namespace engram::bench
