// Settings into the options of the library.
#pragma once

#include "config/settings.h"
#include "engram/agents.h"

namespace engram {

// invalid_argument (an adapter's scale, a block size, a tenant's name), with the setting's source in front.
Result<ManagerOptions> manager_options(const Settings &settings);

struct TurnSettings {
    std::uint32_t max_tokens = 512;
    Sampling sampling;
};
// invalid_argument (a bias that doesn't parse, both grammar and grammar-file), not_found and io (the grammar file).
Result<TurnSettings> turn_settings(const Settings &settings);

}  // namespace engram
