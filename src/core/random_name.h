// Names that nobody else has: a prefix and 24 hexadecimal digits from the operating system's random numbers. Thread-safe.
#pragma once

#include <cstdint>
#include <format>
#include <random>
#include <string>
#include <string_view>

namespace engram {

inline std::string random_name(std::string_view prefix) {
    std::random_device device;
    std::string name(prefix);
    for (int i = 0; i < 3; ++i) name += std::format("{:08x}", static_cast<std::uint32_t>(device()));
    return name;
}

}  // namespace engram
