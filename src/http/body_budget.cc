#include "http/body_budget.h"

namespace engram::http {

bool BodyBudget::take(std::size_t bytes) {
    std::size_t now = taken_.load();
    do {
        if (bytes > bytes_ - now) return false;
    } while (!taken_.compare_exchange_weak(now, now + bytes));
    return true;
}

BodyShare &BodyShare::operator=(BodyShare &&other) noexcept {
    if (this != &other) {
        release();
        budget_ = std::move(other.budget_);
        bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
}

bool BodyShare::grow_to(std::size_t bytes) {
    if (!budget_ || bytes <= kSmallBodyBytes || bytes <= bytes_) return true;
    if (!budget_->take(bytes - bytes_)) return false;
    bytes_ = bytes;
    return true;
}

void BodyShare::release() {
    if (budget_) budget_->give_back(std::exchange(bytes_, 0));
}

}  // namespace engram::http
