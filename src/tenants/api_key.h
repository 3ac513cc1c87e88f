// The text of API keys, and what is kept of it.
//
// A key is "engram-" and 43 characters of A-Z a-z 0-9: 32 random bytes from the operating system. It is shown once, to whom it is
// made for. Kept is its SHA-256 alone, without salt and stretching: those protect words that people choose, which can be tried
// out; 2^256 random ones can't, and a slow hash would be paid with every request.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engram/error.h"

namespace engram {

using KeyHash = std::array<std::uint8_t, 32>;

inline constexpr std::string_view kKeyPrefix = "engram-";
inline constexpr std::size_t kKeyBytes = kKeyPrefix.size() + 43;
inline constexpr std::size_t kKeyEndingBytes = 4;  // of its text, by which people recognise a key in a list

Result<std::string> make_key_text();  // io when the system has no random bytes
KeyHash hash_of_key(std::string_view text);

// A key's public name, which is no secret: eight characters of 0-9 a-z. io.
Result<std::string> make_key_id();

}  // namespace engram
