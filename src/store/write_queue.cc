#include "store/write_queue.h"

#include <algorithm>
#include <utility>

namespace engram {

namespace {

bool same_rows(const PartImage &a, const PartImage &b) {
    return a.first_position == b.first_position && a.layout->rows == b.layout->rows;
}

}  // namespace

bool WriteQueue::push(PutRequest request) {
    const PartKey key{.id = request.segment.id, .kind = request.image.layout->kind};
    const std::uint64_t bytes = request.image.layout->image_bytes;
    std::unique_lock lock(mutex_);
    // An image larger than the whole budget still goes through, alone. A cancelled job of the same part, or one with other rows,
    // must be gone first, or this put would be taken for its repetition and be lost with it.
    changed_.wait(lock, [&] {
        if (const auto queued = images_.find(key); queued != images_.end()) {
            return same_rows(queued->second, request.image) && !(in_flight_cancelled_ && jobs_.front().key == key);
        }
        return jobs_.empty() || bytes_ + bytes <= budget_bytes_;
    });
    if (images_.contains(key)) return false;
    images_.emplace(key, request.image);
    jobs_.push_back({.key = key, .request = std::move(request), .ticket = ++last_ticket_});
    bytes_ += bytes;
    changed_.notify_all();
    return true;
}

std::optional<PutRequest> WriteQueue::next(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return !jobs_.empty(); });
    if (jobs_.empty()) return std::nullopt;
    in_flight_ = true;
    in_flight_cancelled_ = false;
    return jobs_.front().request;
}

void WriteQueue::done() {
    const std::scoped_lock lock(mutex_);
    const Job &job = jobs_.front();
    bytes_ -= job.request.image.layout->image_bytes;
    images_.erase(job.key);
    jobs_.pop_front();
    in_flight_ = false;
    in_flight_cancelled_ = false;
    changed_.notify_all();
}

bool WriteQueue::cancelled() const {
    const std::scoped_lock lock(mutex_);
    return in_flight_cancelled_;
}

void WriteQueue::cancel(const PartKey &key) {
    const std::scoped_lock lock(mutex_);
    const auto found = std::ranges::find(jobs_, key, &Job::key);
    if (found == jobs_.end()) return;
    if (in_flight_ && found == jobs_.begin()) {
        in_flight_cancelled_ = true;
        return;
    }
    bytes_ -= found->request.image.layout->image_bytes;
    images_.erase(key);
    jobs_.erase(found);
    changed_.notify_all();
}

bool WriteQueue::contains(const PartKey &key) const {
    const std::scoped_lock lock(mutex_);
    return images_.contains(key);
}

std::optional<PartImage> WriteQueue::find(const PartKey &key) const {
    const std::scoped_lock lock(mutex_);
    const auto found = images_.find(key);
    if (found == images_.end()) return std::nullopt;
    return found->second;
}

void WriteQueue::wait_until_written() const {
    std::unique_lock lock(mutex_);
    const std::uint64_t ticket = last_ticket_;
    changed_.wait(lock, [&] { return jobs_.empty() || jobs_.front().ticket > ticket; });
}

std::uint64_t WriteQueue::bytes() const {
    const std::scoped_lock lock(mutex_);
    return bytes_;
}

std::uint64_t WriteQueue::parts() const {
    const std::scoped_lock lock(mutex_);
    return jobs_.size();
}

}  // namespace engram
