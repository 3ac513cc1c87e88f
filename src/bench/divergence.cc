#include "bench/divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace engram::bench {

namespace {

std::vector<double> log_probabilities(std::span<const float> logits) {
    const double most = std::ranges::max(logits);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit - most);
    std::vector<double> list;
    list.reserve(logits.size());
    for (const float logit : logits) list.push_back(logit - most - std::log(sum));
    return list;
}

}  // namespace

double kl_divergence(std::span<const float> exact, std::span<const float> other) {
    const std::vector<double> p = log_probabilities(exact);
    const std::vector<double> q = log_probabilities(other);
    double sum = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
        if (const double probability = std::exp(p[i]); probability > 0) sum += probability * (p[i] - q[i]);
    }
    return std::max(0.0, sum);
}

void Divergences::add(std::span<const float> exact, std::span<const float> other) {
    nats_.push_back(kl_divergence(exact, other));
    const auto top = std::ranges::max_element(exact) - exact.begin();
    if (top == std::ranges::max_element(other) - other.begin()) ++same_;
    if (std::exp(log_probabilities(exact)[static_cast<std::size_t>(top)]) < kSure) ++unsure_;
}

void Divergences::add(const Divergences &more) {
    nats_.insert(nats_.end(), more.nats_.begin(), more.nats_.end());
    same_ += more.same_;
    unsure_ += more.unsure_;
}

OrderedJson Divergences::json() const { return {{"nats", nats_}, {"same", same_}, {"unsure", unsure_}}; }

Divergences Divergences::of(const OrderedJson &json) {
    Divergences read;
    for (const OrderedJson &value : json.at("nats"))  // JSON has no infinite numbers
        read.nats_.push_back(value.is_number() ? value.get<double>() : std::numeric_limits<double>::infinity());
    read.same_ = json.at("same").get<std::size_t>();
    read.unsure_ = json.at("unsure").get<std::size_t>();
    return read;
}

double Divergences::mean() const { return std::accumulate(nats_.begin(), nats_.end(), 0.0) / static_cast<double>(nats_.size()); }

double Divergences::within(double share) const {
    std::vector<double> sorted = nats_;
    std::ranges::sort(sorted);
    const double at = std::ceil(share * static_cast<double>(sorted.size()));
    return sorted[static_cast<std::size_t>(std::clamp(at, 1.0, static_cast<double>(sorted.size()))) - 1];
}

double Divergences::same_top() const { return static_cast<double>(same_) / static_cast<double>(nats_.size()); }

}  // namespace engram::bench
