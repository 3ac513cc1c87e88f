// Images on their way to disk: first in, first out, bounded by bytes. Thread-safe; one consumer.
//
// A job stays findable (and counted) from push() until done(): there is no moment at which a part is neither here nor on disk.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <unordered_map>

#include "store/block_store.h"

namespace engram {

class WriteQueue {
  public:
    explicit WriteQueue(std::uint64_t budget_bytes) : budget_bytes_(budget_bytes) {}

    // Blocks while the queue holds something and this image would put it over its budget. False when the same part is queued
    // already.
    bool push(PutRequest request);

    // The next job, which stays in the queue until done(); waits for one. nullopt when `stop` was triggered and the queue is
    // empty.
    std::optional<PutRequest> next(std::stop_token stop);
    void done();

    // Was the job that next() gave out cancelled since? Its part must then not be written.
    bool cancelled() const;
    // Takes a part out again: at once, or, when it is being written, by making cancelled() true.
    void cancel(const PartKey &key);

    bool contains(const PartKey &key) const;
    std::optional<PartImage> find(const PartKey &key) const;
    void wait_until_written() const;  // everything pushed before the call is done or cancelled

    std::uint64_t bytes() const;
    std::uint64_t parts() const;

  private:
    struct Job {
        PartKey key;
        PutRequest request;
        std::uint64_t ticket = 0;
    };

    const std::uint64_t budget_bytes_;
    mutable std::mutex mutex_;
    mutable std::condition_variable_any changed_;  // a job came or went
    std::deque<Job> jobs_;  // guarded by mutex_, as all below; the front one may be in the consumer's hands
    std::unordered_map<PartKey, PartImage> images_;
    std::uint64_t bytes_ = 0;
    std::uint64_t last_ticket_ = 0;
    bool in_flight_ = false;
    bool in_flight_cancelled_ = false;
};

}  // namespace engram
