// Whether both servers say the same.
//
// They form sums in another order, as batches were cut and as cells lie, so that a logit is a little off; where two tokens are
// nearly as probable, either may be said. With a trained model an answer may therefore leave the peer's at a token that the peer
// found within kNearTie of its own; any other difference is wrong. After such a place the conversation is another one, and isn't
// compared. Random weights have near-ties all the time: there the record only says how many answers are equal. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/record.h"
#include "bench/side.h"

namespace engram::bench {

inline constexpr double kNearTie = 0.25;  // nats

// How records name synthetic models: "gemma3-270m q8_0, random weights".
inline constexpr std::string_view kRandomWeights = ", random weights";
inline constexpr std::string_view kTinyWeights = "f32";  // of the tiny ones: near-ties are rare in single precision

// By how much less probable the peer found the token at which `said` leaves its answer; none: it isn't among those that the peer
// names, or `said` doesn't leave. Texts may part later than tokens do (one took " that" where the other took " " and then "I"),
// so each choice counts that spells what was said, up to where the texts part.
std::optional<double> gap_at_parting(std::string_view said, std::span<const TokenOdds> tokens);

// What both said, turn for turn.
class Agreement {
  public:
    // What llama-server says is kept once, whatever its flags.
    void add(const Side &side, const Answer &answer);
    void add(const Side &side, const std::string &text);
    void check(Record &record, const std::string &where) const;  // adds one to the record, when there are two sides

  private:
    struct Counts {
        std::size_t all = 0, equal = 0, near_ties = 0;
        std::size_t parted_before = 0;  // an earlier answer of the conversation had parted
        std::size_t other_tokens = 0;   // the prompt was read as other tokens
        std::string wrong;              // the first one that is
        std::size_t n_wrong = 0;
    };
    Counts counted() const;
    static std::string told(const Counts &counts);

    std::vector<Answer> ours_, theirs_;
};

}  // namespace engram::bench
