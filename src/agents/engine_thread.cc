#include "agents/engine_thread.h"

#include <algorithm>
#include <format>

namespace engram {

namespace {

std::string claimant_of(const AgentKey &key) { return key.tenant + "/" + key.id; }

}  // namespace

EngineThread::EngineThread(const Model &model, Context &context, BlockStore *store, KvSettings settings)
    : model_(model),
      context_(context),
      store_(context.memory_class() == MemoryClass::none ? nullptr : store),
      settings_(settings),
      scheduler_(context, settings.prefill_share),
      saver_(context, store_) {
    for (std::uint32_t i = context.max_running(); i-- > 0;) free_sequences_.push_back(static_cast<SequenceId>(i));
    if (store_ != nullptr) restorer_ = std::make_unique<Restorer>(context, *store_);
    thread_ = std::jthread([this](const std::stop_token &stop) { run(stop); });
}

EngineThread::~EngineThread() {
    thread_.request_stop();
    changed_.notify_all();
}

void EngineThread::post(std::function<void()> work) {
    {
        const std::scoped_lock lock(mutex_);
        work_.push_back(std::move(work));
    }
    changed_.notify_all();
}

void EngineThread::submit(TurnPlan plan, std::shared_ptr<TurnChannel> channel, std::size_t index) {
    auto turn = std::make_shared<Turn>(std::move(plan), model_, context_, saver_, settings_, std::move(channel), index);
    post([this, turn] { wait_for_admission(turn); });
}

void EngineThread::wait_for_admission(const std::shared_ptr<Turn> &turn) {
    waiting_.add({.item = turn,
                  .tenant = turn->key().tenant,
                  .agent = turn->key().id,
                  .priority = turn->plan().priority,
                  .tokens = turn->to_compute()});
}

void EngineThread::run(const std::stop_token &stop) {
    for (;;) {
        std::deque<std::function<void()>> work;
        {
            std::unique_lock lock(mutex_);
            const bool busy = !scheduler_.empty();
            if (!busy) {
                changed_.wait(lock, stop, [this] { return !work_.empty(); });
                // Turns under way are finished before the thread ends; new ones can't come any more.
                if (work_.empty() && stop.stop_requested() && restoring_ == 0 && waiting_.empty()) return;
            }
            work.swap(work_);
        }
        for (const auto &item : work) item();
        admit_waiting();
        scheduler_.step([this] { return make_room(); });
        if (scheduler_.empty()) admit_waiting();  // what the last one held is free, and nothing else may ever wake this thread
    }
}

Resident *EngineThread::find(const AgentKey &key) {
    const auto found = std::ranges::find_if(residents_, [&](const auto &resident) { return resident->key == key; });
    return found == residents_.end() ? nullptr : found->get();
}

std::uint64_t EngineThread::cells_used() const {
    std::uint64_t sum = 0;
    for (const auto &resident : residents_) sum += resident->kv.size();
    return sum;
}

void EngineThread::leave_context(Resident &resident) {
    context_.clear(resident.sequence);
    free_sequences_.push_back(resident.sequence);
    resident.running = false;
    settle_sharing();
    std::erase_if(residents_, [&](const auto &other) { return other.get() == &resident; });
}

// Cells that were shared with a resident that isn't running any more count as one of the others'.
void EngineThread::settle_sharing() {
    for (const auto &heir : residents_) {
        const Resident *gone = heir->shared_with;
        if (gone == nullptr || gone->running) continue;
        heir->shared_with = nullptr;
        if (!heir->running) continue;
        for (const auto &other : residents_) {
            if (other->shared_with != gone) continue;
            other->shared_with = heir.get();
            other->shared_cells = std::min(other->shared_cells, heir->shared_cells);
        }
    }
}

// Free cells for a step that found none: those of agents that don't run, or of the turn that matters least and came last. The one
// that has been there longest stays, so that something always ends.
bool EngineThread::make_room() {
    std::vector<Resident *> idle;
    for (const auto &resident : residents_) {
        if (!resident->running) idle.push_back(resident.get());
    }
    for (Resident *resident : idle) leave_context(*resident);
    if (!idle.empty()) return true;
    drop_ended_reservations();
    const auto matters_less = [](const Reservation &a, const Reservation &b) {
        return a.turn->plan().priority <= b.turn->plan().priority;  // of equal ones the later
    };
    std::vector<Reservation>::iterator victim = reservations_.end();
    for (auto it = reservations_.begin(); it != reservations_.end(); ++it) {
        if (!scheduler_.has(*it->turn) || it->turn->plan().probe) continue;
        if (victim == reservations_.end() || matters_less(*it, *victim)) victim = it;
    }
    // Whoever is being brought in can step aside when that is done.
    if (victim == reservations_.end() || scheduler_.size() < 2) return restoring_ > 0;
    const std::shared_ptr<Turn> turn = victim->turn;
    Resident &resident = *find(turn->key());
    scheduler_.remove(*turn);
    turn->step_aside();
    reservations_.erase(victim);
    leave_context(resident);
    wait_for_admission(turn);
    return true;
}

void EngineThread::drop(const AgentKey &key) {
    if (Resident *resident = find(key); resident != nullptr && !resident->running) leave_context(*resident);
}

void EngineThread::drop_ended_reservations() {
    std::erase_if(reservations_, [this](const Reservation &reservation) {
        const bool there = std::ranges::any_of(residents_, [&](const auto &r) { return r.get() == reservation.resident; });
        if (there && reservation.resident->running) return false;
        const AgentKey &key = reservation.turn->key();
        waiting_.charge(key.tenant, key.id, reservation.turn->answered());
        return true;
    });
    settle_sharing();
}

// Cells that running turns may still come to need.
std::uint64_t EngineThread::reserved_cells() {
    drop_ended_reservations();
    std::uint64_t sum = 0;
    for (const Reservation &reservation : reservations_) {
        const std::uint64_t cells = std::max<std::uint64_t>(reservation.cells, reservation.resident->kv.size());
        sum += cells - (reservation.resident->shared_with == nullptr ? 0 : reservation.resident->shared_cells);
    }
    return sum;
}

// Whether a prompt that is being read begins like this one, for longer than what this one could reuse otherwise.
bool EngineThread::is_read_elsewhere(const Turn &turn) const {
    if (!shares_cells() && store_ == nullptr) return false;
    const std::size_t known = common_prefix(turn.plan().tokens, turn.plan().stored_tokens);
    return std::ranges::any_of(reservations_, [&](const Reservation &reservation) {
        const TurnPlan &other = reservation.turn->plan();
        if (reservation.resident->kv.size() >= other.tokens.size()) return false;  // read: no need to compare, at each step
        if (!reservation.resident->running || other.key.tenant != turn.key().tenant || other.key == turn.key()) return false;
        const std::size_t shared = shareable(turn.plan(), other);
        return shared > known && reservation.resident->kv.size() < shared;
    });
}

// How much of its prompt a turn can take over from another one that is reading its own: cells to the token, or whole segments out
// of the store.
std::size_t EngineThread::shareable(const TurnPlan &plan, const TurnPlan &other) const {
    const std::size_t common = std::min(common_prefix(other.tokens, plan.tokens), plan.tokens.size() - 1);
    if (shares_cells()) return common < kLeastShared ? 0 : common;
    return plan.grid.common_boundary(other.grid, common);
}

// The resident whose cells hold the longest beginning of the prompt, when that is longer than what the agent has in the context,
// and no shorter than what it has in the store. Of equal ones one that runs: its cells need no room of their own.
EngineThread::Source EngineThread::best_source(const Turn &turn, const Resident *own) const {
    if (!shares_cells()) return {};
    if (turn.plan().load_only && turn.plan().stored_tokens.empty()) return {};  // there is nothing to bring back
    const std::vector<Token> &tokens = turn.plan().tokens;
    const std::size_t most = tokens.size() - 1;
    const std::size_t in_context = own == nullptr ? 0 : std::min(common_prefix(own->kv, tokens), most);
    const std::size_t stored = std::min(common_prefix(turn.plan().stored_tokens, tokens), most);
    Source best;
    for (const auto &resident : residents_) {
        if (resident.get() == own || resident->key.tenant != turn.key().tenant) continue;
        const std::size_t shared = std::min(common_prefix(resident->kv, tokens), most);
        if (shared < kLeastShared || shared <= in_context || shared < stored || shared < best.tokens) continue;
        if (shared == best.tokens && !resident->running) continue;
        best = {.resident = resident.get(), .tokens = shared};
    }
    return best;
}

// Metadata only: the cells get another name. Those behind the shared beginning lose it again.
void EngineThread::share_cells(const Turn &turn, const Source &source, Resident &resident) {
    context_.clear(resident.sequence);
    context_.share(source.resident->sequence, resident.sequence);
    const auto end = static_cast<Position>(source.tokens);
    const bool cut = source.tokens == source.resident->kv.size() || context_.cut(resident.sequence, end);
    if (!cut) context_.clear(resident.sequence);
    const auto &tokens = turn.plan().tokens;
    resident.kv.assign(tokens.begin(), tokens.begin() + (cut ? end : 0));
    resident.chain.clear();
    resident.checkpoints.clear();
    extend_chain(resident);
    resident.shared_with = cut ? source.resident : nullptr;
    resident.shared_cells = resident.kv.size();
}

// An idle resident's sequence becomes the turn's agent's, as far as their tokens agree. Null: it could not be cut there, and has
// left the context.
Resident *EngineThread::take_over(const Turn &turn, const Source &source) {
    Resident &resident = *find(source.resident->key);
    if (source.tokens < resident.kv.size() && !context_.cut(resident.sequence, static_cast<Position>(source.tokens))) {
        leave_context(resident);
        return nullptr;
    }
    resident.key = turn.key();
    resident.claimant = claimant_of(turn.key());
    resident.kv.resize(source.tokens);
    resident.checkpoints.erase(resident.checkpoints.upper_bound(static_cast<Position>(source.tokens)),
                               resident.checkpoints.end());
    extend_chain(resident);
    return &resident;
}

void EngineThread::admit_waiting() {
    while (const auto *gone = waiting_.next([](const auto &turn) { return turn->plan().stop.stop_requested(); })) {
        gone->item->abandon({.code = ErrorCode::cancelled, .message = "cancelled before the turn began"});
        waiting_.remove(*gone);
    }
    // One that doesn't fit yet isn't overtaken: it would wait for ever.
    for (;;) {
        drop_ended_reservations();
        const auto *next = waiting_.next([this](const auto &turn) { return !is_read_elsewhere(*turn); });
        if (next == nullptr || !admit(next->item)) return;
        waiting_.admitted(*next);
    }
}

Resident &EngineThread::resident_for(const Turn &turn) {
    const AgentKey &key = turn.key();
    if (Resident *resident = find(key)) return *resident;
    auto resident = std::make_unique<Resident>();
    resident->key = key;
    resident->claimant = claimant_of(key);
    resident->root = chain_root(key.tenant, context_.fingerprint(), turn.plan().grid.block_tokens);
    resident->sequence = free_sequences_.back();
    free_sequences_.pop_back();
    residents_.push_back(std::move(resident));
    return *residents_.back();
}

// True when the turn was taken in hand (it may have ended already).
bool EngineThread::admit(const std::shared_ptr<Turn> &turn) {
    const std::uint64_t prompt = turn->plan().tokens.size();
    if (prompt + 1 > context_.cells()) {
        turn->abandon({.code = ErrorCode::too_long,
                       .message = std::format("the prompt has {} tokens and the context {}: use a larger context", prompt,
                                              context_.cells()),
                       .asked = prompt,
                       .limit = context_.cells() - 1});
        return true;
    }
    const Resident *own = find(turn->key());
    const Source source = best_source(*turn, own);
    const bool source_stays = source.resident != nullptr && source.resident->running;
    const std::uint64_t needed = turn->cells_needed();
    if (reserved_cells() + needed - (source_stays ? source.tokens : 0) > context_.cells()) return false;
    std::vector<Resident *> idle;
    for (const auto &resident : residents_) {
        if (!resident->running && resident.get() != own && resident.get() != source.resident) idle.push_back(resident.get());
    }
    const bool takes_over = source.resident != nullptr && !source_stays;
    if (own == nullptr && !takes_over && free_sequences_.empty() && idle.empty()) return false;
    for (Resident *resident : idle) leave_context(*resident);
    if (takes_over && own != nullptr) leave_context(*find(turn->key()));  // what it has is less, or is in the store
    Resident *taken = takes_over ? take_over(*turn, source) : nullptr;
    Resident &resident = taken != nullptr ? *taken : resident_for(*turn);
    resident.shared_with = nullptr;
    turn->admitted(resident);
    reservations_.push_back({.turn = turn, .resident = &resident, .cells = needed});
    if (source_stays) share_cells(*turn, source, resident);
    if (reuse_hot(*turn, resident) || restorer_ == nullptr) {
        start(turn);
    } else {
        restore(turn);
    }
    return true;
}

// Goes on from what is in the cells, where the memory class lets it be cut to the shared prefix.
bool EngineThread::reuse_hot(Turn &turn, Resident &resident) {
    if (resident.kv.empty()) return false;
    const std::vector<Token> &tokens = turn.plan().tokens;
    const std::size_t shared = std::min(common_prefix(resident.kv, tokens), tokens.size() - 1);
    if (shared > 0 && (shared == resident.kv.size() || context_.cut(resident.sequence, static_cast<Position>(shared)))) {
        resident.kv.resize(shared);
        resident.checkpoints.erase(resident.checkpoints.upper_bound(static_cast<Position>(shared)), resident.checkpoints.end());
        extend_chain(resident);
        return true;
    }
    context_.clear(resident.sequence);
    resident.kv.clear();
    resident.chain.clear();
    resident.checkpoints.clear();
    return false;
}

void EngineThread::restore(const std::shared_ptr<Turn> &turn) {
    ++restoring_;
    restorer_->submit(
        {.root = turn->resident()->root,
         .grid = turn->plan().grid,
         .tokens = turn->plan().tokens,
         .stored_tokens = turn->plan().stored_tokens,
         .prefill_ms_per_token =
             settings_.weigh_restores && !turn->plan().load_only ? scheduler_.costs().prefill_ms_per_token() : std::nullopt,
         .deliver =
             [this, turn](PartImage image) {
                 post([this, turn, image = std::move(image)] { put_restored(turn, image); });
                 return true;
             },
         .start_over =
             [this, turn] {
                 post([this, turn] {
                     context_.clear(turn->resident()->sequence);
                     put_failed_ = false;
                 });
                 return true;
             },
         .done = [this, turn](const RestoreOutcome &outcome) { post([this, turn, outcome] { restore_done(turn, outcome); }); }});
}

void EngineThread::put_restored(const std::shared_ptr<Turn> &turn, const PartImage &image) {
    if (!put_failed_) put_failed_ = !context_.put(turn->resident()->sequence, image).has_value();
    restorer_->release();
}

void EngineThread::restore_done(const std::shared_ptr<Turn> &turn, const RestoreOutcome &outcome) {
    --restoring_;
    Resident &resident = *turn->resident();
    RestoreOutcome used = outcome;
    const bool cut_failed =
        !put_failed_ && outcome.restored_to > outcome.resume_at && !context_.cut(resident.sequence, outcome.resume_at);
    if (put_failed_ || cut_failed) {
        context_.clear(resident.sequence);
        used.resume_at = 0;
        used.bytes = 0;
        used.limit = put_failed_ ? "the context had no room for the restored cells" : "the restored cells could not be cut";
    }
    put_failed_ = false;
    const auto &tokens = turn->plan().tokens;
    resident.kv.assign(tokens.begin(), tokens.begin() + used.resume_at);
    resident.chain.clear();
    extend_chain(resident);
    // Where it could be resumed before it can be resumed again: its own earlier checkpoints, and the place where it was resumed
    // now.
    for (const Position at : turn->plan().checkpoints) {
        if (at <= used.resume_at) resident.checkpoints.insert(at);
    }
    const bool boundary = used.resume_at > 0 && resident.grid.is_boundary(static_cast<std::size_t>(used.resume_at));
    if (boundary && (context_.has_window() || context_.has_state())) resident.checkpoints.insert(used.resume_at);
    turn->restored(used);
    start(turn);
}

void EngineThread::start(const std::shared_ptr<Turn> &turn) {
    turn->begin();
    if (!turn->plan().load_only) scheduler_.add(turn);
}

}  // namespace engram
