// Texts into vectors, with a model that was trained for it: one whose GGUF names how the vectors of a text's tokens become one
// (general name `<architecture>.pooling_type`; none, mean, cls or last).
//
// It has a context of its own beside the one that the agents live in, as large as the longest text so far needs, so that nothing
// of the agents' is touched. Threads: one at a time (the engine thread).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/model.h"
#include "engram/error.h"

struct llama_context;

namespace engram {

class Embedder {
  public:
    // `model` must outlive it.
    explicit Embedder(const Model &model) : model_(model) {}
    ~Embedder();
    Embedder(const Embedder &) = delete;
    Embedder &operator=(const Embedder &) = delete;

    // A vector of length 1. unsupported: the model makes none; too_long: more tokens than it was trained for, or than are taken
    // at once; invalid_argument: no tokens, or one that there isn't; engine.
    Result<std::vector<float>> embed(std::span<const Token> tokens);

  private:
    struct FreeContext {
        void operator()(llama_context *context) const;
    };
    std::uint32_t most_tokens() const;
    Result<void> make_room(std::size_t tokens);

    const Model &model_;
    std::unique_ptr<llama_context, FreeContext> context_;
    bool unsupported_ = false;
};

}  // namespace engram
