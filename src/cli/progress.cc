#include "cli/progress.h"

#include <algorithm>
#include <cstdio>
#include <format>

#include "cli/humanise.h"

namespace engram::cli {

Progress::Progress(const Output &out, std::string label)
    : visible_(out.terminal_error() && out.log_level() < LogLevel::off), label_(std::move(label)), started_(Clock::now()) {}

Progress::~Progress() { finish(); }

std::string Progress::bar(std::uint64_t done, std::uint64_t total, std::size_t width) {
    const double share = total == 0 ? 0 : static_cast<double>(std::min(done, total)) / static_cast<double>(total);
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
    return std::format("[{}{}] {:3.0f}%", std::string(filled, '#'), std::string(width - filled, '.'), share * 100);
}

void Progress::update(std::uint64_t done, std::uint64_t total) {
    if (!visible_) {
        return;
    }
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (now - started_ < std::chrono::milliseconds(250) || now - drawn_ < std::chrono::milliseconds(100)) {
        return;
    }
    drawn_ = now;
    on_screen_ = true;
    std::fputs(std::format("\r\033[K{} {} {} / {}", label_, bar(done, total, 30), human_count(done), human_count(total)).c_str(),
               stderr);
    std::fflush(stderr);
}

void Progress::finish() {
    const std::lock_guard lock(mutex_);
    if (on_screen_) {
        std::fputs("\r\033[K", stderr);
        std::fflush(stderr);
        on_screen_ = false;
    }
    started_ = Clock::now();
}

}  // namespace engram::cli
