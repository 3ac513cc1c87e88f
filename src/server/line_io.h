// Lines on file descriptors: what a protocol over standard input and output is made of. Internal to the server.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "engram/error.h"

namespace engram::server {

// Of one thread.
class LineReader {
  public:
    LineReader(int fd, std::size_t max_bytes) : fd_(fd), max_bytes_(max_bytes) {}

    struct Line {
        std::string text;
        bool too_long = false;  // its text isn't whole
    };
    // The next line; a last one needs no end. nullopt: the input has ended, or `stop`. io.
    Result<std::optional<Line>> next(const std::stop_token &stop);

  private:
    Result<bool> read(const std::stop_token &stop);

    const int fd_;
    const std::size_t max_bytes_;
    std::string bytes_;
    std::size_t seen_ = 0;  // of them, without a line's end
    bool too_long_ = false;
};

// Thread-safe: lines are never mixed.
class LineWriter {
  public:
    explicit LineWriter(int fd) : fd_(fd) {}

    void write(std::string_view line);  // without its end. What nobody reads is dropped
    bool reader_has_gone() const;

  private:
    const int fd_;
    std::mutex mutex_;  // held while a line is written
};

}  // namespace engram::server
