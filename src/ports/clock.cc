#include "ports/clock.h"

#include <chrono>

namespace engram {

namespace {

class SystemClock final : public Clock {
  public:
    std::int64_t wall_ms() const override {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    }

    std::int64_t steady_us() const override {
        const auto now = std::chrono::steady_clock::now().time_since_epoch();
        return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    }
};

}  // namespace

Clock &system_clock() {
    static SystemClock clock;
    return clock;
}

}  // namespace engram
