// The seed for a test's random numbers. By default it is always the same, so that a failure can be repeated and no run differs
// from another by accident; ENGRAM_TEST_SEED=N takes another one.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>

namespace engram {

// Prints the seed, so that a failure's log has it.
inline std::uint64_t test_seed() {
    const char *given = std::getenv("ENGRAM_TEST_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
    std::cout << "ENGRAM_TEST_SEED=" << seed << std::endl;
    return seed;
}

}  // namespace engram
