#include "agents/kv_plan.h"

#include <algorithm>
#include <format>

namespace engram {

std::size_t common_prefix(std::span<const Token> a, std::span<const Token> b) {
    const std::size_t limit = std::min(a.size(), b.size());
    std::size_t n = 0;
    while (n < limit && a[n] == b[n]) ++n;
    return n;
}

namespace {

class Planner {
  public:
    // From position `depart_at` (a boundary) on, the stored tokens name the segment, not the prompt.
    Planner(const PlanRequest &request, PartPresence &presence, std::size_t depart_at)
        : request_(request), presence_(presence), depart_at_(depart_at) {}

    KvPlan run() {
        const auto usable = static_cast<Position>(request_.tokens.empty() ? 0 : request_.tokens.size() - 1);
        shared_ = static_cast<Position>(common_prefix(request_.tokens, request_.stored_tokens));
        lay_out_segments(usable);
        const Position reachable = walk_attention();
        for (const Position candidate : candidates(std::min(reachable, usable))) {
            if (try_candidate(candidate)) return std::move(plan_);
        }
        plan_.steps.clear();
        plan_.resume_at = plan_.restored_to = 0;
        return std::move(plan_);
    }

  private:
    // Whole segments of the prompt and, where the stored tail belongs to it (at least in part), the tail.
    void lay_out_segments(Position usable) {
        const SegmentGrid &grid = request_.grid;
        const std::span<const Token> tokens = request_.tokens;
        BlockId parent = request_.root;
        const auto add = [&](std::span<const Token> run, Position first) {
            const BlockId id = chain_next(parent, run);
            plan_.segments.push_back(
                {.id = id, .parent = parent, .first = first, .tokens = static_cast<std::uint32_t>(run.size())});
            parent = id;
        };
        std::size_t first = 0;
        // A whole segment may reach beyond `usable` by the one token that has to be computed again.
        for (std::size_t end = grid.boundary_after(0); end <= tokens.size(); end = grid.boundary_after(first)) {
            if (first >= static_cast<std::size_t>(usable) || first >= depart_at_) break;
            add(tokens.subspan(first, end - first), static_cast<Position>(first));
            first = end;
        }
        // The stored tail (or, where the prompt departs inside a stored segment, that one), named by the stored tokens.
        const std::size_t stored = request_.stored_tokens.size();
        if (static_cast<std::size_t>(shared_) > first && stored > first) {
            const std::size_t end = std::min(grid.boundary_after(first), stored);
            add(request_.stored_tokens.subspan(first, end - first), static_cast<Position>(first));
            tail_ = plan_.segments.size() - 1;
        }
    }

    Position end_of(std::size_t segment) const {
        return plan_.segments[segment].first + static_cast<Position>(plan_.segments[segment].tokens);
    }

    // How far the sequence agrees with segment i's tokens.
    Position agreed_end(std::size_t segment) const {
        return segment == tail_ ? std::min(end_of(segment), shared_) : end_of(segment);
    }

    // The position up to which attention rows are stored without a gap. Without attention layers every segment counts.
    Position walk_attention() {
        Position reach = 0;
        for (std::size_t i = 0; i < plan_.segments.size(); ++i) {
            if (request_.kinds.attention && !presence_.rows(plan_.segments[i].id, PartKind::attention)) {
                plan_.limit = std::format("missing attention at {}", plan_.segments[i].first);
                break;
            }
            reach = agreed_end(i);
        }
        return reach;
    }

    // From the longest down: the reach itself, then ends of segments.
    std::vector<Position> candidates(Position reach) const {
        std::vector<Position> list;
        if (cuts_anywhere() && reach > 0) list.push_back(reach);
        for (std::size_t i = plan_.segments.size(); i-- > 0;) {
            if (end_of(i) <= reach && (list.empty() || end_of(i) < list.back())) list.push_back(end_of(i));
        }
        return list;
    }

    bool cuts_anywhere() const { return !request_.kinds.state; }

    bool try_candidate(Position at) {
        plan_.steps.clear();
        plan_.resume_at = at;
        plan_.restored_to = at;
        std::vector<RestoreStep> windows;
        for (std::size_t i = 0; i < plan_.segments.size() && plan_.segments[i].first < at; ++i) {
            const PlannedSegment &segment = plan_.segments[i];
            if (request_.kinds.attention) {
                plan_.steps.push_back(
                    {.segment = i, .kind = PartKind::attention, .first = segment.first, .rows = segment.tokens});
                plan_.restored_to = std::max(plan_.restored_to, end_of(i));
            }
        }
        return (request_.kinds.window == 0 || add_windows(at)) && (!request_.kinds.state || add_state(at));
    }

    // Rows [at - window, at) of the window layers must all be stored.
    bool add_windows(Position at) {
        const Position from = std::max<Position>(0, at - static_cast<Position>(request_.kinds.window));
        for (std::size_t i = 0; i < plan_.segments.size() && plan_.segments[i].first < at; ++i) {
            if (end_of(i) <= from) continue;
            const auto rows = presence_.rows(plan_.segments[i].id, PartKind::window);
            const Position needed = std::max(from, plan_.segments[i].first);
            if (!rows || rows->first > needed || rows->first + static_cast<Position>(rows->rows) < end_of(i)) {
                if (plan_.limit.empty()) plan_.limit = std::format("missing window at {}", needed);
                return false;
            }
            plan_.steps.push_back({.segment = i, .kind = PartKind::window, .first = rows->first, .rows = rows->rows});
        }
        return true;
    }

    bool add_state(Position at) {
        for (std::size_t i = 0; i < plan_.segments.size(); ++i) {
            if (end_of(i) != at) continue;
            const auto rows = presence_.rows(plan_.segments[i].id, PartKind::state);
            if (!rows) break;
            plan_.steps.push_back({.segment = i, .kind = PartKind::state, .first = at, .rows = rows->rows});
            return true;
        }
        if (plan_.limit.empty()) plan_.limit = std::format("no state at {}", at);
        return false;
    }

    const PlanRequest &request_;
    PartPresence &presence_;
    const std::size_t depart_at_;
    KvPlan plan_;
    Position shared_ = 0;
    std::size_t tail_ = SIZE_MAX;
};

}  // namespace

// Where the stored tokens end or depart inside a segment that the prompt fills, there are two ways on from its beginning:
// the prompt's own segment (another agent, or a cancelled turn, may have stored it) and the stored segment. Which one leads
// further depends on the states and windows along it, so both are tried.
KvPlan plan_restore(const PlanRequest &request, PartPresence &presence) {
    KvPlan by_prompt = Planner(request, presence, SIZE_MAX).run();
    const std::size_t shared = common_prefix(request.tokens, request.stored_tokens);
    if (request.grid.is_boundary(shared)) return by_prompt;
    KvPlan by_stored = Planner(request, presence, request.grid.boundary_before(shared)).run();
    return by_stored.resume_at >= by_prompt.resume_at ? by_stored : by_prompt;
}

}  // namespace engram
