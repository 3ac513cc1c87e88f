#include "scheduler/scheduler.h"

#include <algorithm>
#include <chrono>

namespace engram {

void Scheduler::append(std::size_t run, std::size_t count) {
    const Run &r = *runs_[run];
    const auto tokens = r.pending();
    for (std::size_t i = 0; i < count; ++i) {
        batch_.push_back({.token = tokens[i],
                          .position = r.next_position() + static_cast<Position>(i),
                          .sequence = r.sequence(),
                          .wants_logits = i + 1 == tokens.size()});
    }
    shares_.push_back({.run = run, .count = count, .prefill = tokens.size() > 1});
}

void Scheduler::build_batch() {
    batch_.clear();
    shares_.clear();
    std::size_t room = context_.batch_tokens();
    std::vector<std::size_t> prefilling;
    for (std::size_t i = 0; i < runs_.size(); ++i) {
        if (runs_[i]->pending().size() > 1) {
            prefilling.push_back(i);
        } else if (room > 0) {
            append(i, 1);
            --room;
        }
    }
    if (prefilling.empty() || room == 0) return;
    if (!batch_.empty()) room = costs_.prefill_room(prefill_share_, room);
    std::ranges::rotate(prefilling, prefilling.begin() + static_cast<std::ptrdiff_t>(next_prefill_++ % prefilling.size()));
    for (const std::size_t chosen : prefilling) {
        const Run &run = *runs_[chosen];
        const auto to_boundary = static_cast<std::size_t>(std::max<Position>(1, run.chunk_end() - run.next_position()));
        const std::size_t count = std::min({room, run.pending().size(), to_boundary});
        append(chosen, count);
        room -= count;
        if (room == 0) return;
    }
}

void Scheduler::measure(double ms) {
    std::size_t decoding = 0;
    std::size_t prefill = 0;
    for (const Share &share : shares_) (share.prefill ? prefill : decoding) += share.count;
    costs_.measured(decoding, prefill, ms);
}

void Scheduler::fail_batch(const Error &error) {
    // Whichever sequence was at fault, all cells of this batch are suspect: none may be used again.
    std::vector<std::shared_ptr<Run>> failed;
    for (const Share &share : shares_) failed.push_back(runs_[share.run]);
    std::erase_if(runs_, [&](const auto &run) { return std::ranges::find(failed, run) != failed.end(); });
    for (const auto &run : failed) {
        context_.clear(run->sequence());
        run->failed(error);
    }
}

void Scheduler::remove(const Run &run) {
    std::erase_if(runs_, [&](const auto &other) { return other.get() == &run; });
}

void Scheduler::step(const std::function<bool()> &make_room) {
    std::erase_if(runs_, [](const auto &run) { return run->stopped(); });
    if (runs_.empty()) return;
    build_batch();
    const auto start = std::chrono::steady_clock::now();
    if (auto decoded = context_.decode(batch_); !decoded) {
        if (decoded.error().code != ErrorCode::over_budget || !make_room()) fail_batch(decoded.error());
        return;
    }
    ++batches_;
    measure(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    std::vector<std::shared_ptr<Run>> finished;
    std::size_t output = 0;
    for (const Share &share : shares_) {
        const std::shared_ptr<Run> &run = runs_[share.run];
        output += share.count;
        const bool complete = share.count == run->pending().size();
        run->computed(share.count);
        if (complete && !run->choose(context_, output - 1)) finished.push_back(run);
    }
    std::erase_if(runs_, [&](const auto &run) { return std::ranges::find(finished, run) != finished.end(); });
}

}  // namespace engram
