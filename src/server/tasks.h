// Work on threads of its own, until it is done. One thread starts and asks. Internal to the server.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <thread>
#include <utility>

namespace engram::server {

class Tasks {  // the destructor waits for all
  public:
    void start(std::function<void()> work) {
        forget_those_that_are_done();
        Task &task = tasks_.emplace_back();
        task.thread = std::jthread([&task, work = std::move(work)] {
            work();
            task.done = true;
        });
    }
    bool all_done() {
        forget_those_that_are_done();
        return tasks_.empty();
    }

  private:
    struct Task {
        std::jthread thread;
        std::atomic<bool> done = false;
    };
    void forget_those_that_are_done() {
        std::erase_if(tasks_, [](const Task &task) { return task.done.load(); });
    }

    std::list<Task> tasks_;
};

}  // namespace engram::server
