// Turns many runs into batches: each step decodes one token of every run that is answering, together with a chunk of one run
// that is still prefilling, so that a long prefill never stops the others, and where that leaves room, of further ones: short
// prompts are read together. With answers under way all of it is so small that the step takes at most (1 + prefill_share) times
// as long as without it, by what steps have cost so far (step_costs.h).
//
// A Run is one sequence being computed. The scheduler knows nothing of agents, storage or text: it computes tokens, tells the run
// how far its KV reaches, and asks it for the next token when there are logits.
//
// Threads: the engine thread only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/context.h"
#include "scheduler/step_costs.h"

namespace engram {

class Run {
  public:
    virtual ~Run() = default;

    // The sequence, the position of the first token still to be computed, and those tokens. Read before each step.
    virtual SequenceId sequence() const = 0;
    virtual Position next_position() const = 0;
    virtual std::span<const Token> pending() const = 0;  // never empty while the run is in the scheduler
    // A chunk that starts at next_position() must not go beyond this position (checkpoints are taken there).
    virtual Position chunk_end() const = 0;

    // Called at the start of each step; true takes the run out of the scheduler (it has already finished itself).
    virtual bool stopped() = 0;
    // `count` of the pending tokens have been computed.
    virtual void computed(std::size_t count) = 0;
    // All pending tokens are computed and their logits are output `index` of the context's last batch. The run appends the next
    // token to pending() and returns true, or finishes itself and returns false.
    virtual bool choose(Context &context, std::size_t index) = 0;
    // The engine failed; the run's sequence has been cleared. The run is out of the scheduler.
    virtual void failed(const Error &error) = 0;
};

class Scheduler {
  public:
    Scheduler(Context &context, double prefill_share) : context_(context), prefill_share_(prefill_share) {}

    void add(std::shared_ptr<Run> run) { runs_.push_back(std::move(run)); }
    bool has(const Run &run) const { return std::ranges::contains(runs_, &run, &std::shared_ptr<Run>::get); }
    bool empty() const { return runs_.empty(); }
    std::size_t size() const { return runs_.size(); }
    const StepCosts &costs() const { return costs_; }
    std::uint64_t batches() const { return batches_; }  // computed so far

    // One batch. Runs that finished, stopped or failed are no longer in the scheduler afterwards. `make_room` is asked when the
    // context has no free cells for it: true means that some are free now, and the batch is made again at the next step.
    void step(const std::function<bool()> &make_room);
    void remove(const Run &run);

  private:
    struct Share {
        std::size_t run = 0;    // index in runs_
        std::size_t count = 0;  // tokens of it in the batch
        bool prefill = false;   // it has more than one token to compute
    };
    void build_batch();
    void measure(double ms);
    void append(std::size_t run, std::size_t count);
    void fail_batch(const Error &error);

    Context &context_;
    const double prefill_share_;
    StepCosts costs_;
    std::uint64_t batches_ = 0;
    std::vector<std::shared_ptr<Run>> runs_;
    std::size_t next_prefill_ = 0;  // whose chunk comes first, round-robin
    std::vector<BatchToken> batch_;
    std::vector<Share> shares_;
};

}  // namespace engram
