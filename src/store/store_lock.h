// One process for one store: flock(2) on ROOT/lock, with the holder's pid in the file. The kernel drops the lock when the process
// dies; a pid that is still in the file then tells that it didn't end properly.
#pragma once

#include <filesystem>
#include <memory>

#include "engram/error.h"

namespace engram {

class StoreLock {
  public:
    // `locked` when another process (or this one) holds it: the message names the pid and the path. io.
    static Result<std::unique_ptr<StoreLock>> acquire(const std::filesystem::path &path);
    ~StoreLock();  // empties the file and unlocks
    StoreLock(const StoreLock &) = delete;
    StoreLock &operator=(const StoreLock &) = delete;

    // The last holder ended without unlocking.
    bool taken_over() const { return taken_over_; }

  private:
    StoreLock(int fd, bool taken_over) : fd_(fd), taken_over_(taken_over) {}

    int fd_;
    bool taken_over_;
};

}  // namespace engram
