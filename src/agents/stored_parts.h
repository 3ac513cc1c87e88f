// What all who read stored KV have in common: which parts there are, and what identity each must have.
//
// Threads: any; a StorePresence belongs to one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "agents/kv_plan.h"
#include "engine/context.h"
#include "store/block_store.h"

namespace engram {

// The kinds of parts that the context's memory class has.
KvKinds kinds_of(const Context &context);

class StorePresence final : public PartPresence {
  public:
    explicit StorePresence(BlockStore &store) : store_(store) {}
    std::optional<Rows> rows(const BlockId &id, PartKind kind) override;

    std::uint64_t corrupt_parts() const { return corrupt_parts_; }  // that were found while looking
    const std::string &problem() const { return problem_; }         // the first of them; empty: none

  private:
    BlockStore &store_;
    std::uint64_t corrupt_parts_ = 0;
    std::string problem_;
};

// Of the segment that a step of the plan reads from. `tokens` and `stored_tokens` are those that the plan was made for.
SegmentIdentity identity_of(const KvPlan &plan, const RestoreStep &step, std::span<const Token> tokens,
                            std::span<const Token> stored_tokens, const Fingerprint &fingerprint);

}  // namespace engram
