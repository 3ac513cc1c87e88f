// Several clients at the same time.
#pragma once

#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "engram/error.h"

namespace engram::bench {

// Runs work(0) … work(count - 1) at the same time, each on a thread of its own, and waits for all. The first error of any.
inline Result<void> together(std::size_t count, const std::function<Result<void>(std::size_t)> &work) {
    std::mutex mutex;
    Result<void> outcome;
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < count; ++i) {
            threads.emplace_back([&, i] {
                Result<void> done = work(i);
                const std::scoped_lock lock(mutex);
                if (!done && outcome) outcome = std::move(done);
            });
        }
    }
    return outcome;
}

}  // namespace engram::bench
