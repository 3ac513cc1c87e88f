#include "agents/stored_parts.h"

namespace engram {

KvKinds kinds_of(const Context &context) {
    return {.attention = context.has_attention(),
            .state = context.has_state(),
            .window = context.has_window() ? context.window() : 0};
}

std::optional<PartPresence::Rows> StorePresence::rows(const BlockId &id, PartKind kind) {
    const PartKey key{.id = id, .kind = kind};
    if (!store_.find(key)) return std::nullopt;
    if (kind == PartKind::attention) return Rows{};  // always all rows of its segment: no need to open the file
    const auto rows = store_.part_rows(key);
    if (!rows) {
        if (rows.error().code == ErrorCode::corrupt) {
            ++corrupt_parts_;
            if (problem_.empty()) problem_ = rows.error().message;
        }
        return std::nullopt;
    }
    return Rows{.first = rows->first_position, .rows = rows->rows};
}

SegmentIdentity identity_of(const KvPlan &plan, const RestoreStep &step, std::span<const Token> tokens,
                            std::span<const Token> stored_tokens, const Fingerprint &fingerprint) {
    const PlannedSegment &segment = plan.segments[step.segment];
    const auto first = static_cast<std::size_t>(segment.first);
    // A segment that departs from the prompt is named by the stored tokens (kv_plan.h).
    const bool from_prompt = first + segment.tokens <= tokens.size() &&
                             chain_next(segment.parent, tokens.subspan(first, segment.tokens)) == segment.id;
    const std::span<const Token> named = (from_prompt ? tokens : stored_tokens).subspan(first, segment.tokens);
    return {.id = segment.id,
            .parent = segment.parent,
            .fingerprint = fingerprint,
            .first_position = segment.first,
            .tokens = {named.begin(), named.end()}};
}

}  // namespace engram
