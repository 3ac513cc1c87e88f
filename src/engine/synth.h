// Writes GGUF models with random weights (fixed seed: the same bytes on every machine), for tests and benchmarks. They load in
// any program built on libllama. Each has a small vocabulary of whole bytes and common English pieces, a ChatML-like template
// with system, user, assistant and tool roles, and an end-of-turn token that such a model practically never samples.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

#include "engram/error.h"

namespace engram {

struct SynthGeometry {
    std::string_view name;          // "tiny-llama", "gemma3-270m", ...
    std::string_view description;   // one line
    std::string_view architecture;  // GGUF general.architecture
};

// tiny-llama (plain attention), tiny-gemma3 (sliding window of 32), tiny-windows (nothing else), tiny-lfm2 (short convolutions
// and attention), tiny-mamba (recurrent only), tiny-qwen3, tiny-embedder (with pooling), tiny-thinker (plain
// attention, and a template with a switch for thinking); gemma3-270m, gemma3-1b, llama-1b, qwen3-0.6b.
std::span<const SynthGeometry> synth_geometries();

struct SynthOptions {
    std::string_view geometry;
    std::string_view type = "f32";  // of the weight matrices: f32, f16, q8_0, q4_0
    std::uint32_t seed = 1;
};

// Written to a temporary file beside `out` and renamed. invalid_argument (unknown geometry or type, with the list of the known
// ones), io.
Result<void> write_synthetic_model(const SynthOptions &options, const std::filesystem::path &out,
                                   const std::function<void(float)> &progress);

}  // namespace engram
