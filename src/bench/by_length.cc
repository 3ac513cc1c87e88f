#include "bench/by_length.h"

#include <algorithm>
#include <filesystem>

#include "bench/record.h"

namespace engram::bench {

Result<ByLength> start_by_length(const Lab &lab, const std::string &variant, const std::vector<std::uint32_t> &quick,
                                 Record &record) {
    const std::size_t space = variant.find(' ');
    ENGRAM_ASSIGN(const std::filesystem::path model, lab.model(variant.substr(0, space), record));
    ByLength set;
    set.lengths = lab.lengths(lab.by_size<std::vector<std::uint32_t>>({67, 300}, quick, {67, 2000, 20000, 32000}));
    SideOptions options = lab.side(model);
    options.kv_type = variant.substr(space + 1);
    options.more = {"--preload", "off"};
    options.context_tokens = (std::ranges::max(set.lengths) + 4096) / 1024 * 1024;
    ENGRAM_ASSIGN(set.kv, kv_bytes(lab, model, options.kv_type));
    ENGRAM_ASSIGN(set.pair, Pair::start(lab, options, record));
    return set;
}

}  // namespace engram::bench
