// Which stored parts bring back the longest usable prefix of a token sequence. Pure: presence is asked through a small interface.
//
// Where a sequence can be resumed depends on the memory class: anywhere (attention), where the window's rows are stored (window),
// or where a state was taken (hybrid, recurrent, opaque). Candidates are tried from the longest down.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/ids.h"
#include "core/kv_part.h"
#include "core/segment_grid.h"

namespace engram {

// The part kinds of a memory class, as Context reports them.
struct KvKinds {
    bool attention = true;
    bool state = false;
    std::uint32_t window = 0;  // positions that window layers see; 0: no window part
};

class PartPresence {
  public:
    virtual ~PartPresence() = default;
    struct Rows {
        Position first = 0;
        std::uint32_t rows = 0;
    };
    // Rows that the stored part covers ({first, 0} for state); nullopt when it isn't stored.
    virtual std::optional<Rows> rows(const BlockId &id, PartKind kind) = 0;
};

// One stored part to be put back.
struct RestoreStep {
    std::size_t segment = 0;  // index in KvPlan::segments
    PartKind kind = PartKind::attention;
    Position first = 0;  // of the part's rows
    std::uint32_t rows = 0;
};

struct PlannedSegment {
    BlockId id, parent;
    Position first = 0;
    std::uint32_t tokens = 0;
};

struct KvPlan {
    Position resume_at = 0;    // tokens before this position needn't be computed
    Position restored_to = 0;  // cells reach to here after the steps (>= resume_at; the rest is cut off again)
    std::vector<PlannedSegment> segments;
    std::vector<RestoreStep> steps;  // in the order in which they must be put back
    std::string limit;               // why it isn't longer: "" (nothing missing), "missing attention at 512", …
};

struct PlanRequest {
    BlockId root;
    SegmentGrid grid;  // of the prompt, and of what is stored
    KvKinds kinds;
    std::span<const Token> tokens;         // the whole prompt; at most tokens.size() - 1 of them are reused
    std::span<const Token> stored_tokens;  // the agent's tokens whose KV the manifest names (n_kv of them); may be empty
};

KvPlan plan_restore(const PlanRequest &request, PartPresence &presence);

// Number of leading tokens that two sequences share.
std::size_t common_prefix(std::span<const Token> a, std::span<const Token> b);

}  // namespace engram
