// What happens in a run, on its way into the store and to whoever listens. Thread-safe.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "ports/clock.h"
#include "workflow/executor.h"
#include "workflow/run_store.h"

namespace engram::workflow {

class Journal {
  public:
    Journal(RunStore &store, RunKey key, EventSink sink, Clock &clock)
        : store_(store), key_(std::move(key)), sink_(std::move(sink)), clock_(clock) {}

    std::int64_t now_ms() const { return clock_.wall_ms(); }
    const RunKey &key() const { return key_; }

    Result<void> put(const StepRow &step) { return store_.put(key_, std::span(&step, 1), {}); }
    // With the event that tells of it.
    Result<void> put(const StepRow &step, EventKind kind) {
        const std::scoped_lock lock(mutex_);
        Event event{.kind = kind,
                    .node = step.node,
                    .item = step.item,
                    .agent = step.agent,
                    .attempt = step.attempts,
                    .error = step.error,
                    .at_ms = now_ms()};
        ENGRAM_TRY(store_.put(key_, std::span(&step, 1), std::span(&event, 1)));
        if (sink_) sink_(event);
        return {};
    }
    Result<void> put(const RunRow &run) {
        const std::scoped_lock lock(mutex_);
        Event event{.text = std::string(run_state_name(run.state)), .error = run.error, .at_ms = now_ms()};
        ENGRAM_TRY(store_.put_state(run, event));
        if (sink_) sink_(event);
        return {};
    }
    void text(const StepRow &step, const std::string &piece) {
        const std::scoped_lock lock(mutex_);
        if (!sink_) return;
        sink_({.kind = EventKind::text,
               .node = step.node,
               .item = step.item,
               .agent = step.agent,
               .text = piece,
               .at_ms = now_ms()});
    }

  private:
    RunStore &store_;
    const RunKey key_;
    const EventSink sink_;
    Clock &clock_;
    std::mutex mutex_;  // the order of events is the store's
};

}  // namespace engram::workflow
