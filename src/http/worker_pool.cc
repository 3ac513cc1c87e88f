#include "http/worker_pool.h"

#include <pthread.h>

#include <system_error>
#include <utility>

namespace engram::http {

bool WorkerPool::submit(std::function<void()> task) {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return false;
        tasks_.push_back(std::move(task));
        if (idle_ < tasks_.size() && threads_.size() < max_threads_) {
            try {
                threads_.emplace_back([this] { work(); });
            } catch (const std::system_error &) {
                if (threads_.empty()) {
                    tasks_.pop_back();
                    return false;
                }
            }
        }
    }
    wake_.notify_one();
    return true;
}

void WorkerPool::work() {
#ifdef __linux__
    pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
#endif
    std::unique_lock lock(mutex_);
    while (true) {
        idle_++;
        wake_.wait(lock, [&] { return stopping_ || !tasks_.empty(); });
        idle_--;
        if (tasks_.empty()) return;
        auto task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        task();
        task = nullptr;
        lock.lock();
    }
}

void WorkerPool::stop() {
    std::vector<std::jthread> threads;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        threads.swap(threads_);
    }
    wake_.notify_all();
    threads.clear();  // joins
}

}  // namespace engram::http
