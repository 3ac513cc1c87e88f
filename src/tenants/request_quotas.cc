#include "tenants/request_quotas.h"

#include <algorithm>
#include <format>
#include <utility>

namespace engram {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;

constexpr std::int64_t kLongestRetryS = 365 * 24 * 3600;

RequestAdmission refused(std::string reason, std::int64_t wait_us) {
    const std::int64_t seconds = std::min((wait_us + kSecondUs - 1) / kSecondUs, kLongestRetryS);
    return {.place = {}, .reason = std::move(reason), .retry_after_s = static_cast<std::uint32_t>(seconds)};
}

RequestAdmission refused_for_tokens(std::string_view tenant, std::uint64_t limit, std::int64_t wait_us) {
    auto admission = refused("", wait_us);
    admission.reason = limit == 0 ? std::format("tenant {} may compute no tokens", tenant)
                                  : std::format("tenant {} has used up its {} tokens per minute; try again in {} s", tenant,
                                                limit, admission.retry_after_s);
    return admission;
}

}  // namespace

RequestPlace &RequestPlace::operator=(RequestPlace &&other) noexcept {
    if (this != &other) {
        give_back();
        meter_ = std::move(other.meter_);
    }
    return *this;
}

void RequestPlace::give_back() {
    if (!meter_) return;
    {
        const std::scoped_lock lock(meter_->mutex);
        --meter_->running;
    }
    meter_.reset();
}

RequestAdmission RequestQuotas::admit(std::string_view tenant, const Quota &quota) {
    auto meter = this->meter(tenant);
    const std::scoped_lock lock(meter->mutex);
    if (const auto limit = quota.tokens_per_minute) {
        const std::int64_t wait = *limit == 0 ? 0 : meter->bucket.wait_us(*limit, clock_.steady_us());
        if (*limit == 0 || wait > 0) return refused_for_tokens(tenant, *limit, wait);
    } else {
        meter->bucket = TokenBucket();  // nothing is owed where nothing is limited
    }
    if (const auto limit = quota.concurrent_requests; limit && meter->running >= *limit) {
        // When one of them ends isn't known; a second is long enough to be polite and short enough to be of use.
        return refused(
            std::format("tenant {} has {} requests running, and may have {} at a time", tenant, meter->running, *limit),
            *limit == 0 ? 0 : kSecondUs);
    }
    ++meter->running;
    return {.place = RequestPlace(meter), .reason = {}};
}

void RequestQuotas::spend(std::string_view tenant, std::uint64_t tokens) {
    auto meter = this->meter(tenant);
    const std::scoped_lock lock(meter->mutex);
    meter->bucket.spend(tokens);
}

std::uint64_t RequestQuotas::running(std::string_view tenant) const {
    std::shared_ptr<Meter> meter;
    {
        const std::scoped_lock lock(mutex_);
        const auto found = meters_.find(tenant);
        if (found == meters_.end()) return 0;
        meter = found->second;
    }
    const std::scoped_lock lock(meter->mutex);
    return meter->running;
}

std::shared_ptr<RequestQuotas::Meter> RequestQuotas::meter(std::string_view tenant) {
    const std::scoped_lock lock(mutex_);
    auto found = meters_.find(tenant);
    if (found == meters_.end()) found = meters_.emplace(std::string(tenant), std::make_shared<Meter>()).first;
    return found->second;
}

}  // namespace engram
