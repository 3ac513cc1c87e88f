// How long a Retention (engram/chat.h) keeps KV after its last use.
#pragma once

#include <cstdint>

#include "engram/chat.h"

namespace engram {

// Until when KV that was used last at `last_used_ms` is to be evicted only after all that nothing was promised for. 0: nothing
// was promised, or (forever) it is never evicted.
std::int64_t kept_until_ms(Retention retention, std::int64_t last_used_ms);

}  // namespace engram
