// Brings stored KV back: plans, reads and verifies on a thread of its own, so that nothing on the engine thread waits for a disk.
//
// For each job the thread plans the longest usable prefix (kv_plan.h), then reads it into images of several blocks each and hands
// them on in the order of their positions; a bounded number is under way at a time. A part that fails verification has been
// quarantined by the store: the job starts over without it, so that what comes back is always whole.
//
// Threads: submit() from any thread. Deliveries are made on the restorer's thread, in order, for one job at a time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "agents/kv_plan.h"
#include "agents/read_rate.h"
#include "engine/context.h"
#include "store/block_store.h"

namespace engram {

struct RestoreOutcome {
    Position resume_at = 0;
    Position restored_to = 0;
    Tier tier = Tier::memory;  // the slowest that took part
    std::uint64_t bytes = 0;
    std::uint64_t corrupt_parts = 0;
    std::string limit;       // why no more came back: "" when everything asked for did
    bool recompute = false;  // nothing was read, because computing is quicker
};

struct RestoreJob {
    BlockId root;
    SegmentGrid grid;
    std::vector<Token> tokens;                   // the prompt
    std::vector<Token> stored_tokens;            // what the manifest names
    std::optional<double> prefill_ms_per_token;  // measured: what computing instead would cost; nullopt: not known yet
    // Each returns false to give up the job (nothing more is delivered).
    std::function<bool(PartImage)> deliver;  // put this image next; release() the restorer's place for it afterwards
    std::function<bool()> start_over;        // drop what was delivered
    std::function<void(RestoreOutcome)> done;
};

class Restorer {
  public:
    Restorer(Context &context, BlockStore &store);
    ~Restorer();

    void submit(RestoreJob job);
    // An image that was delivered has been put into the context (or dropped).
    void release() { places_.release(); }
    // Returns when no job waits or is under way, or when `stop` is triggered: for whoever reads for nobody in particular.
    void wait_until_idle(const std::stop_token &stop);

  private:
    class Attempt;
    void run(const std::stop_token &stop);
    void restore(const RestoreJob &job);

    static constexpr int kImagesUnderWay = 3;
    Context &context_;
    BlockStore &store_;
    ReadRate rate_;  // of the disk; the restorer's thread only
    std::counting_semaphore<kImagesUnderWay> places_{kImagesUnderWay};
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<RestoreJob> jobs_;  // guarded by mutex_, as the next
    bool restoring_ = false;
    std::jthread thread_;
};

}  // namespace engram
