// What the tests of this layer share: a clock that stands still, and a folder for each test.
#pragma once

#include <string>

#include "ports/clock.h"
#include "sqlite/testing/database_fixture.h"

namespace engram {

struct StillClock final : Clock {
    std::int64_t wall_ms() const override { return wall; }
    std::int64_t steady_us() const override { return steady; }
    std::int64_t wall = 1'769'860'800'000;  // 2026-01-31T12:00:00Z
    std::int64_t steady = 0;
};

class TenantsFileTest : public DatabaseFileTest {
  protected:
    TenantsFileTest() : DatabaseFileTest("tenants.db") {}
    StillClock clock_;
};

}  // namespace engram
