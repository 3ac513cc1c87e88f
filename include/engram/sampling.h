// How the next token is chosen.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace engram {

// The defaults are greedy: the most probable token, always. Samplers that are off cost nothing. Order of application: logit bias,
// grammar, penalties, top-k, top-p, min-p, temperature, draw with `seed`.
struct Sampling {
    float temperature = 0.0F;                                // 0: greedy
    std::int32_t top_k = 0;                                  // 0: off
    float top_p = 1.0F;                                      // 1: off
    float min_p = 0.0F;                                      // 0: off
    float repeat_penalty = 1.0F;                             // 1: off
    float presence_penalty = 0.0F;                           // 0: off
    float frequency_penalty = 0.0F;                          // 0: off
    std::int32_t penalty_last_n = 64;                        // tokens that the penalties look back on
    std::uint32_t seed = 0xFFFFFFFFU;                        // 0xFFFFFFFF: a random one
    std::vector<std::pair<std::int32_t, float>> logit_bias;  // token, added to its logit
    std::vector<std::string> stop;                           // the answer ends before the first of these strings
    std::string grammar;                                     // GBNF with the root rule "root"; empty: none
    std::vector<std::string> grammar_triggers;  // not empty: the grammar holds from the first of these texts on, which
                                                // it begins with
};

}  // namespace engram
