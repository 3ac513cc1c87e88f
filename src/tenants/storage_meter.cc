#include "tenants/storage_meter.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace engram {

void StorageMeter::look(std::vector<Held> held) {
    constexpr std::int64_t kSecond = 1'000'000;
    const std::int64_t now_us = clock_.steady_us();
    const std::int64_t seconds = (now_us - counted_until_us_.value_or(now_us)) / kSecond;
    if (seconds > 0) {
        const auto counted =
            static_cast<std::uint32_t>(std::min<std::int64_t>(seconds, std::numeric_limits<std::int32_t>::max()));
        for (const Held &one : held_) {
            if (!one.tenant.empty()) tenants_.record_stored(one.tenant, one.agent, one.bytes, counted);
        }
    }
    counted_until_us_ = counted_until_us_.value_or(now_us) + seconds * kSecond;
    held_ = std::move(held);
}

}  // namespace engram
