// Who is meant by a query, and what a change makes of an agent's row. Pure.
#pragma once

#include "engram/agents.h"
#include "registry/registry.h"

namespace engram {

bool matches(const AgentInfo &info, const AgentQuery &query);

// invalid_argument: tools that are none.
Result<Registry::Description> description_of(const AgentRow &row, const AgentChange &change);

}  // namespace engram
