// Takes an agent's KV out of the context as it grows, and hands it to the block store.
//
// Attention rows can be taken at any time while the agent is in the context, so a block is taken when it fills and, when the
// store's queue is full, later. Window rows and recurrent states exist only now: they are taken at checkpoints (boundaries inside
// a long prefill, the end of the system prompt, the end of the turn). What the store already has is not taken again.
//
// Threads: the engine thread only.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "core/segment_grid.h"
#include "engine/context.h"
#include "registry/registry.h"
#include "store/block_store.h"

namespace engram {

// An agent's KV in the context.
struct Resident {
    AgentKey key;
    std::string claimant;  // "tenant/agent"
    SequenceId sequence = 0;
    BlockId root;
    SegmentGrid grid;
    std::vector<Token> kv;           // tokens whose KV the cells hold
    std::vector<BlockId> chain;      // ids of the whole segments of kv
    std::set<Position> checkpoints;  // positions before kv.size() where the agent can be resumed: window rows or state are stored
    Position system_end = 0;         // of the system prompt and the tools: where the seam is, if there is one
    bool running = false;
    // The first `shared_cells` of kv are another running resident's cells too: they need no room of their own. Null: none are.
    const Resident *shared_with = nullptr;
    std::uint64_t shared_cells = 0;

    // The last block boundary inside the system prompt. A checkpoint there is kept, as at the seam.
    Position system_boundary() const {
        const auto block = static_cast<Position>(grid.block_tokens);
        return system_end / block * block;
    }
};

// Brings `chain` up to date with `kv`.
void extend_chain(Resident &resident);

// Where the manifest's parts were cut, and where they will be: its cuts are the places inside a block at which an attention part
// begins, and the end, where a turn ended; or, without attention layers, the place in front of the end at which a state is kept.
SegmentGrid grid_of(const Manifest &manifest);

// Boundaries before the end of the manifest's KV at which its parts let the agent be resumed. `window` is the context's.
std::set<Position> checkpoints_of(const Manifest &manifest, std::uint32_t window);

// The segment of `tokens` with this index: a whole one, or the tail.
SegmentIdentity segment_of(const BlockId &root, std::span<const BlockId> chain, std::span<const Token> tokens, std::size_t index,
                           const SegmentGrid &grid, const Fingerprint &fingerprint);

class KvSaver {
  public:
    // Neither store nor context is owned. A null store saves nothing.
    KvSaver(Context &context, BlockStore *store) : context_(context), store_(store) {}

    // Whole segments that aren't stored yet, as far as the store's queue has room.
    void save_filled(Resident &resident);
    // Makes the present end of kv a place where the agent can be resumed. It must be a boundary of its grid.
    void checkpoint(Resident &resident);
    // Everything that is needed to resume at the end of kv; the manifest of it.
    Manifest finish(Resident &resident);

    // Puts that found no room in the store's queue, in order. They belong to whoever takes them: a caller that may wait.
    std::vector<PutRequest> take_deferred() { return std::move(deferred_); }
    // The first thing that went wrong since the last call; empty when nothing did.
    std::string take_warning() { return std::exchange(warning_, {}); }

  private:
    void save_attention(Resident &resident, std::size_t index, std::vector<ManifestPart> *parts);
    void save_window(Resident &resident, Position end, std::vector<ManifestPart> *parts);
    void save_state(Resident &resident, std::vector<ManifestPart> *parts);
    void add_checkpoints(const Resident &resident, std::vector<ManifestPart> &parts);
    void save(Resident &resident, std::size_t index, PartKind kind, Position first, std::uint32_t rows,
              std::vector<ManifestPart> *parts);
    void write_again(const Resident &resident, const PartKey &key, const SegmentIdentity &segment);
    SegmentIdentity segment(const Resident &resident, std::size_t index) const;
    void submit(PutRequest request);

    Context &context_;
    BlockStore *store_;
    std::vector<PutRequest> deferred_;
    std::string warning_;
};

}  // namespace engram
