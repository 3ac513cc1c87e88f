// How many threads this process has.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <thread>

namespace engram::testing {

inline std::ptrdiff_t thread_count() {
    // ThreadSanitizer starts a thread of its own together with a program's first one.
    [[maybe_unused]] static const bool kStarted = [] {
        std::thread([] {}).join();
        return true;
    }();
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

// OpenMP's threads end by themselves, a moment after the thread that they computed for.
inline void expect_thread_count(std::ptrdiff_t wanted) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (thread_count() != wanted && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    EXPECT_EQ(thread_count(), wanted);
}

}  // namespace engram::testing
