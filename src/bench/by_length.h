// What benchmarks over lengths of the context begin with.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/kv_bytes.h"
#include "bench/side.h"

namespace engram::bench {

struct ByLength {
    std::vector<std::uint32_t> lengths;
    KvBytes kv;                  // of the model
    std::unique_ptr<Pair> pair;  // with room for the longest, and nothing that comes back from disk before it is asked for
};

// `variant`: "MODEL KVTYPE". `quick`: the lengths of a quick run.
Result<ByLength> start_by_length(const Lab &lab, const std::string &variant, const std::vector<std::uint32_t> &quick,
                                 Record &record);

}  // namespace engram::bench
