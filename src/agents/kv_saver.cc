#include "agents/kv_saver.h"

#include <algorithm>
#include <map>

namespace engram {

namespace {

// Checkpoints inside the prefill that a manifest keeps besides the end of the turn: they let forks and agents with the same
// beginning resume there. More would cost disk (a recurrent state is as large for ten tokens as for ten thousand).
constexpr std::size_t kKeptCheckpoints = 3;

}  // namespace

void extend_chain(Resident &resident) {
    const std::size_t whole = resident.grid.index_at(resident.kv.size());
    resident.chain.resize(std::min(resident.chain.size(), whole));
    while (resident.chain.size() < whole) {
        const BlockId &parent = resident.chain.empty() ? resident.root : resident.chain.back();
        const std::size_t first = resident.grid.begin(resident.chain.size());
        const std::size_t end = resident.grid.end(resident.chain.size());
        resident.chain.push_back(chain_next(parent, std::span(resident.kv).subspan(first, end - first)));
    }
}

SegmentGrid grid_of(const Manifest &manifest) {
    SegmentGrid grid{.block_tokens = manifest.block_tokens};
    const bool attention =
        std::ranges::any_of(manifest.parts, [](const ManifestPart &part) { return part.kind == PartKind::attention; });
    const PartKind telling = attention ? PartKind::attention : PartKind::state;
    for (const ManifestPart &part : manifest.parts) {
        if (part.kind != telling || part.first_position <= 0) continue;
        const auto at = static_cast<std::size_t>(part.first_position);
        if (at < manifest.n_kv) grid.cut_at(at);
    }
    if (attention) grid.cut_at_end(manifest.n_kv);
    return grid;
}

std::set<Position> checkpoints_of(const Manifest &manifest, std::uint32_t window) {
    const SegmentGrid grid = grid_of(manifest);
    std::set<Position> found;
    std::map<Position, Position> first_by_end;  // of window parts
    const auto inside = [&](Position at) {
        return at > 0 && static_cast<std::uint64_t>(at) < manifest.n_kv && grid.is_boundary(static_cast<std::size_t>(at));
    };
    for (const ManifestPart &part : manifest.parts) {
        if (part.kind == PartKind::state && inside(part.first_position)) found.insert(part.first_position);
        if (part.kind == PartKind::window)
            first_by_end[part.first_position + static_cast<Position>(part.rows)] = part.first_position;
    }
    for (const auto &[end, unused] : first_by_end) {
        if (!inside(end)) continue;
        const Position from = std::max<Position>(0, end - static_cast<Position>(window));
        Position reach = end;
        for (auto part = first_by_end.find(end); part != first_by_end.end() && reach > from; part = first_by_end.find(reach)) {
            reach = part->second;
        }
        if (reach <= from) found.insert(end);
    }
    return found;
}

SegmentIdentity segment_of(const BlockId &root, std::span<const BlockId> chain, std::span<const Token> tokens, std::size_t index,
                           const SegmentGrid &grid, const Fingerprint &fingerprint) {
    const std::size_t first = grid.begin(index);
    const auto run = tokens.subspan(first, std::min(grid.end(index), tokens.size()) - first);
    const BlockId parent = index == 0 ? root : chain[index - 1];
    return {.id = index < chain.size() ? chain[index] : chain_next(parent, run),
            .parent = parent,
            .fingerprint = fingerprint,
            .first_position = static_cast<Position>(first),
            .tokens = {run.begin(), run.end()}};
}

SegmentIdentity KvSaver::segment(const Resident &resident, std::size_t index) const {
    return segment_of(resident.root, resident.chain, resident.kv, index, resident.grid, context_.fingerprint());
}

void KvSaver::submit(PutRequest request) {
    if (!deferred_.empty() || store_->would_block(request.image.layout->image_bytes)) {
        deferred_.push_back(std::move(request));
        return;
    }
    store_->put(std::move(request));
}

// One part of one segment: taken and put unless the store has it; named in `parts` in any case.
void KvSaver::save(Resident &resident, std::size_t index, PartKind kind, Position first, std::uint32_t rows,
                   std::vector<ManifestPart> *parts) {
    SegmentIdentity segment = this->segment(resident, index);
    const PartKey key{.id = segment.id, .kind = kind};
    if (store_->find(key)) {
        bool enough = true;
        if (kind != PartKind::attention) {
            // An earlier turn may have stored fewer of the segment's window rows than are needed now; it can't have stored
            // others.
            const auto stored = store_->part_rows(key);
            enough = stored && (kind == PartKind::state || stored->first_position <= first);
            if (enough) {
                write_again(resident, key, segment);
                first = stored->first_position;
                rows = stored->rows;
            }
        }
        if (enough) {
            if (parts != nullptr) parts->push_back({.kind = kind, .id = segment.id, .first_position = first, .rows = rows});
            return;
        }
        if (auto removed = store_->remove(std::span(&key, 1)); !removed && warning_.empty()) warning_ = removed.error().message;
    }
    auto image = context_.take(resident.sequence, kind, first, rows);
    if (!image) {
        if (warning_.empty()) warning_ = "the agent's KV was not stored: " + image.error().message;
        return;
    }
    if (parts != nullptr) {
        parts->push_back({.kind = kind, .id = segment.id, .first_position = image->first_position, .rows = image->layout->rows});
    }
    submit({.segment = std::move(segment),
            .image = std::move(*image),
            .claimant = resident.claimant,
            .tenant = resident.key.tenant});
}

// A part whose write failed earlier (a full disk) is in memory only: it gets another chance. One that is still queued isn't
// written twice.
void KvSaver::write_again(const Resident &resident, const PartKey &key, const SegmentIdentity &segment) {
    const auto stored = store_->info(key);
    if (!stored || stored->file_bytes > 0) return;
    if (auto image = store_->memory_image(key)) {
        submit({.segment = segment, .image = std::move(*image), .claimant = resident.claimant, .tenant = resident.key.tenant});
    }
}

void KvSaver::save_attention(Resident &resident, std::size_t index, std::vector<ManifestPart> *parts) {
    const std::size_t first = resident.grid.begin(index);
    const std::size_t rows = std::min(resident.grid.end(index), resident.kv.size()) - first;
    save(resident, index, PartKind::attention, static_cast<Position>(first), static_cast<std::uint32_t>(rows), parts);
}

void KvSaver::save_filled(Resident &resident) {
    extend_chain(resident);
    if (store_ == nullptr) return;
    while (!deferred_.empty() && !store_->would_block(deferred_.front().image.layout->image_bytes)) {
        store_->put(std::move(deferred_.front()));
        deferred_.erase(deferred_.begin());
    }
    if (!context_.has_attention() || !deferred_.empty()) return;
    // From the newest back to the first that is stored: earlier ones were saved when they filled, or are found by finish().
    for (std::size_t i = resident.chain.size(); i-- > 0;) {
        if (store_->find({.id = resident.chain[i], .kind = PartKind::attention})) break;
        save_attention(resident, i, nullptr);
    }
}

// Window rows [end - window, end), in the segments that they lie in. `end` is the present end of kv.
void KvSaver::save_window(Resident &resident, Position end, std::vector<ManifestPart> *parts) {
    const Position from = std::max<Position>(0, end - static_cast<Position>(context_.window()));
    const SegmentGrid &grid = resident.grid;
    for (std::size_t i = grid.index_at(static_cast<std::size_t>(from)); grid.begin(i) < static_cast<std::size_t>(end); ++i) {
        const auto segment_first = static_cast<Position>(grid.begin(i));
        const Position segment_end = std::min(end, static_cast<Position>(grid.end(i)));
        // Earlier rows of the segment are never needed again: later turns end later.
        const Position first = std::max(from, segment_first);
        save(resident, i, PartKind::window, first, static_cast<std::uint32_t>(segment_end - first), parts);
    }
}

void KvSaver::save_state(Resident &resident, std::vector<ManifestPart> *parts) {
    if (resident.kv.empty()) return;
    const std::size_t last = resident.grid.index_at(resident.kv.size() - 1);
    save(resident, last, PartKind::state, static_cast<Position>(resident.kv.size()), 0, parts);
}

void KvSaver::checkpoint(Resident &resident) {
    extend_chain(resident);
    if (store_ == nullptr || resident.kv.empty() || (!context_.has_window() && !context_.has_state())) return;
    if (context_.has_window()) save_window(resident, static_cast<Position>(resident.kv.size()), nullptr);
    if (context_.has_state()) save_state(resident, nullptr);
    resident.checkpoints.insert(static_cast<Position>(resident.kv.size()));
}

// Names the parts that make earlier checkpoints usable: the system prompt's end, and the newest.
void KvSaver::add_checkpoints(const Resident &resident, std::vector<ManifestPart> &parts) {
    std::vector<Position> kept(resident.checkpoints.begin(), resident.checkpoints.end());
    std::erase_if(kept, [&](Position at) {
        const auto position = static_cast<std::size_t>(at);
        return position >= resident.kv.size() || !resident.grid.is_boundary(position);
    });
    // Of the places within blocks the system prompt's end, and the newest turn's.
    const auto in_block = [&](Position at) { return at % static_cast<Position>(resident.grid.block_tokens) != 0; };
    const auto newest = std::ranges::find_if(kept.rbegin(), kept.rend(), in_block);
    const Position newest_turn = newest == kept.rend() ? 0 : *newest;
    std::erase_if(kept, [&](Position at) { return in_block(at) && at != newest_turn && at != resident.system_end; });
    const auto of_system = [&](Position at) { return at == resident.system_end || at == resident.system_boundary(); };
    const std::size_t most = kKeptCheckpoints + static_cast<std::size_t>(std::ranges::count_if(kept, in_block));
    while (kept.size() > most) {
        kept.erase(std::ranges::find_if(kept, [&](Position at) { return !of_system(at) && at != newest_turn; }));
    }
    const auto name = [&](std::size_t index, PartKind kind) {
        const BlockId &id = resident.chain[index];
        if (std::ranges::any_of(parts, [&](const ManifestPart &part) { return part.id == id && part.kind == kind; })) return;
        if (const auto rows = store_->part_rows({.id = id, .kind = kind})) {
            parts.push_back({.kind = kind, .id = id, .first_position = rows->first_position, .rows = rows->rows});
        }
    };
    for (const Position at : kept) {
        const std::size_t whole = resident.grid.index_at(static_cast<std::size_t>(at));
        if (context_.has_state()) name(whole - 1, PartKind::state);
        if (!context_.has_window()) continue;
        const Position from = std::max<Position>(0, at - static_cast<Position>(context_.window()));
        for (std::size_t i = resident.grid.index_at(static_cast<std::size_t>(from)); i < whole; ++i) name(i, PartKind::window);
    }
}

Manifest KvSaver::finish(Resident &resident) {
    extend_chain(resident);
    Manifest manifest{.fingerprint = context_.fingerprint(),
                      .block_tokens = resident.grid.block_tokens,
                      .n_kv = resident.kv.size(),
                      .parts = {}};
    if (store_ == nullptr || resident.kv.empty() || context_.memory_class() == MemoryClass::none) {
        manifest.n_kv = 0;
        return manifest;
    }
    if (context_.has_attention()) {
        for (std::size_t i = 0; resident.grid.begin(i) < resident.kv.size(); ++i) save_attention(resident, i, &manifest.parts);
    }
    if (context_.has_window()) save_window(resident, static_cast<Position>(resident.kv.size()), &manifest.parts);
    if (context_.has_state()) save_state(resident, &manifest.parts);
    add_checkpoints(resident, manifest.parts);
    if (context_.has_window() || context_.has_state()) resident.checkpoints.insert(static_cast<Position>(resident.kv.size()));
    return manifest;
}

}  // namespace engram
