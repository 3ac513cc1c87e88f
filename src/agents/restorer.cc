#include "agents/restorer.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>

#include "agents/stored_parts.h"

namespace engram {

namespace {

// Large enough that the engine's work for each image (finding cells, tagging them) is small beside the copy, small enough to stay
// in the processor's cache between reading and putting.
constexpr std::size_t kImageBytes = 4 << 20;

}  // namespace

// One try at a job: a plan and its images. Ends early when a part turns out to be unusable.
class Restorer::Attempt {
  public:
    enum class End : std::uint8_t { complete, unusable_part, given_up };

    Attempt(Restorer &restorer, const RestoreJob &job, RestoreOutcome &outcome)
        : restorer_(restorer), job_(job), outcome_(outcome) {}

    End run() {
        StorePresence presence(restorer_.store_);
        plan_ = plan_restore({.root = job_.root,
                              .grid = job_.grid,
                              .kinds = kinds_of(restorer_.context_),
                              .tokens = job_.tokens,
                              .stored_tokens = job_.stored_tokens},
                             presence);
        outcome_.resume_at = plan_.resume_at;
        outcome_.restored_to = plan_.restored_to;
        outcome_.corrupt_parts += presence.corrupt_parts();
        if (outcome_.limit.empty()) outcome_.limit = presence.problem().empty() ? plan_.limit : presence.problem();
        outcome_.tier = Tier::memory;
        outcome_.bytes = 0;
        const auto resumed = static_cast<std::uint64_t>(plan_.resume_at);
        if (!restorer_.rate_.worth_reading(bytes_on_disk(), resumed, job_.prefill_ms_per_token)) {
            outcome_.resume_at = outcome_.restored_to = 0;
            outcome_.recompute = true;
            outcome_.limit = "reading what is stored would have taken longer than computing it";
            return End::complete;
        }
        for (std::size_t first = 0; first < plan_.steps.size();) {
            const std::size_t count = run_length(first);
            const End end = deliver_run(first, count);
            if (end != End::complete) return end;
            first += count;
        }
        return End::complete;
    }

  private:
    // Of what the plan would read, as far as the rows tell; parts in memory cost next to nothing.
    std::uint64_t bytes_on_disk() const {
        std::uint64_t bytes = 0;
        for (const RestoreStep &step : plan_.steps) {
            const auto tier = restorer_.store_.find({.id = plan_.segments[step.segment].id, .kind = step.kind});
            if (tier == Tier::disk) bytes += step.rows * restorer_.context_.row_bytes(step.kind);
        }
        return bytes;
    }

    // Consecutive steps that go into one image: rows of one kind without a gap, up to kImageBytes.
    std::size_t run_length(std::size_t first) const {
        const RestoreStep &head = plan_.steps[first];
        if (head.kind == PartKind::state) return 1;
        std::uint32_t rows = head.rows;
        std::size_t count = 1;
        const std::size_t row_bytes = restorer_.context_.row_bytes(head.kind);
        while (first + count < plan_.steps.size()) {
            const RestoreStep &next = plan_.steps[first + count];
            if (next.kind != head.kind || next.first != head.first + static_cast<Position>(rows)) break;
            if ((rows + next.rows) * row_bytes > kImageBytes) break;
            rows += next.rows;
            ++count;
        }
        return count;
    }

    End deliver_run(std::size_t first, std::size_t count) {
        restorer_.places_.acquire();
        const RestoreStep &head = plan_.steps[first];
        std::uint32_t rows = 0;
        for (std::size_t i = first; i < first + count; ++i) rows += plan_.steps[i].rows;
        auto image = restorer_.context_.compose(head.kind, head.first, rows);
        if (!image) {
            restorer_.places_.release();
            outcome_.limit = image.error().message;
            return End::given_up;
        }
        std::uint32_t row = 0;
        for (std::size_t i = first; i < first + count; ++i) {
            const RestoreStep &step = plan_.steps[i];
            const SegmentIdentity segment =
                identity_of(plan_, step, job_.tokens, job_.stored_tokens, restorer_.context_.fingerprint());
            const auto start = std::chrono::steady_clock::now();
            auto read = restorer_.store_.read(segment, step.kind, step.first, step.rows, *image, row);
            if (!read) {
                restorer_.places_.release();
                outcome_.limit = read.error().message;
                if (read.error().code == ErrorCode::corrupt) ++outcome_.corrupt_parts;
                return End::unusable_part;
            }
            if (read->tier == Tier::disk) {
                const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
                restorer_.rate_.measured(read->bytes, took.count());
            }
            outcome_.tier = std::max(outcome_.tier, read->tier);
            outcome_.bytes += read->bytes;
            row += step.rows;
        }
        return job_.deliver(std::move(*image)) ? End::complete : End::given_up;
    }

    Restorer &restorer_;
    const RestoreJob &job_;
    RestoreOutcome &outcome_;
    KvPlan plan_;
};

Restorer::Restorer(Context &context, BlockStore &store) : context_(context), store_(store) {
    // The images' memory is faulted in here rather than in the first resume, of which it would be a good part.
    std::vector<std::shared_ptr<std::byte[]>> images;
    for (int i = 0; i < kImagesUnderWay; ++i) {
        images.push_back(context_.pool().acquire(kImageBytes));
        std::memset(images.back().get(), 0, kImageBytes);
    }
    images.clear();
    thread_ = std::jthread([this](const std::stop_token &stop) { run(stop); });
}

Restorer::~Restorer() {
    thread_.request_stop();
    changed_.notify_all();
}

void Restorer::submit(RestoreJob job) {
    {
        const std::scoped_lock lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    changed_.notify_all();
}

void Restorer::run(const std::stop_token &stop) {
    for (;;) {
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [this] { return !jobs_.empty(); })) return;
        const RestoreJob job = std::move(jobs_.front());
        jobs_.pop_front();
        restoring_ = true;
        lock.unlock();
        restore(job);
        lock.lock();
        restoring_ = false;
        lock.unlock();
        changed_.notify_all();
    }
}

void Restorer::wait_until_idle(const std::stop_token &stop) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [this] { return jobs_.empty() && !restoring_; });
}

void Restorer::restore(const RestoreJob &job) {
    RestoreOutcome outcome;
    // Each failed try removes at least one part from the store, or finds it gone; a part that can't even be moved to quarantine
    // (a read-only disk) would come back forever, so the number of tries is bounded and the last resort is a prefill.
    constexpr int kTries = 8;
    for (int i = 0; i < kTries; ++i) {
        const Attempt::End end = Attempt(*this, job, outcome).run();
        if (end == Attempt::End::complete) {
            job.done(outcome);
            return;
        }
        if (end == Attempt::End::given_up || !job.start_over()) break;
    }
    outcome.resume_at = outcome.restored_to = 0;
    outcome.bytes = 0;
    job.start_over();
    job.done(outcome);
}

}  // namespace engram
