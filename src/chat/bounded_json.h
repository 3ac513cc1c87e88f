// JSON from a model's answer, a user's file or a server's reply: foreign text, so its size, its depth, its values and the members
// of one object are bounded before anything that recurses, or that looks members up one by one, sees it. Members keep their
// order. Pure.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "engram/error.h"

namespace engram {

using OrderedJson = nlohmann::ordered_json;

inline constexpr std::size_t kMaxJsonDepth = 64;
inline constexpr std::size_t kMaxJsonMembers = 4096;  // of one object

// invalid_argument: "it is not JSON: …" or what is too large, as the end of a sentence that the caller begins with Error::within.
Result<OrderedJson> parse_bounded_json(std::string_view text, std::size_t max_bytes);

}  // namespace engram
