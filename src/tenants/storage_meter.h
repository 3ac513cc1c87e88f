// Byte-hours: what lay on disk at one look, times the time until the next, goes into the ledger.
//
// Between two looks of one meter no time is lost or counted twice; parts of a second wait for the next look. Time in which no
// meter looks isn't counted, so that a restart counts nothing again. A look's time counts on the day (UTC) that it ends on.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ports/clock.h"
#include "tenants/tenants.h"

namespace engram {

class StorageMeter {
  public:
    // Both must outlive it.
    StorageMeter(Tenants &tenants, Clock &clock) : tenants_(tenants), clock_(clock) {}

    struct Held {
        std::string tenant;
        std::string agent;  // empty: of no agent in particular
        std::uint64_t bytes = 0;
    };
    // What is there now.
    void look(std::vector<Held> held);

  private:
    Tenants &tenants_;
    Clock &clock_;
    std::optional<std::int64_t> counted_until_us_;  // steady; nothing before the first look
    std::vector<Held> held_;                        // since then
};

}  // namespace engram
