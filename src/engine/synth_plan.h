// What a synthetic model's file holds: metadata keys and tensors with a rule for each tensor's numbers. Internal to the engine.
//
// Channel 0 of the residual stream is a constant: embeddings set it, no layer reads or changes it, and only the output rows of
// silent tokens (control tokens, bytes that don't print) look at it. Their logits are thus far below all others whatever the
// context.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/synth.h"

namespace engram {

enum class SynthFill : std::uint8_t {
    random,     // normal-like numbers
    embedding,  // the same, with the constant channel set
    output,     // the same, except that rows of silent tokens look at the constant channel only
    constant,   // `scale` everywhere
    ramp,       // scale * (column + 1)
};

struct SynthTensor {
    std::string name;
    std::int64_t columns = 0;  // the contiguous dimension
    std::int64_t rows = 0;     // 0: one-dimensional
    SynthFill fill = SynthFill::random;
    float scale = 1.0F;            // standard deviation, or the constant
    float centre = 0.0F;           // added to random numbers
    bool zero_column0 = false;     // reads the residual stream
    bool zero_row0 = false;        // writes the residual stream
    bool exact = false;            // stays f32 whatever the file's type
    bool keeps_precision = false;  // q8_0 where the file's type is q4_0
};

struct SynthPlan {
    using Value = std::variant<std::uint32_t, float, std::vector<std::uint32_t>>;
    std::vector<std::pair<std::string, Value>> keys;  // without the architecture's prefix
    std::vector<SynthTensor> tensors;
};

std::span<const SynthGeometry> synth_plan_geometries();
std::uint32_t synth_vocabulary_target(const SynthGeometry &geometry);
bool synth_thinks(const SynthGeometry &geometry);  // its template has a switch for that
// `geometry` is one of synth_plan_geometries().
SynthPlan make_synth_plan(const SynthGeometry &geometry, std::uint32_t vocabulary);

}  // namespace engram
