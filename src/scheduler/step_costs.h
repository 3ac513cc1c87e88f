// What steps cost, learned from the steps themselves: how long one takes that only decodes, and how much longer with a prefill in
// it. Pure: times are given. One thread.
#pragma once

#include <cstddef>
#include <optional>

namespace engram {

class StepCosts {
  public:
    // A step took `ms`: it decoded one token each of `decoding` runs, and `prefill` tokens of another.
    void measured(std::size_t decoding, std::size_t prefill, double ms);

    // Most tokens of a prefill that a step may have besides its decoding, so that it takes at most (1 + share) times as long as
    // without: 1 to `most`. `most` as long as there is nothing to go by.
    std::size_t prefill_room(double share, std::size_t most) const;

    // What is known so far.
    std::optional<double> decode_ms() const { return decode_.ms; }  // of a step that only decodes
    std::optional<double> prefill_ms_per_token() const { return token_.ms; }

  private:
    // A mean in which what is measured has a weight of less than 1, and older values fade when more than 1 is known.
    struct Estimate {
        std::optional<double> ms = {};
        double known = 0;  // the weights so far

        void learn(double value, double weight);
    };
    Estimate decode_, token_;
};

}  // namespace engram
