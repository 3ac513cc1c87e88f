#include "server/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace engram::server {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildHistogram;
using prometheus::MetricFamily;
using prometheus::MetricType;

const prometheus::Histogram::BucketBoundaries kTtftSeconds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                                           2.5,   5,    10,    30,   60,  120,  300};
const prometheus::Histogram::BucketBoundaries kGapSeconds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5};
const prometheus::Histogram::BucketBoundaries kRestoreSeconds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30};

struct Sample {
    std::string label_value;  // empty: the family has no label
    double value = 0;
};

MetricFamily family(std::string name, std::string help, MetricType type, const std::string &label,
                    const std::vector<Sample> &samples) {
    MetricFamily family{.name = std::move(name), .help = std::move(help), .type = type, .metric = {}};
    for (const Sample &sample : samples) {
        prometheus::ClientMetric metric;
        if (!label.empty()) metric.label.push_back({label, sample.label_value});
        (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = sample.value;
        family.metric.push_back(std::move(metric));
    }
    return family;
}

double number(std::uint64_t value) { return static_cast<double>(value); }

// What tenants have stored, and may.
void add_tenants(std::vector<MetricFamily> &families, std::span<const TenantStorage> tenants) {
    using Value = std::function<std::optional<std::uint64_t>(const TenantStorage &)>;
    const auto add = [&](std::string name, std::string help, MetricType type, const Value &value) {
        std::vector<Sample> samples;
        for (const TenantStorage &storage : tenants) {
            const std::optional<std::uint64_t> known = storage.tenant.empty() ? std::nullopt : value(storage);
            if (known) samples.push_back({storage.tenant, number(*known)});
        }
        families.push_back(family(std::move(name), std::move(help), type, "tenant", samples));
    };
    using Storage = const TenantStorage &;
    add("engram_tenant_disk_bytes", "Bytes of KV that a tenant has on disk", MetricType::Gauge,
        [](Storage storage) { return storage.disk_bytes; });
    add("engram_tenant_memory_bytes", "Bytes of KV that a tenant has in host memory", MetricType::Gauge,
        [](Storage storage) { return storage.memory_bytes; });
    add("engram_tenant_disk_limit_bytes", "The most bytes that a tenant may have on disk; absent: no limit", MetricType::Gauge,
        [](Storage storage) { return storage.limits.disk_bytes; });
    add("engram_tenant_memory_limit_bytes", "The most bytes that a tenant may have in host memory; absent: no limit",
        MetricType::Gauge, [](Storage storage) { return storage.limits.memory_bytes; });
    add("engram_tenant_refused_parts_total", "Parts that weren't stored, since a tenant's quota left no room",
        MetricType::Counter, [](Storage storage) { return storage.refused_parts; });
    add("engram_tenant_evicted_parts_total", "Parts of a tenant that made room on disk", MetricType::Counter,
        [](Storage storage) { return storage.evicted_parts; });
}

// The words of a miss's reason before its colon: "evicted", "corrupt", …
std::string kind_of(const PrefixMiss &miss) { return miss.reason.substr(0, miss.reason.find(':')); }

}  // namespace

Metrics::Metrics()
    : requests_(BuildCounter().Name("engram_requests_total").Help("Requests by route and status").Register(registry_)),
      refusals_(
          BuildCounter().Name("engram_refused_requests_total").Help("Requests refused before they began").Register(registry_)),
      prompt_tokens_(BuildCounter()
                         .Name("engram_prompt_tokens_total")
                         .Help("Tokens of prompts by where they came from; \"computed\": from nowhere")
                         .Register(registry_)),
      answer_tokens_(BuildCounter().Name("engram_answer_tokens_total").Help("Tokens of answers").Register(registry_)),
      misses_(BuildCounter()
                  .Name("engram_prefix_misses_total")
                  .Help("Prefixes that had been committed and could not be used, by reason")
                  .Register(registry_)),
      ttft_(BuildHistogram()
                .Name("engram_time_to_first_token_seconds")
                .Help("From a request's arrival to its answer's first token, queue and restore included")
                .Register(registry_)
                .Add({}, kTtftSeconds)),
      gap_(BuildHistogram()
               .Name("engram_inter_token_seconds")
               .Help("Between two pieces of an answer")
               .Register(registry_)
               .Add({}, kGapSeconds)),
      restore_(BuildHistogram()
                   .Name("engram_restore_seconds")
                   .Help("Bringing KV back from memory or disk")
                   .Register(registry_)
                   .Add({}, kRestoreSeconds)),
      queue_(BuildHistogram()
                 .Name("engram_queue_seconds")
                 .Help("From a request's arrival until it was admitted to the context")
                 .Register(registry_)
                 .Add({}, kTtftSeconds)) {}

