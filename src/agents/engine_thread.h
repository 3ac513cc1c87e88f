// The engine thread: the only one that touches the context. Others post work to it.
//
// It keeps the residents (agents whose KV is in the context), admits turns in a fair order (scheduler/admission.h) when there is
// room for them, lets the scheduler compute, and puts restored images in between. Room is kept for answers of usual length; where
// longer ones fill the context, the turn that came last steps aside, into the store, and is admitted again when there is room.
//
// What is computed once is not computed again beside it: a turn whose prompt begins like one that is just being read waits until
// that prompt has been read so far, and then takes the same cells (or, where a memory class can't be cut, what was stored of
// them). An idle resident leaves the context when another agent is admitted: in a unified context every step looks at everybody's
// cells, so an idle agent would slow the running ones (docs/adr/0001-unified-kv-streams.md). What it leaves behind has been saved
// when its turn ended, so leaving costs nothing, and a lone agent is always placed at the first cells.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "agents/kv_saver.h"
#include "agents/restorer.h"
#include "agents/turn.h"
#include "scheduler/admission.h"
#include "scheduler/scheduler.h"

namespace engram {

class EngineThread {
  public:
    // `store` may be null: nothing is restored or saved. Nothing is owned; all must outlive the thread.
    EngineThread(const Model &model, Context &context, BlockStore *store, KvSettings settings);
    ~EngineThread();  // running turns are finished first

    // Any thread.
    void submit(TurnPlan plan, std::shared_ptr<TurnChannel> channel, std::size_t index);
    void post(std::function<void()> work);

    // Returns when nothing is being restored, or `stop` is triggered.
    void wait_for_restores(const std::stop_token &stop) {
        if (restorer_) restorer_->wait_until_idle(stop);
    }

    // Runs `work` on the engine thread and waits for its value.
    template <typename Work>
    auto call(Work work) -> decltype(work()) {
        std::promise<decltype(work())> promise;
        auto value = promise.get_future();
        post([&] {
            if constexpr (std::is_void_v<decltype(work())>) {
                work();
                promise.set_value();
            } else {
                promise.set_value(work());
            }
        });
        return value.get();
    }

    // The engine thread only.
    Resident *find(const AgentKey &key);
    void drop(const AgentKey &key);  // its cells; not while it is running
    KvSaver &saver() { return saver_; }
    const std::vector<std::unique_ptr<Resident>> &residents() const { return residents_; }
    std::uint64_t cells_used() const;
    std::uint64_t batches() const { return scheduler_.batches(); }

  private:
    void run(const std::stop_token &stop);
    void wait_for_admission(const std::shared_ptr<Turn> &turn);
    void admit_waiting();
    bool admit(const std::shared_ptr<Turn> &turn);
    bool is_read_elsewhere(const Turn &turn) const;
    std::size_t shareable(const TurnPlan &plan, const TurnPlan &other) const;
    struct Source {
        const Resident *resident = nullptr;
        std::size_t tokens = 0;
    };
    bool shares_cells() const { return context_.memory_class() == MemoryClass::attention; }  // a sequence can be cut anywhere
    Source best_source(const Turn &turn, const Resident *own) const;
    Resident *take_over(const Turn &turn, const Source &source);
    void share_cells(const Turn &turn, const Source &source, Resident &resident);
    void settle_sharing();
    Resident &resident_for(const Turn &turn);
    bool reuse_hot(Turn &turn, Resident &resident);
    void restore(const std::shared_ptr<Turn> &turn);
    void start(const std::shared_ptr<Turn> &turn);
    void put_restored(const std::shared_ptr<Turn> &turn, const PartImage &image);
    void restore_done(const std::shared_ptr<Turn> &turn, const RestoreOutcome &outcome);
    void leave_context(Resident &resident);
    bool make_room();

    struct Reservation {
        std::shared_ptr<Turn> turn;
        const Resident *resident = nullptr;
        std::uint64_t cells = 0;
    };
    void drop_ended_reservations();
    std::uint64_t reserved_cells();

    static constexpr std::size_t kLeastShared = 16;  // tokens for which another's cells are worth a look

    const Model &model_;
    Context &context_;
    BlockStore *store_;
    const KvSettings settings_;
    Scheduler scheduler_;
    KvSaver saver_;
    std::vector<std::unique_ptr<Resident>> residents_;
    std::vector<SequenceId> free_sequences_;
    AdmissionQueue<std::shared_ptr<Turn>> waiting_;
    std::vector<Reservation> reservations_;
    std::size_t restoring_ = 0;
    bool put_failed_ = false;  // of the restore under way

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<std::function<void()>> work_;  // guarded by mutex_
    std::unique_ptr<Restorer> restorer_;      // before thread_: stops after it
    std::jthread thread_;
};

}  // namespace engram
