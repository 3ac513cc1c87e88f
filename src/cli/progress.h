// A progress bar on standard error, for work that takes long enough to wonder. Nothing appears unless standard error is a
// terminal and the work has taken a quarter of a second; it is drawn at most ten times a second and erased at the end.
// Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include "cli/output.h"

namespace engram::cli {

class Progress {
  public:
    Progress(const Output &out, std::string label);
    ~Progress();
    Progress(const Progress &) = delete;
    Progress &operator=(const Progress &) = delete;

    void update(std::uint64_t done, std::uint64_t total);
    void finish();  // erases the bar; later updates start a new one

    // The bar as text, `width` columns wide.
    static std::string bar(std::uint64_t done, std::uint64_t total, std::size_t width);

  private:
    using Clock = std::chrono::steady_clock;
    const bool visible_;
    const std::string label_;

    std::mutex mutex_;  // guards what follows
    Clock::time_point started_;
    Clock::time_point drawn_;
    bool on_screen_ = false;
};

}  // namespace engram::cli
