// What /metrics tells, in Prometheus' text format. Nothing here holds text of a prompt or an answer. Thread-safe.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engram/agents.h"

namespace engram::server {

class Metrics {
  public:
    Metrics();

    void answered(std::string_view route, int status);
    void refused(std::string_view reason);  // "queue", "stopping", "key"
    void started(std::string_view tenant, const ChatStarted &started);
    void token_gap(std::chrono::duration<double> gap);  // between two pieces of an answer
    void finished(std::string_view tenant, const ChatFinished &finished);

    // Everything, with what the stores and the context say now.
    std::string text(const ManagerStats &stats, std::span<const TenantStorage> tenants, std::uint32_t waiting_or_running) const;

  private:
    prometheus::Registry registry_;
    prometheus::Family<prometheus::Counter> &requests_, &refusals_, &prompt_tokens_, &answer_tokens_, &misses_;
    prometheus::Histogram &ttft_, &gap_, &restore_, &queue_;
};

}  // namespace engram::server
