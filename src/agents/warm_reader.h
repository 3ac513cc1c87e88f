// Reads an agent's stored KV from disk into the store's memory tier, part by part, for a turn that may come.
//
// It reads what a restore of the agent's last state would (kv_plan.h), verified like any read. What is damaged goes to quarantine
// and ends the reading; what is in memory by then stays there.
//
// Threads: any, but never the engine's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/segment_grid.h"
#include "engine/context.h"
#include "store/block_store.h"

namespace engram {

struct WarmRequest {
    std::string tenant;
    SegmentGrid grid;
    std::vector<Token> tokens;         // the agent's committed ones
    std::vector<Token> stored_tokens;  // those of them whose KV the manifest names
    std::vector<std::string> kept;     // claimants whose images make no room for it; the agent itself is one of them
};

struct WarmOutcome {
    enum class End : std::uint8_t {
        complete,    // all of it is in memory now
        no_room,     // nothing, or not all, found room
        broken_off,  // `go_on` said no
        gone,        // a part is no longer stored; what there was in front of it was brought in
        unusable,    // a part is damaged
    };
    End end = End::complete;
    std::vector<PartKey> parts;  // that were brought in
    std::uint64_t bytes = 0;     // of them
    std::string problem;         // of an end that isn't complete
};

// `go_on` is called before each part is read, and may wait.
WarmOutcome read_to_memory(Context &context, BlockStore &store, const WarmRequest &request, const std::function<bool()> &go_on);

}  // namespace engram
