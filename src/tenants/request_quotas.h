// Whether a tenant's quota lets a request begin: tokens per minute and concurrent requests.
//
//     RequestAdmission admission = quotas.admit(tenant, quota);
//     if (!admission.granted()) return refused(admission.reason, admission.retry_after_s);
//     ... the request; quotas.spend(tenant, tokens) as they are computed; `admission.place` lives as long as the request ...
//
// Counts are of this process and begin anew with it. Thread-safe; nothing waits.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "ports/clock.h"
#include "tenants/quota.h"
#include "tenants/token_bucket.h"

namespace engram {

// A place among a tenant's concurrent requests, given back at the end of its life. May outlive the RequestQuotas.
class RequestPlace {
  public:
    RequestPlace() = default;
    ~RequestPlace() { give_back(); }
    RequestPlace(RequestPlace &&other) noexcept = default;
    RequestPlace &operator=(RequestPlace &&other) noexcept;

    void give_back();
    bool taken() const { return meter_ != nullptr; }

  private:
    friend class RequestQuotas;
    struct Meter {
        std::mutex mutex;
        TokenBucket bucket;
        std::uint64_t running = 0;
    };
    explicit RequestPlace(std::shared_ptr<Meter> meter) : meter_(std::move(meter)) {}
    std::shared_ptr<Meter> meter_;
};

struct RequestAdmission {
    RequestPlace place;               // nothing when refused
    std::string reason;               // why it was refused: a sentence
    std::uint32_t retry_after_s = 0;  // when to come back; 0: no time is known, since the limit is 0

    bool granted() const { return place.taken(); }
};

class RequestQuotas {
  public:
    explicit RequestQuotas(Clock &clock) : clock_(clock) {}

    RequestAdmission admit(std::string_view tenant, const Quota &quota);
    void spend(std::string_view tenant, std::uint64_t tokens);
    std::uint64_t running(std::string_view tenant) const;  // requests that have a place

  private:
    using Meter = RequestPlace::Meter;
    std::shared_ptr<Meter> meter(std::string_view tenant);

    Clock &clock_;
    mutable std::mutex mutex_;
    std::map<std::string, std::shared_ptr<Meter>, std::less<>> meters_;  // of each tenant that ever asked
};

}  // namespace engram
