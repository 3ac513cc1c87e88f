// Time, so that tests can set it.
#pragma once

#include <cstdint>

namespace engram {

class Clock {
  public:
    virtual ~Clock() = default;
    virtual std::int64_t wall_ms() const = 0;    // milliseconds since the Unix epoch; may jump
    virtual std::int64_t steady_us() const = 0;  // microseconds, never goes back
};

// The system's clocks. Thread-safe, lives for the whole process.
Clock &system_clock();

}  // namespace engram
