// How many bytes of KV a model needs to go on from a context of so many tokens.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>

#include "bench/benchmark.h"

namespace engram::bench {

struct KvBytes {
    std::uint64_t attention_row = 0, window_row = 0;  // of one position, all layers together
    std::uint32_t window = 0;                         // positions that window layers see

    std::uint64_t of(std::uint64_t tokens) const {
        return attention_row * tokens + window_row * std::min<std::uint64_t>(tokens, window);
    }
};

// Loads the model, in a process of its own.
Result<KvBytes> kv_bytes(const Lab &lab, const std::filesystem::path &model, const std::string &kv_type);

}  // namespace engram::bench
