#include "agents/warm_reader.h"

#include <format>

#include "agents/stored_parts.h"

namespace engram {
namespace {

PartKey key_of(const KvPlan &plan, const RestoreStep &step) { return {.id = plan.segments[step.segment].id, .kind = step.kind}; }

// As far as the rows tell: what surrounds them in an image is little.
std::uint64_t bytes_of(const RestoreStep &step, const Context &context) {
    return step.kind == PartKind::state ? step.rows : step.rows * context.row_bytes(step.kind);
}

}  // namespace

WarmOutcome read_to_memory(Context &context, BlockStore &store, const WarmRequest &request, const std::function<bool()> &go_on) {
    WarmOutcome outcome;
    const auto ended = [&](WarmOutcome::End end, std::string problem) {
        outcome.end = end;
        outcome.problem = std::move(problem);
        return outcome;
    };
    std::vector<Token> tokens = request.tokens;
    tokens.push_back(0);  // a plan never reuses its last token
    StorePresence presence(store);
    const KvPlan plan = plan_restore({.root = chain_root(request.tenant, context.fingerprint(), request.grid.block_tokens),
                                      .grid = request.grid,
                                      .kinds = kinds_of(context),
                                      .tokens = tokens,
                                      .stored_tokens = request.stored_tokens},
                                     presence);
    std::vector<RestoreStep> missing;
    std::uint64_t needed = 0;
    for (const RestoreStep &step : plan.steps) {
        if (store.find(key_of(plan, step)) != Tier::disk) continue;
        missing.push_back(step);
        needed += bytes_of(step, context);
    }
    const MemoryGuess guess{.tenant = request.tenant, .kept = request.kept};
    const std::uint64_t room = missing.empty() ? 0 : store.room_for_guess(guess);
    if (needed > room) {
        return ended(WarmOutcome::End::no_room,
                     std::format("{} bytes are needed in host memory, and {} can be had", needed, room));
    }
    for (const RestoreStep &step : missing) {
        if (!go_on()) return ended(WarmOutcome::End::broken_off, "somebody else came first");
        auto image = context.compose(step.kind, step.first, step.rows);
        if (!image) return ended(WarmOutcome::End::unusable, image.error().message);
        const SegmentIdentity segment = identity_of(plan, step, tokens, request.stored_tokens, context.fingerprint());
        const auto read = store.read(segment, step.kind, step.first, step.rows, *image, 0);
        if (!read) {  // evicted since the plan was made, or damaged
            const bool gone = read.error().code == ErrorCode::not_found;
            return ended(gone ? WarmOutcome::End::gone : WarmOutcome::End::unusable, read.error().message);
        }
        const PartKey key = key_of(plan, step);
        if (!store.keep_guess_in_memory(key, *image, guess)) {
            return ended(WarmOutcome::End::no_room, "what had room for it was needed meanwhile");
        }
        outcome.parts.push_back(key);
        outcome.bytes += image->layout->image_bytes;
    }
    if (static_cast<std::size_t>(plan.resume_at) < request.stored_tokens.size()) {
        if (presence.corrupt_parts() > 0) return ended(WarmOutcome::End::unusable, presence.problem());
        return ended(WarmOutcome::End::gone, plan.limit);
    }
    return outcome;
}

}  // namespace engram
