// How far what a model says next is apart with and without a loss of precision, over many places of a text.
//
// The Kullback-Leibler divergence of a place is the sum over all tokens i of p(i) * (ln p(i) - ln q(i)), in nats, with the exact
// distribution p and the other one q (S. Kullback and R. A. Leibler, "On Information and Sufficiency", The Annals of Mathematical
// Statistics 22, 1951); beside it stands how often both find the same token most probable. Both, with this direction, and their
// mean, 99th percentile and maximum, are what llama.cpp's `llama-perplexity --kl-divergence` tells of quantised weights.
//
// Where the model is certain of a token, nothing tells the two apart: `unsure` says at how many places it wasn't. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "chat/bounded_json.h"

namespace engram::bench {

inline constexpr double kSure = 0.9;  // a token that is at least so probable is certain

// In nats, not below 0. Logits of the same place, of equal number and not none; infinite where q excludes what p doesn't.
double kl_divergence(std::span<const float> exact, std::span<const float> other);

class Divergences {
  public:
    void add(std::span<const float> exact, std::span<const float> other);  // one place's logits
    void add(const Divergences &more);

    // For another process.
    OrderedJson json() const;
    static Divergences of(const OrderedJson &json);  // what json() made

    std::size_t places() const { return nats_.size(); }
    std::size_t unsure() const { return unsure_; }
    // Of at least one place:
    double mean() const;
    double within(double share) const;  // the least value that so many of the places don't exceed: 1 gives the largest
    double same_top() const;            // share of places

  private:
    std::vector<double> nats_;
    std::size_t same_ = 0, unsure_ = 0;
};

}  // namespace engram::bench
