// Habits as bytes: the blob of the registry's table. Little-endian, no padding:
//
//     u32 version (1) | i64 last_began_ms | f64 followed | f64 intervals | f64 interval_ms | f64 deviation_ms | u32 followers
//     for each follower: u32 length of its name | name | f64 for each step of the histogram (kGapSteps)
//
// The agent's own name isn't in it. Pure functions. The bytes carry no checksum of their own: whoever stores them adds one.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "core/turn_predictor.h"

namespace engram {

std::vector<std::byte> encode_habit(const TurnHabit &habit);

// nullopt: not such bytes, or numbers that no habit has. Memory used is proportional to bytes.size().
std::optional<TurnHabit> decode_habit(std::span<const std::byte> bytes);

}  // namespace engram
