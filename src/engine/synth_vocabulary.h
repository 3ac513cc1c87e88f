// The vocabulary of synthetic models: byte-level BPE, complete over all bytes, so that every text has tokens and comes back from
// them. Internal to the engine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct gguf_context;

namespace engram {

struct SynthVocabulary {
    std::vector<std::string> tokens;  // in GPT-2's printable spelling of bytes
    std::vector<std::int32_t> types;  // libllama's token types
    std::vector<std::string> merges;  // "left right", best first
    std::vector<bool> silent;         // tokens that the model must never choose by itself
};

// Control tokens, the 256 bytes, English pieces with their merges, then invented words up to `size` tokens in all. `size` is
// raised when the first three need more.
SynthVocabulary make_synth_vocabulary(std::uint32_t size);

// tokenizer.* keys, the chat template among them; `thinks`: one that opens <think> where the caller asks for thinking.
void write_synth_vocabulary(const SynthVocabulary &vocabulary, bool thinks, gguf_context *file);

}  // namespace engram