void Metrics::answered(std::string_view route, int status) {
    requests_.Add({{"route", std::string(route)}, {"status", std::to_string(status)}}).Increment();
}

void Metrics::refused(std::string_view reason) { refusals_.Add({{"reason", std::string(reason)}}).Increment(); }

void Metrics::started(std::string_view tenant, const ChatStarted &started) {
    const auto tokens = [&](std::string_view source, std::uint64_t count) {
        prompt_tokens_.Add({{"tenant", std::string(tenant)}, {"source", std::string(source)}}).Increment(number(count));
    };
    if (started.cached_tokens > 0) tokens(started.tier, started.cached_tokens);
    tokens("computed", started.prompt_tokens - started.cached_tokens);
    if (started.tier == "memory" || started.tier == "disk") restore_.Observe(started.restore_ms / 1000.0);
    queue_.Observe(started.queue_ms / 1000.0);
    if (started.miss) misses_.Add({{"reason", kind_of(*started.miss)}}).Increment();
}

void Metrics::token_gap(std::chrono::duration<double> gap) { gap_.Observe(gap.count()); }

void Metrics::finished(std::string_view tenant, const ChatFinished &finished) {
    answer_tokens_.Add({{"tenant", std::string(tenant)}}).Increment(number(finished.answer_tokens));
    if (finished.answer_tokens > 0) ttft_.Observe(finished.ttft_ms / 1000.0);
}

std::string Metrics::text(const ManagerStats &stats, std::span<const TenantStorage> tenants,
                          std::uint32_t waiting_or_running) const {
    std::vector<MetricFamily> families = registry_.Collect();
    add_tenants(families, tenants);
    const auto gauge = [&](std::string name, std::string help, const std::string &label, const std::vector<Sample> &samples) {
        families.push_back(family(std::move(name), std::move(help), MetricType::Gauge, label, samples));
    };
    const auto counter = [&](std::string name, std::string help, const std::string &label, const std::vector<Sample> &samples) {
        families.push_back(family(std::move(name), std::move(help), MetricType::Counter, label, samples));
    };
    gauge("engram_requests_in_flight", "Requests to the model that run or wait", "", {{"", number(waiting_or_running)}});
    gauge("engram_context_cells", "Cells of the context", "state",
          {{"used", number(stats.context_cells_used)}, {"free", number(stats.context_cells - stats.context_cells_used)}});
    gauge("engram_agents_hot", "Agents whose KV is in the context", "", {{"", number(stats.hot_agents)}});
    gauge("engram_tier_bytes", "Bytes of KV by tier", "tier",
          {{"memory", number(stats.memory_bytes)}, {"disk", number(stats.disk_bytes)}});
    gauge("engram_tier_budget_bytes", "The budget of a tier", "tier",
          {{"memory", number(stats.memory_budget_bytes)}, {"disk", number(stats.disk_budget_bytes)}});
    gauge("engram_write_queue_bytes", "KV that waits to be written", "", {{"", number(stats.queue_bytes)}});
    gauge("engram_quarantined_parts", "Damaged parts that were put aside", "", {{"", number(stats.quarantined_parts)}});
    counter("engram_restores_total", "Turns that KV was brought back for", "tier",
            {{"memory", number(stats.restores_from_memory)}, {"disk", number(stats.restores_from_disk)}});
    counter("engram_refused_restores_total", "Restores that were refused", "reason",
            {{"corrupt", number(stats.refused_corrupt)}, {"incompatible", number(stats.refused_incompatible)}});
    counter("engram_evictions_total", "Parts that made room on disk", "", {{"", number(stats.evictions)}});
    counter("engram_written_bytes_total", "KV written to disk", "", {{"", number(stats.written_bytes)}});
    counter("engram_failed_writes_total", "Writes of KV that failed", "", {{"", number(stats.failed_writes)}});
    counter("engram_deduplicated_parts_total", "Parts that were there already", "", {{"", number(stats.deduplicated_parts)}});
    const auto preloads = [&](std::string name, std::string help, std::uint64_t ManagerStats::Preloads::*count) {
        counter(std::move(name), std::move(help), "cause",
                {{"asked", number(stats.preloads_asked.*count)}, {"learned", number(stats.preloads_learned.*count)}});
    };
    preloads("engram_preloads_total", "Agents whose KV was brought from disk to memory before its turn came",
             &ManagerStats::Preloads::done);
    preloads("engram_preload_hits_total", "Preloads that the agent's next turn found in memory", &ManagerStats::Preloads::hits);
    preloads("engram_preload_wasted_total", "Preloads that left memory unused, or that nobody came for",
             &ManagerStats::Preloads::wasted);
    preloads("engram_preload_bytes_total", "KV brought from disk to memory before it was asked for",
             &ManagerStats::Preloads::bytes);
    return prometheus::TextSerializer().Serialize(families);
}

}  // namespace engram::server
