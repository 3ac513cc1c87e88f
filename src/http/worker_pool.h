// Threads that run tasks in order of submission. They are started when they are first needed.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace engram::http {

class WorkerPool {
  public:
    WorkerPool(std::string name, std::size_t max_threads) : name_(std::move(name)), max_threads_(max_threads) {}
    ~WorkerPool() { stop(); }
    WorkerPool(const WorkerPool &) = delete;
    WorkerPool &operator=(const WorkerPool &) = delete;

    // The queue has no bound of its own. False when the pool has stopped, or no thread at all could be started.
    bool submit(std::function<void()> task);

    // Runs what has been submitted, then ends. Thread-safe; later calls do nothing.
    void stop();

  private:
    void work();

    const std::string name_;
    const std::size_t max_threads_;

    // guarded by mutex_
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> tasks_;
    std::vector<std::jthread> threads_;
    std::size_t idle_ = 0;
    bool stopping_ = false;
};

}  // namespace engram::http
